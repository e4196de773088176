//! Small GGUF files made by hand: what is written is what is read.

use cwm_kernels::ElementType;

use super::builder::{
    Builder, SMALL, Sizes, bools_value, f32_value, i32s_value, string_value, strings_value, u32_value,
};
use super::{assert_says, open, refusal};
use crate::formats::{GgufVocabulary, TokenizerSource};
use crate::model::{Architecture, Attention, LayerTensor, RopeLayout, RopeScaling, TensorRole};

/// Blocks of 256 fit in its rows.
const WIDE: Sizes = Sizes {
    layers: 1,
    hidden: 256,
    intermediate: 256,
    heads: 2,
    kv_heads: 1,
    vocabulary: 3,
};

#[test]
fn every_type_is_read_where_it_lies_in_both_versions() {
    for version in [2, 3] {
        let stored = ElementType::ALL
            .into_iter()
            .filter(|element| !element.has_scales_apart());
        for element in stored {
            let mut builder = Builder::model("llama", WIDE, element);
            builder.version = version;
            let (_folder, path) = builder.write();
            let checkpoint = open(&path);
            assert_eq!(checkpoint.tensors.len(), builder.parts.len());
            for (role, name) in [
                (TensorRole::Embedding, "token_embd.weight"),
                (TensorRole::Layer(0, LayerTensor::Key), "blk.0.attn_k.weight"),
                (TensorRole::Layer(0, LayerTensor::Down), "blk.0.ffn_down.weight"),
                (TensorRole::OutputNorm, "output_norm.weight"),
            ] {
                let (tensor, part) = (&checkpoint.tensors[&role], builder.named(name));
                assert_eq!(tensor.bytes(), part.bytes, "{name} of {element:?}");
                let shape: Vec<u64> = tensor.shape.iter().map(|size| *size as u64).collect();
                assert_eq!(shape, part.shape);
            }
            assert_eq!(checkpoint.tensors[&TensorRole::Embedding].element, element);
        }
    }
}

#[test]
fn the_data_starts_where_the_alignment_says() {
    let mut builder = Builder::model("llama", SMALL, ElementType::Q8_0);
    builder.alignment = 256;
    builder.key("general.alignment", u32_value(256));
    let (_folder, path) = builder.write();
    let checkpoint = open(&path);
    let part = builder.named("blk.1.ffn_up.weight");
    assert_eq!(
        checkpoint.tensors[&TensorRole::Layer(1, LayerTensor::Up)].bytes(),
        part.bytes
    );
}

#[test]
fn families_differ_in_layout_biases_and_heads() {
    let (_folder, path) = Builder::model("llama", SMALL, ElementType::F16).write();
    let llama = open(&path).spec;
    assert_eq!(llama.architecture, Architecture::Llama);
    assert_eq!(llama.rope.layout, RopeLayout::Interleaved);
    assert!(!llama.qkv_bias && llama.tied_head);
    assert_eq!((llama.head_dim, llama.kv_heads), (8, 2));

    let mut builder = Builder::model("qwen2", SMALL, ElementType::BF16);
    builder.part("output.weight", &[40, 32], ElementType::F32);
    let (_folder, path) = builder.write();
    let qwen = open(&path).spec;
    assert_eq!(qwen.architecture, Architecture::Qwen2);
    assert_eq!(qwen.rope.layout, RopeLayout::HalfSplit);
    assert!(qwen.qkv_bias && !qwen.tied_head);
}

