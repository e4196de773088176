//! Files made of the tiny models and read back: by us, by the `safetensors` crate, and damaged.

use std::path::{Path, PathBuf};

use cwm_kernels::ElementType;
use cwm_kernels::blocks::{dequantise_row, quantise_row, scaled_row_bytes};

use super::*;
use crate::backend::{Backend, CpuBackend, CpuOptions, Driver, ReferenceBackend, Rows};
use crate::cache::{KvElement, PageLayout};
use crate::formats::{Checkpoint, FormatError, OpenOptions};
use crate::model::{LayerTensor, TensorRole, WeightFormat};

const MODELS: [&str; 4] = ["cwm16", "cwm17", "llama", "qwen2"];

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures/models", name]
        .iter()
        .collect()
}

fn source(name: &str) -> Checkpoint {
    Checkpoint::open(&fixture(name), &OpenOptions::default()).unwrap()
}

fn reopen(path: &Path) -> Result<Checkpoint, FormatError> {
    Checkpoint::open(path, &OpenOptions::default())
}

/// The file of a model in a format, in a folder that holds nothing else.
fn made(source: &Checkpoint, format: WeightFormat) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed.safetensors");
    quantise(source, format, &path, |_, _| ()).unwrap();
    (folder, path)
}

#[test]
fn a_file_holds_all_that_the_model_had_and_the_weights_that_the_rules_give() {
    for name in MODELS {
        let source = source(name);
        for format in WeightFormat::ALL {
            let (_folder, path) = made(&source, format);
            let packed = reopen(&path).unwrap();
            assert_eq!((&packed.spec, &packed.name), (&source.spec, &source.name));
            assert_eq!(packed.tokenizer, source.tokenizer);
            assert_eq!(
                (&packed.chat_template, &packed.generation),
                (&source.chat_template, &source.generation)
            );
            packed.check_values().unwrap();
            let stored: u64 = packed
                .tensors
                .values()
                .map(|tensor| tensor.stored_bytes() as u64)
                .sum();
            assert_eq!(
                stored,
                format.weight_bytes(&source.spec),
                "{name} {format:?}: what is planned is what is stored"
            );
            for role in source.spec.roles() {
                let (before, after) = (&source.tensors[&role], &packed.tensors[&role]);
                assert_eq!(after.element, format.element(&source.spec, role), "{role:?}");
                let mut floats = vec![0.0; before.rows() * before.columns()];
                let mut found = floats.clone();
                before.read_rows(0, &mut floats).unwrap();
                after.read_rows(0, &mut found).unwrap();
                if let Some((codes, scales)) = scaled_row_bytes(after.element, before.columns()) {
                    for row in floats.chunks_exact_mut(before.columns()) {
                        let (mut codes, mut scales) = (vec![0; codes], vec![0; scales]);
                        quantise_row(after.element, row, &mut codes, &mut scales).unwrap();
                        dequantise_row(after.element, &codes, &scales, row).unwrap();
                    }
                } else if after.element == ElementType::BF16 {
                    floats
                        .iter_mut()
                        .for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
                }
                assert_eq!(found, floats, "{name} {format:?} {role:?}");
            }
        }
    }
}

#[test]
fn another_reader_finds_the_documented_tensors() {
    let (_folder, path) = made(&source("cwm16"), WeightFormat::Int4);
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!(
        (metadata["cwm.version"].as_str(), metadata["cwm.weights"].as_str()),
        ("1", "int4")
    );
    let file = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, dtype, shape) in [
        ("model.embed_tokens.weight", "BF16", [512, 96].as_slice()),
        ("model.layers.3.mlp.down_proj.weight", "U8", &[96, 80]),
        ("model.layers.3.mlp.down_proj.weight.scale", "BF16", &[96, 2]),
        ("lm_head.weight", "F8_E4M3", &[512, 96]),
        ("lm_head.weight.scale", "F32", &[512]),
        ("model.norm.weight", "F32", &[96]),
    ] {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(
            (format!("{:?}", tensor.dtype()).as_str(), tensor.shape()),
            (dtype, shape),
            "{name}"
        );
    }
}

fn logits(backend: &mut dyn Backend) -> Vec<f32> {
    let tokens: Vec<u32> = (0..60).map(|index| index * 37 % 256).collect();
    let mut all = Vec::new();
    Driver::new(backend)
        .feed(&tokens, 16, Rows::All, |row| all.extend_from_slice(row))
        .unwrap();
    all
}

