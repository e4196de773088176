//! Real models: what is read from them is what their makers wrote.

use std::path::Path;

use cwm_kernels::ElementType;

use crate::formats::{Checkpoint, GgufVocabulary, OpenOptions, TokenizerSource};
use crate::model::{Architecture, Attention, LayerTensor, RopeLayout, RopeScaling, TensorRole};
use crate::test_models::{model, smollm2};

fn open(path: &Path) -> Checkpoint {
    Checkpoint::open(path, &OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn vocabulary(checkpoint: &Checkpoint) -> &GgufVocabulary {
    match &checkpoint.tokenizer {
        TokenizerSource::Gguf(vocabulary) => vocabulary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn smollm2_is_read_as_its_makers_wrote_it() {
    let checkpoint = open(&smollm2());
    let spec = &checkpoint.spec;
    assert_eq!(spec.architecture, Architecture::Llama);
    assert_eq!(spec.layers.len(), 30);
    assert!(spec.layers.iter().all(|layer| layer.attention == Attention::Full));
    assert_eq!(
        (spec.hidden, spec.intermediate, spec.vocabulary),
        (576, 1536, 49152)
    );
    assert_eq!(
        (spec.heads, spec.kv_heads, spec.head_dim, spec.context),
        (9, 3, 64, 8192)
    );
    assert_eq!(spec.norm_epsilon, 1e-5);
    assert_eq!(
        (spec.rope.theta, spec.rope.layout, &spec.rope.scaling),
        (100_000.0, RopeLayout::Interleaved, &RopeScaling::None)
    );
    assert!(spec.tied_head && !spec.qkv_bias);
    let types = |role| checkpoint.tensors[&role].element;
    assert_eq!(types(TensorRole::Embedding), ElementType::Q8_0);
    assert_eq!(types(TensorRole::OutputNorm), ElementType::F32);
    assert_eq!(types(TensorRole::Layer(29, LayerTensor::Down)), ElementType::Q4_1);
    let vocabulary = vocabulary(&checkpoint);
    assert_eq!(
        (vocabulary.model.as_str(), vocabulary.pre.as_deref()),
        ("gpt2", Some("smollm"))
    );
    assert_eq!((vocabulary.tokens.len(), vocabulary.merges.len()), (49152, 48900));
    assert_eq!((vocabulary.bos, vocabulary.eos), (Some(1), Some(2)));
    assert_eq!(vocabulary.add_bos, Some(false));
    // <|endoftext|> and <|im_end|>.
    assert_eq!(checkpoint.generation.stop_ids, [0, 2]);
    assert_eq!(checkpoint.name, "Smollm2 135M 8k Lc100K Mix1 Ep2");
    assert!(checkpoint.chat_template.unwrap().contains("<|im_start|>"));
}

/// The listing of an independent reader.
#[test]
fn tensors_lie_where_the_python_package_finds_them() {
    let checkpoint = open(&smollm2());
    let mut found: Vec<String> = checkpoint
        .tensors
        .values()
        .map(|tensor| {
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            let offset = tensor.bytes().as_ptr() as usize - tensor.file().bytes().as_ptr() as usize;
            let (name, kind, bytes) = (&tensor.name, tensor.element.name(), tensor.bytes().len());
            format!("{name} {kind} {} {offset} {bytes}", shape.join("x"))
        })
        .collect();
    let lines = include_str!("smollm2_tensors.txt").lines();
    let mut listed: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    found.sort();
    listed.sort_unstable();
    assert_eq!(listed.len(), 272);
    assert_eq!(found, listed);
    checkpoint.check_values().unwrap();
}

#[test]
#[ignore = "needs the 0.5B and 1.5B models (scripts/fetch-models qwen-0.5b qwen-1.5b)"]
fn qwen_models_are_read_as_their_makers_wrote_them() {
    let small = open(&model("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen-0.5b"));
    let large = open(&model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen-1.5b"));
    for (checkpoint, layers, hidden, intermediate, heads, head_dim) in
        [(&small, 24, 896, 4864, 14, 64), (&large, 28, 1536, 8960, 12, 128)]
    {
        let spec = &checkpoint.spec;
        assert_eq!(spec.architecture, Architecture::Qwen2);
        assert_eq!(
            (spec.layers.len(), spec.hidden, spec.intermediate),
            (layers, hidden, intermediate)
        );
        assert_eq!((spec.heads, spec.kv_heads, spec.head_dim), (heads, 2, head_dim));
        assert_eq!((spec.vocabulary, spec.context), (151_936, 32_768));
        assert_eq!(
            (spec.rope.theta, spec.rope.layout),
            (1_000_000.0, RopeLayout::HalfSplit)
        );
        assert!(spec.qkv_bias);
        // <|endoftext|> and <|im_end|>.
        assert_eq!(checkpoint.generation.stop_ids, [151_643, 151_645]);
    }
    // Its makers' files have the head twice in the small model, in two precisions.
    assert!(!small.spec.tied_head);
    assert_eq!(small.tensors[&TensorRole::Output].element, ElementType::Q8_0);
    assert_eq!(
        large.tensors[&TensorRole::Layer(0, LayerTensor::QueryBias)].element,
        ElementType::F32
    );
}
