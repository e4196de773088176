//! GGUF files that are damaged or mean harm, one lie each: all are refused with a sentence about it.

use cwm_kernels::ElementType;

use super::builder::{
    Builder, SMALL, Sizes, array_value, f32_value, i32s_value, number, raw_value, rewrite, string_value,
    u32_value, write,
};
use super::{assert_says, open, refusal};

fn model() -> Builder {
    Builder::model("llama", SMALL, ElementType::Q8_0)
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Builder), parts: &[&str]) {
    let mut builder = model();
    change(&mut builder);
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), parts);
}

#[test]
fn headers() {
    for (bytes, parts) in [
        (&b"GGML\x03\0\0\0"[..], &["it is not a GGUF file"][..]),
        (b"", &["it is not a GGUF file"]),
        (b"GG", &["it is not a GGUF file"]),
        (b"GGUF", &["is damaged", "it ends within the header"]),
        (b"GGUF\0\0\0\x03", &["big-endian"]),
        (b"GGUF\x01\0\0\0", &["its GGUF version is 1; 2 and 3"]),
        (b"GGUF\x04\0\0\0", &["its GGUF version is 4; 2 and 3"]),
        (b"GGUF\x03\0\0\0\x01", &["it ends within the header"]),
    ] {
        let (_folder, path) = write(bytes);
        assert_says(&refusal(&path), parts);
    }
}

#[test]
fn counts_beyond_reason() {
    refused(
        |builder| builder.claimed_keys = Some(1 << 60),
        &["1152921504606846976 metadata keys"],
    );
    refused(
        |builder| builder.claimed_parts = Some(1 << 60),
        &["1152921504606846976 tensors"],
    );
    // One more or less than there are: what follows is read as what it is not.
    for keys in [9, 11] {
        refused(|builder| builder.claimed_keys = Some(keys), &["small.gguf"]);
    }
    refused(
        |builder| builder.claimed_parts = Some(builder.parts.len() as u64 - 1),
        &["tensor \"output_norm.weight\"", "it is missing"],
    );
}

#[test]
fn arrays_that_claim_more_than_the_file_has() {
    for (kind, what) in [
        (8, "it ends within metadata key \"x\""),
        (9, "x"),
        (5, "it ends within"),
        (10, "it ends within"),
    ] {
        for count in [1 << 60, u64::MAX] {
            refused(
                |builder| builder.key("x", array_value(kind, count, &[0; 32])),
                &["is damaged", what],
            );
        }
    }
    refused(
        |builder| builder.key("x", raw_value(8, &u64::MAX.to_le_bytes())),
        &[
            "it ends within metadata key \"x\"",
            "18446744073709551615 bytes are needed",
        ],
    );
}