#[test]
fn both_back_ends_run_each_format_alike_and_near_the_source() {
    for name in MODELS {
        let source = source(name);
        let run = |checkpoint: &Checkpoint| {
            let layout = PageLayout::of(&checkpoint.spec, 16, KvElement::F32);
            let mut cpu = CpuBackend::load(checkpoint, layout.clone(), CpuOptions::default()).unwrap();
            let mut reference = ReferenceBackend::load(checkpoint, layout).unwrap();
            (logits(&mut cpu), logits(&mut reference))
        };
        let difference = |one: &[f32], other: &[f32]| {
            let differences = one.iter().zip(other).map(|(one, other)| (one - other).abs());
            differences.fold(0.0, f32::max)
        };
        let (_, exact) = run(&source);
        for (format, most) in [
            (WeightFormat::Bf16, 0.2),
            (WeightFormat::Fp8, 3.0),
            (WeightFormat::Int4, 12.0),
        ] {
            let (_folder, path) = made(&source, format);
            let (cpu, reference) = run(&reopen(&path).unwrap());
            assert!(
                difference(&cpu, &reference) < 2e-4,
                "{name} {format:?}: {}",
                difference(&cpu, &reference)
            );
            let lost = difference(&reference, &exact);
            println!("{name} {format:?}: {lost}");
            assert!(lost < most, "{name} {format:?}: {lost}");
        }
    }
}

/// A copy of a model's folder with the two bytes of a bf16 element at the end of its file's tensors set.
fn with_last_element(name: &str, value: f32) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
    }
    let checkpoint = Checkpoint::open(folder.path(), &OpenOptions::default()).unwrap();
    let tensor = &checkpoint.tensors[&TensorRole::Layer(1, LayerTensor::Down)];
    let (file, element) = (tensor.file().path().to_owned(), tensor.element);
    let begin = tensor.bytes().as_ptr() as usize - tensor.file().bytes().as_ptr() as usize;
    let middle = begin + (tensor.columns() * 5 + 7) * element.block_bytes();
    let mut bytes = std::fs::read(&file).unwrap();
    let value = match element {
        ElementType::F32 => value.to_le_bytes().to_vec(),
        _ => half::bf16::from_f32(value).to_le_bytes().to_vec(),
    };
    bytes[middle..middle + value.len()].copy_from_slice(&value);
    drop(checkpoint);
    std::fs::write(&file, bytes).unwrap();
    let checkpoint = Checkpoint::open(folder.path(), &OpenOptions::default()).unwrap();
    (folder, checkpoint)
}

#[test]
fn a_weight_that_is_no_number_is_named_and_nothing_is_left() {
    for value in [f32::NAN, f32::INFINITY] {
        let (_source, checkpoint) = with_last_element("llama", value);
        for format in WeightFormat::ALL {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("packed.safetensors");
            let error = quantise(&checkpoint, format, &path, |_, _| ())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("model.layers.1.mlp.down_proj.weight")
                    && error.contains("element 7 of row 5 is NaN or infinite"),
                "{error}"
            );
            assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        }
    }
}

#[test]
fn nothing_is_written_over_and_nothing_is_quantised_twice() {
    let source = source("llama");
    let (folder, path) = made(&source, WeightFormat::Fp8);
    let before = std::fs::read(&path).unwrap();
    let error = quantise(&source, WeightFormat::Int4, &path, |_, _| ()).unwrap_err();
    assert!(matches!(error, QuantiseError::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let other = folder.path().join("other.safetensors");
    let error = quantise(&reopen(&path).unwrap(), WeightFormat::Int4, &other, |_, _| ()).unwrap_err();
    assert!(matches!(error, QuantiseError::Already { .. }), "{error}");
    let nowhere = folder.path().join("no/such/folder/x.safetensors");
    let error = quantise(&source, WeightFormat::Int4, &nowhere, |_, _| ()).unwrap_err();
    assert!(matches!(error, QuantiseError::Write { .. }), "{error}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}

#[test]
fn the_checksum_covers_every_byte_and_damage_is_told_without_harm() {
    let (folder, path) = made(&source("llama"), WeightFormat::Int4);
    let whole = std::fs::read(&path).unwrap();
    let header = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize + 8;
    let changed = folder.path().join("changed.safetensors");
    let open_with = |bytes: &[u8]| {
        std::fs::write(&changed, bytes).unwrap();
        reopen(&changed).and_then(|checkpoint| checkpoint.check_values())
    };
    open_with(&whole).unwrap();
    let data = (header..whole.len()).step_by((whole.len() - header) / 150);
    for place in (0..header)
        .step_by(header / 350)
        .chain(data)
        .chain([whole.len() - 1])
    {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x11;
        assert!(
            open_with(&bytes).is_err(),
            "a change at {place} of {} is not seen",
            whole.len()
        );
    }
    for length in [0, 7, 8, 100, header - 1, header, whole.len() - 1] {
        assert!(open_with(&whole[..length]).is_err(), "{length}");
    }
    // Behind the header's length.
    let text = String::from_utf8(whole[8..header].to_vec()).unwrap();
    let refused = |from: &str, to: &str, words: &str| {
        assert!(text.contains(from) && from.len() == to.len(), "{from}");
        let mut bytes = whole.clone();
        let place = 8 + text.find(from).unwrap();
        bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
        let error = open_with(&bytes).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    refused(
        "\"cwm.version\":\"1\"",
        "\"cwm.version\":\"2\"",
        "another cwm, in version \"2\"",
    );
    refused(
        "q_proj.weight.scale",
        "q_proj.weight.scalf",
        "its scales are missing",
    );
}

#[test]
fn tensors_without_a_models_description_are_still_no_model() {
    let error = reopen(&fixture("llama").join("model.safetensors"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("it holds only tensors"), "{error}");
}