#[test]
fn cwm_files_say_which_layers_slide() {
    let mut builder = Builder::model("cwm", SMALL, ElementType::F32);
    builder.key("cwm.attention.sliding_window", u32_value(16));
    let (_folder, path) = builder.write();
    assert_says(
        &refusal(&path),
        &["cwm.attention.sliding_window_pattern is missing"],
    );
    builder.key(
        "cwm.attention.sliding_window_pattern",
        bools_value(&[false, true]),
    );
    let (_folder, path) = builder.write();
    let spec = open(&path).spec;
    assert_eq!(spec.architecture, Architecture::Cwm);
    let layers: Vec<_> = spec.layers.iter().map(|layer| layer.attention).collect();
    assert_eq!(layers, [Attention::Full, Attention::Window(16)]);
    builder.key("cwm.attention.sliding_window_pattern", i32s_value(&[1]));
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["names 1 layers of 2"]);
    builder.without_key("cwm.attention.sliding_window");
    let (_folder, path) = builder.write();
    assert_says(
        &refusal(&path),
        &["metadata key \"cwm.attention.sliding_window\" is missing"],
    );
}

#[test]
fn a_window_in_a_plain_llama_is_never_left_out() {
    let mut builder = Builder::model("llama", SMALL, ElementType::F32);
    builder.key("llama.attention.sliding_window", u32_value(16));
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["a sliding window of 16", "layer_types"]);
    // A window that the context does not exceed changes nothing.
    builder.key("llama.attention.sliding_window", u32_value(512));
    let (_folder, path) = builder.write();
    assert_eq!(open(&path).spec.window(), None);
}

#[test]
fn rotary_scaling_is_taken_from_the_file_or_refused() {
    let mut builder = Builder::model("llama", SMALL, ElementType::F32);
    builder.key("llama.rope.scaling.type", string_value("linear"));
    builder.key("llama.rope.scaling.factor", f32_value(4.0));
    let (_folder, path) = builder.write();
    assert_eq!(open(&path).spec.rope.scaling, RopeScaling::Linear { factor: 4.0 });
    builder.key("llama.rope.scaling.type", string_value("yarn"));
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["rope scaling is \"yarn\""]);

    let mut builder = Builder::model("llama", SMALL, ElementType::F32);
    builder.part("rope_freqs.weight", &[4], ElementType::F32);
    let factors = [1.0_f32, 1.5, 8.0, 16.0];
    builder.named("rope_freqs.weight").bytes = factors.iter().flat_map(|f| f.to_le_bytes()).collect();
    let (_folder, path) = builder.write();
    assert_eq!(
        open(&path).spec.rope.scaling,
        RopeScaling::Factors(factors.to_vec())
    );
    builder.named("rope_freqs.weight").bytes[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["a rotary factor is NaN"]);
    builder.parts.pop();
    builder.part("rope_freqs.weight", &[3], ElementType::F32);
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["3 rotary factors for heads of 8 elements"]);
}

fn vocabulary(builder: &Builder) -> (GgufVocabulary, Vec<u32>) {
    let (_folder, path) = builder.write();
    let checkpoint = open(&path);
    match checkpoint.tokenizer {
        TokenizerSource::Gguf(vocabulary) => (vocabulary, checkpoint.generation.stop_ids),
        other => panic!("{other:?}"),
    }
}

#[test]
fn generation_stops_at_named_ids_and_at_control_tokens_by_name() {
    let mut builder = Builder::model("llama", SMALL, ElementType::F32);
    builder.vocabulary(40, &["<s>", "<|end_of_text|>", "<|eot_id|>", "</s>", "<turn>"]);
    builder.key("tokenizer.ggml.bos_token_id", u32_value(0));
    builder.key("tokenizer.ggml.eos_token_id", u32_value(3));
    builder.key("tokenizer.ggml.eot_token_id", u32_value(4));
    builder.key("tokenizer.ggml.padding_token_id", u32_value(u32::MAX));
    let (words, stops) = vocabulary(&builder);
    assert_eq!(stops, [1, 2, 3, 4]);
    assert_eq!((words.bos, words.eos, words.padding), (Some(0), Some(3), None));
    assert_eq!(words.tokens[2], "<|eot_id|>");
    assert_eq!(words.merges, ["a b", "b c"]);

    // The same text as an ordinary token, which a model may write, stops nothing.
    let mut tokens: Vec<String> = (0..40).map(|index| format!("t{index}")).collect();
    tokens[7] = "<|im_end|>".to_owned();
    builder.key(
        "tokenizer.ggml.tokens",
        strings_value(tokens.iter().map(String::as_str)),
    );
    assert_eq!(vocabulary(&builder).1, [3, 4]);
}

