//! Writes small GGUF files, right or wrong.

use std::path::{Path, PathBuf};

use cwm_kernels::ElementType;
use tempfile::TempDir;

/// A metadata value's type and bytes.
#[derive(Clone)]
pub(crate) struct Encoded(u32, Vec<u8>);

pub(crate) fn u32_value(number: u32) -> Encoded {
    Encoded(4, number.to_le_bytes().to_vec())
}

pub(crate) fn f32_value(number: f32) -> Encoded {
    Encoded(6, number.to_le_bytes().to_vec())
}

pub(crate) fn string_value(text: &str) -> Encoded {
    Encoded(8, string_bytes(text))
}

pub(crate) fn strings_value<'a>(texts: impl IntoIterator<Item = &'a str>) -> Encoded {
    let texts: Vec<_> = texts.into_iter().map(string_bytes).collect();
    array_value(8, texts.len() as u64, &texts.concat())
}

pub(crate) fn i32s_value(numbers: &[i32]) -> Encoded {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    array_value(5, numbers.len() as u64, &bytes)
}

pub(crate) fn bools_value(truths: &[bool]) -> Encoded {
    let bytes: Vec<u8> = truths.iter().map(|truth| u8::from(*truth)).collect();
    array_value(7, truths.len() as u64, &bytes)
}

/// An array that claims `count` elements, whatever its bytes are.
pub(crate) fn array_value(kind: u32, count: u64, bytes: &[u8]) -> Encoded {
    let mut value = kind.to_le_bytes().to_vec();
    value.extend(count.to_le_bytes());
    value.extend(bytes);
    Encoded(9, value)
}

/// A value with any type number and any bytes.
pub(crate) fn raw_value(kind: u32, bytes: &[u8]) -> Encoded {
    Encoded(kind, bytes.to_vec())
}

fn string_bytes(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A tensor: its shape outermost first, its type's number, its bytes, and where to claim that it lies, when not where it does.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) offset: Option<u64>,
}

/// A file to be.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) keys: Vec<(String, Encoded)>,
    pub(crate) parts: Vec<Part>,
    pub(crate) claimed_keys: Option<u64>,
    pub(crate) claimed_parts: Option<u64>,
}

/// The number of a type in files.
pub(crate) fn number(element: ElementType) -> u32 {
    match element {
        ElementType::F32 => 0,
        ElementType::F16 => 1,
        ElementType::Q4_0 => 2,
        ElementType::Q4_1 => 3,
        ElementType::Q5_0 => 6,
        ElementType::Q5_1 => 7,
        ElementType::Q8_0 => 8,
        ElementType::Q4_K => 12,
        ElementType::Q5_K => 13,
        ElementType::Q6_K => 14,
        ElementType::BF16 => 30,
        ElementType::E4M3 | ElementType::I4 => unreachable!("no GGUF file has it"),
    }
}

/// The sizes of a small model.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) layers: u32,
    pub(crate) hidden: u32,
    pub(crate) intermediate: u32,
    pub(crate) heads: u32,
    pub(crate) kv_heads: u32,
    pub(crate) vocabulary: u32,
}

pub(crate) const SMALL: Sizes = Sizes {
    layers: 2,
    hidden: 32,
    intermediate: 64,
    heads: 4,
    kv_heads: 2,
    vocabulary: 40,
};

impl Builder {
    /// A whole model of one family, its matrices of one type.
    pub(crate) fn model(family: &str, sizes: Sizes, element: ElementType) -> Builder {
        let mut builder = Builder {
            version: 3,
            alignment: 32,
            keys: Vec::new(),
            parts: Vec::new(),
            claimed_keys: None,
            claimed_parts: None,
        };
        builder.key("general.architecture", string_value(family));
        builder.key("general.name", string_value("Small"));
        for (name, value) in [
            ("block_count", u32_value(sizes.layers)),
            ("context_length", u32_value(512)),
            ("embedding_length", u32_value(sizes.hidden)),
            ("feed_forward_length", u32_value(sizes.intermediate)),
            ("attention.head_count", u32_value(sizes.heads)),
            ("attention.head_count_kv", u32_value(sizes.kv_heads)),
            ("attention.layer_norm_rms_epsilon", f32_value(1e-5)),
            ("rope.freq_base", f32_value(10_000.0)),
        ] {
            builder.key(&format!("{family}.{name}"), value);
        }
        builder.tensors(family, sizes, element);
        builder
    }

