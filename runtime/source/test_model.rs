//! A tiny model of CWM's form that speaks Llama 3's vocabulary.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::test_models::model;

const VOCABULARY: usize = 128_256;

/// The fixture `cwm16` with more rows for more tokens: those that it has, over and over, each a little louder than the last, so that no
/// two tokens are equally likely.
pub(super) fn tiny_cwm() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models/cwm16");
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(fixture.join(name)).unwrap()).unwrap()
    };
    let write =
        |name: &str, value: &Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    let stop = serde_json::json!([128_001, 128_008, 128_009]);
    let mut config = json("config.json");
    config["vocab_size"] = VOCABULARY.into();
    config["bos_token_id"] = 128_000.into();
    config["pad_token_id"] = 128_004.into();
    config["eos_token_id"] = stop.clone();
    write("config.json", &config);
    write(
        "generation_config.json",
        &serde_json::json!({"eos_token_id": stop}),
    );
    let vocabulary = model("llama3-tokenizer.model", "llama3-tokenizer");
    std::fs::copy(vocabulary, folder.path().join("tokenizer.model")).unwrap();

    let weights = std::fs::read(fixture.join("model.safetensors")).unwrap();
    let weights = SafeTensors::deserialize(&weights).unwrap();
    let mut grown = BTreeMap::new();
    for name in ["model.embed_tokens.weight", "lm_head.weight"] {
        let tensor = weights.tensor(name).unwrap();
        let (rows, bytes) = (tensor.shape()[0], tensor.data());
        let copies = (0..VOCABULARY.div_ceil(rows)).flat_map(|copy| {
            let scale = 1.0 + copy as f32 / 128.0;
            bytes.as_chunks::<2>().0.iter().flat_map(move |value| {
                let value = f32::from_bits(u32::from(u16::from_le_bytes(*value)) << 16) * scale;
                let [_, _, low, high] = value.to_le_bytes();
                [low, high]
            })
        });
        let data: Vec<u8> = copies.take(VOCABULARY * tensor.shape()[1] * 2).collect();
        grown.insert(name.to_owned(), (tensor.shape()[1], data));
    }
    let tensors = weights.tensors().into_iter().map(|(name, tensor)| {
        let view = match grown.get(&name) {
            Some((columns, data)) => TensorView::new(Dtype::BF16, vec![VOCABULARY, *columns], data).unwrap(),
            None => tensor,
        };
        (name, view)
    });
    safetensors::serialize_to_file(tensors, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}