#[test]
fn ids_outside_the_vocabulary_are_refused() {
    let mut builder = Builder::model("llama", SMALL, ElementType::F32);
    builder.vocabulary(40, &[]);
    builder.key("tokenizer.ggml.eos_token_id", u32_value(40));
    let (_folder, path) = builder.write();
    assert_says(
        &refusal(&path),
        &["tokenizer.ggml.eos_token_id is 40 and there are 40 tokens"],
    );
    builder.vocabulary(41, &[]);
    builder.without_key("tokenizer.ggml.eos_token_id");
    let (_folder, path) = builder.write();
    assert_says(
        &refusal(&path),
        &["its vocabulary has 41 tokens and its embedding 40 rows"],
    );
    builder.vocabulary(40, &[]);
    builder.key("tokenizer.ggml.token_type", i32s_value(&[1; 39]));
    let (_folder, path) = builder.write();
    assert_says(&refusal(&path), &["39 token types for 40 tokens"]);
}

#[test]
fn split_models_are_opened_by_any_of_their_files() {
    let whole = Builder::model("llama", SMALL, ElementType::Q4_0);
    let folder = tempfile::tempdir().unwrap();
    let name = |number: usize| folder.path().join(format!("m-{number:05}-of-00002.gguf"));
    let mut first = whole.clone();
    let rest = first.parts.split_off(6);
    first.key("split.count", u32_value(2));
    first.key("split.no", u32_value(0));
    let mut second = Builder {
        keys: Vec::new(),
        parts: rest,
        ..whole
    };
    second.key("split.count", u32_value(2));
    second.key("split.no", u32_value(1));
    std::fs::write(name(1), first.bytes()).unwrap();
    assert_says(
        &super::try_open(&name(1)).unwrap_err().to_string(),
        &["m-00002-of-00002.gguf", "shard, 2 of 2, is missing"],
    );
    std::fs::write(name(2), second.bytes()).unwrap();
    for path in [name(1), name(2), folder.path().to_owned()] {
        let checkpoint = open(&path);
        assert_eq!(checkpoint.files, [name(1), name(2)]);
        assert_eq!(checkpoint.tensors.len(), whole.parts.len());
        let last = &checkpoint.tensors[&TensorRole::OutputNorm];
        assert_eq!(last.bytes(), whole.parts.last().unwrap().bytes);
    }
    // A file of another set, and one whose tensors were there before.
    std::fs::write(name(2), first.bytes()).unwrap();
    assert_says(&refusal(&name(2)), &["it says that it is part 1 of 2"]);
    second.parts.push(first.parts[0].clone());
    std::fs::write(name(2), second.bytes()).unwrap();
    assert_says(
        &refusal(&name(2)),
        &["tensor \"token_embd.weight\"", "it is also in", "00001-of-00002"],
    );
}

#[test]
fn fingerprints_tell_models_apart() {
    let builder = Builder::model("llama", SMALL, ElementType::Q4_1);
    let of = |builder: &Builder| {
        let (_folder, path) = builder.write();
        open(&path).fingerprint()
    };
    assert_eq!(of(&builder), of(&builder));
    let mut moved = builder.clone();
    moved.key("general.alignment", u32_value(64));
    moved.alignment = 64;
    assert_eq!(
        of(&builder),
        of(&moved),
        "where tensors lie is no part of a model"
    );
    let mut other = builder.clone();
    *other.named("blk.1.ffn_down.weight").bytes.last_mut().unwrap() ^= 1;
    assert_ne!(of(&builder), of(&other));
    let mut other = builder.clone();
    other.key("llama.rope.freq_base", f32_value(10_000.001));
    assert_ne!(of(&builder), of(&other));
}