#[test]
fn arrays_within_arrays() {
    let nested = |depth: usize| {
        let mut bytes = Vec::new();
        for _ in 0..depth {
            bytes.extend(9_u32.to_le_bytes());
            bytes.extend(1_u64.to_le_bytes());
        }
        bytes.extend(4_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        raw_value(9, &bytes)
    };
    let mut builder = model();
    builder.key("x", nested(2));
    let (_folder, path) = builder.write();
    open(&path);
    refused(
        |builder| builder.key("x", nested(100_000)),
        &["nests arrays deeper than 4"],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    refused(
        |builder| builder.key("x", raw_value(13, &[0; 8])),
        &["metadata key \"x\" has the unknown value type 13"],
    );
    refused(
        |builder| builder.key("x", raw_value(7, &[2])),
        &["metadata key \"x\" is a truth value of 2"],
    );
    refused(
        |builder| builder.key("llama.block_count", string_value("two")),
        &["\"llama.block_count\" is not a whole number"],
    );
    refused(
        |builder| builder.key("llama.block_count", raw_value(5, &(-1_i32).to_le_bytes())),
        &["\"llama.block_count\" is not a whole number"],
    );
    refused(
        |builder| builder.key("llama.attention.head_count_kv", i32s_value(&[1, 2])),
        &["\"llama.attention.head_count_kv\" differs from layer to layer"],
    );
    refused(
        |builder| builder.key("general.name", raw_value(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xff])),
        &["metadata key \"general.name\" is not UTF-8"],
    );
    refused(
        |builder| builder.keys.push(builder.keys[2].clone()),
        &["metadata key \"llama.block_count\" is there twice"],
    );
    refused(
        |builder| {
            builder.vocabulary(40, &[]);
            builder.key("tokenizer.ggml.tokens", i32s_value(&[1; 40]));
        },
        &["\"tokenizer.ggml.tokens\" is not an array of strings"],
    );
}

#[test]
fn numbers_that_no_model_has() {
    for key in [
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
    ] {
        let key = format!("llama.{key}");
        refused(|builder| builder.key(&key, u32_value(0)), &["small.gguf"]);
        refused(|builder| builder.key(&key, u32_value(u32::MAX)), &["small.gguf"]);
        refused(
            |builder| builder.key(&key, raw_value(10, &[0xff; 8])),
            &["small.gguf"],
        );
        if key != "llama.attention.head_count_kv" {
            refused(
                |builder| builder.without_key(&key),
                &[&format!("{key:?} is missing")],
            );
        }
    }
    refused(
        |builder| builder.key("llama.block_count", u32_value(1025)),
        &["it has 1025 layers; 1024 are possible"],
    );
    refused(
        |builder| builder.key("llama.attention.head_count_kv", u32_value(3)),
        &["its 4 heads are not a multiple of its 3 key and value heads"],
    );
    refused(
        |builder| builder.key("llama.attention.key_length", u32_value(7)),
        &["its head size 7 is odd"],
    );
    refused(
        |builder| builder.key("llama.attention.value_length", u32_value(16)),
        &["heads have 8 elements and llama.attention.value_length is 16"],
    );
    refused(
        |builder| builder.key("llama.rope.dimension_count", u32_value(4)),
        &["llama.rope.dimension_count is 4"],
    );
    for number in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        refused(
            |builder| builder.key("llama.rope.freq_base", f32_value(number)),
            &["the base of its rotary frequencies is"],
        );
        refused(
            |builder| builder.key("llama.attention.layer_norm_rms_epsilon", f32_value(number)),
            &["the epsilon of its norms is"],
        );
    }
    refused(
        |builder| builder.key("llama.vocab_size", u32_value(41)),
        &[
            "tensor \"token_embd.weight\"",
            "40 rows and llama.vocab_size is 41",
        ],
    );
    refused(
        |builder| builder.key("llama.expert_count", u32_value(8)),
        &["mixture of experts"],
    );
    refused(
        |builder| builder.key("general.architecture", string_value("mamba")),
        &["its architecture is \"mamba\"; llama, qwen2 and cwm"],
    );
    for alignment in [0, 3, 4, 1 << 30] {
        refused(
            |builder| builder.key("general.alignment", u32_value(alignment)),
            &["is not a power of two"],
        );
    }
}

#[test]
fn tensors_that_are_not_what_they_should_be() {
    let name = "blk.1.attn_k.weight";
    let quoted = format!("tensor {name:?}");
    refused(
        |builder| builder.parts.retain(|part| part.name != name),
        &[&quoted, "it is missing"],
    );
    refused(
        |builder| builder.named(name).shape = vec![32, 16],
        &[
            &quoted,
            "rows of 16 elements are no whole number of Q8_0 blocks of 32",
        ],
    );
    refused(
        |builder| builder.named(name).shape = vec![15, 32],
        &[&quoted, "its shape is [15, 32] and should be [16, 32]"],
    );
    refused(
        |builder| builder.named(name).shape = vec![],
        &[&quoted, "it has 0 dimensions"],
    );
    refused(
        |builder| builder.named(name).shape = vec![1, 1, 1, 16, 32],
        &[&quoted, "it has 5 dimensions"],
    );
    refused(
        |builder| builder.named(name).shape = vec![0, 32],
        &[&quoted, "a dimension of 0 elements"],
    );
    refused(
        |builder| builder.named(name).shape = vec![1 << 40, 1 << 40],
        &[&quoted, "more elements than can be counted"],
    );
    refused(
        |builder| builder.named(name).shape = vec![1 << 50, 32],
        &[&quoted, "end behind the file's"],
    );
    refused(
        |builder| builder.named(name).offset = Some(1),
        &[&quoted, "its offset 1 is not a multiple of 32"],
    );
    refused(
        |builder| builder.named(name).offset = Some(u64::MAX - 31),
        &[&quoted, "end behind the file's"],
    );
    refused(
        |builder| builder.named(name).offset = Some(1 << 40),
        &[&quoted, "end behind the file's"],
    );
    refused(
        |builder| builder.named(name).offset = Some(0),
        &["tensor", "its bytes overlap those of"],
    );
    refused(
        |builder| builder.named(name).name = "blk.1.attn_q.weight".to_owned(),
        &["tensor \"blk.1.attn_q.weight\"", "it is there twice"],
    );
    refused(
        |builder| builder.part("blk.0.attn_q_norm.weight", &[8], ElementType::F32),
        &[
            "tensor \"blk.0.attn_q_norm.weight\"",
            "a llama model has no such tensor",
        ],
    );
    refused(
        |builder| {
            let norm = builder.named("output_norm.weight");
            norm.kind = number(ElementType::Q8_0);
            norm.bytes.resize(34, 0);
        },
        &[
            "tensor \"output_norm.weight\"",
            "norms and biases are floats, and it is Q8_0",
        ],
    );
}