    fn tensors(&mut self, family: &str, sizes: Sizes, element: ElementType) {
        let (hidden, middle) = (u64::from(sizes.hidden), u64::from(sizes.intermediate));
        let keys = hidden / u64::from(sizes.heads) * u64::from(sizes.kv_heads);
        self.part(
            "token_embd.weight",
            &[u64::from(sizes.vocabulary), hidden],
            element,
        );
        for layer in 0..sizes.layers {
            for (name, rows, columns) in [
                ("attn_q", hidden, hidden),
                ("attn_k", keys, hidden),
                ("attn_v", keys, hidden),
                ("attn_output", hidden, hidden),
                ("ffn_gate", middle, hidden),
                ("ffn_up", middle, hidden),
                ("ffn_down", hidden, middle),
            ] {
                self.part(&format!("blk.{layer}.{name}.weight"), &[rows, columns], element);
            }
            for name in ["attn_norm.weight", "ffn_norm.weight"] {
                self.part(&format!("blk.{layer}.{name}"), &[hidden], ElementType::F32);
            }
            if family == "qwen2" {
                for (name, rows) in [("attn_q", hidden), ("attn_k", keys), ("attn_v", keys)] {
                    self.part(&format!("blk.{layer}.{name}.bias"), &[rows], ElementType::F32);
                }
            }
        }
        self.part("output_norm.weight", &[hidden], ElementType::F32);
    }

    pub(crate) fn key(&mut self, name: &str, value: Encoded) {
        match self.keys.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.keys.push((name.to_owned(), value)),
        }
    }

    pub(crate) fn without_key(&mut self, name: &str) {
        self.keys.retain(|(key, _)| key != name);
    }

    /// Adds a tensor of made-up bytes, all of whose floats are finite.
    pub(crate) fn part(&mut self, name: &str, shape: &[u64], element: ElementType) {
        let elements = usize::try_from(shape.iter().product::<u64>()).unwrap();
        let salt = self.parts.len() * 7;
        let bytes = (0..element.bytes_of(elements).unwrap())
            .map(|index| ((index * 31 + salt) % 61) as u8)
            .collect();
        self.parts.push(Part {
            name: name.to_owned(),
            shape: shape.to_vec(),
            kind: number(element),
            bytes,
            offset: None,
        });
    }

    pub(crate) fn named(&mut self, name: &str) -> &mut Part {
        self.parts.iter_mut().find(|part| part.name == name).unwrap()
    }

    /// A vocabulary of that many tokens, those given among the control tokens at its start.
    pub(crate) fn vocabulary(&mut self, size: usize, control: &[&str]) {
        let rest: Vec<String> = (control.len()..size).map(|index| format!("t{index}")).collect();
        let tokens = control.iter().copied().chain(rest.iter().map(String::as_str));
        let types: Vec<i32> = (0..size)
            .map(|index| if index < control.len() { 3 } else { 1 })
            .collect();
        self.key("tokenizer.ggml.model", string_value("gpt2"));
        self.key("tokenizer.ggml.tokens", strings_value(tokens));
        self.key("tokenizer.ggml.token_type", i32s_value(&types));
        self.key("tokenizer.ggml.merges", strings_value(["a b", "b c"]));
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(
            self.claimed_parts
                .unwrap_or(self.parts.len() as u64)
                .to_le_bytes(),
        );
        bytes.extend(self.claimed_keys.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (key, Encoded(kind, value)) in &self.keys {
            bytes.extend(string_bytes(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        let mut offset = 0;
        for part in &self.parts {
            bytes.extend(string_bytes(&part.name));
            bytes.extend((part.shape.len() as u32).to_le_bytes());
            for size in part.shape.iter().rev() {
                bytes.extend(size.to_le_bytes());
            }
            bytes.extend(part.kind.to_le_bytes());
            bytes.extend(part.offset.unwrap_or(offset as u64).to_le_bytes());
            offset = (offset + part.bytes.len()).next_multiple_of(self.alignment);
        }
        for part in &self.parts {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
            bytes.extend(&part.bytes);
        }
        bytes
    }

    /// Writes it to a folder of its own.
    pub(crate) fn write(&self) -> (TempDir, PathBuf) {
        write(&self.bytes())
    }
}

/// Writes a file `small.gguf` in a folder of its own.
pub(crate) fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Writes a file anew: some file systems wait for the disk when a file is emptied and written again, which thousands of rounds feel.
pub(crate) fn rewrite(path: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
}