#[test]
fn types_that_are_not_supported_are_refused_by_name() {
    for (kind, name) in [
        (9, "its type Q8_1 is not supported"),
        (10, "Q2_K"),
        (11, "Q3_K"),
        (16, "IQ2_XXS"),
        (20, "IQ4_NL"),
        (34, "TQ1_0"),
        (39, "MXFP4"),
        (
            99,
            "its type number 99 is unknown (supported are F32, F16, BF16, Q4_0",
        ),
        (u32::MAX, "its type number 4294967295 is unknown"),
    ] {
        refused(
            |builder| builder.named("token_embd.weight").kind = kind,
            &["tensor \"token_embd.weight\"", name],
        );
    }
}

#[test]
fn files_cut_short_anywhere_are_refused() {
    let bytes = model().bytes();
    let (folder, path) = write(&bytes);
    open(&path);
    // Every place in the header, and some in the data; the last byte belongs to a tensor.
    let places = (1..2000)
        .chain((2000..bytes.len()).step_by(997))
        .chain([bytes.len() - 1]);
    for length in places {
        rewrite(&path, &bytes[..length]);
        refusal(&path);
    }
    drop(folder);
}

/// Blocks of 256 fit in its rows.
const WIDE: Sizes = Sizes {
    layers: 1,
    hidden: 256,
    intermediate: 256,
    heads: 2,
    kv_heads: 1,
    vocabulary: 300,
};

#[test]
fn scales_that_are_not_numbers_are_found() {
    // Where the scales of each type's block lie, by the format's definition of the block.
    for (element, scales) in [
        (ElementType::F32, &[2][..]),
        (ElementType::F16, &[0]),
        (ElementType::BF16, &[0]),
        (ElementType::Q4_0, &[0]),
        (ElementType::Q4_1, &[0, 2]),
        (ElementType::Q5_0, &[0]),
        (ElementType::Q5_1, &[0, 2]),
        (ElementType::Q8_0, &[0]),
        (ElementType::Q4_K, &[0, 2]),
        (ElementType::Q5_K, &[0, 2]),
        (ElementType::Q6_K, &[208]),
    ] {
        let per_row = 256 / element.block_elements();
        let size = element.block_bytes();
        for scale in scales {
            for bits in [0x7f_c0_u16, 0x7c00, 0xfc00] {
                // 0x7fc0 is NaN in both halves' formats and the top of a float; the others are the infinities of f16 alone.
                if bits != 0x7fc0 && matches!(element, ElementType::F32 | ElementType::BF16) {
                    continue;
                }
                let mut builder = Builder::model("llama", WIDE, element);
                let place = (7 * per_row + per_row - 1) * size + scale;
                builder.named("token_embd.weight").bytes[place..place + 2]
                    .copy_from_slice(&bits.to_le_bytes());
                let (_folder, path) = builder.write();
                let error = open(&path).check_values().unwrap_err().to_string();
                assert_says(
                    &error,
                    &[
                        "tensor \"token_embd.weight\"",
                        &format!(" {} of row 7 is NaN", per_row - 1),
                    ],
                );
            }
        }
        let (_folder, path) = Builder::model("llama", WIDE, element).write();
        open(&path).check_values().unwrap();
    }
}

#[test]
fn norms_and_first_blocks_are_looked_at_when_opening() {
    refused(
        |builder| {
            let bytes = &mut builder.named("blk.0.attn_norm.weight").bytes;
            bytes[40..44].copy_from_slice(&f32::INFINITY.to_le_bytes());
        },
        &[
            "tensor \"blk.0.attn_norm.weight\"",
            "element 10 of row 0 is NaN or infinite",
        ],
    );
    refused(
        |builder| {
            let bytes = &mut builder.named("blk.1.ffn_up.weight").bytes;
            bytes[..2].copy_from_slice(&0x7e00_u16.to_le_bytes());
        },
        &[
            "tensor \"blk.1.ffn_up.weight\"",
            "a scale of block 0 of row 0 is NaN or infinite",
        ],
    );
}

#[test]
fn names_from_files_are_shown_short_and_escaped() {
    let mut builder = model();
    builder.part(&format!("\x1b[31m{}", "x".repeat(5000)), &[8], ElementType::F32);
    let (_folder, path) = builder.write();
    let message = refusal(&path);
    assert!(message.len() < 600 && !message.contains('\x1b'), "{message}");
}
