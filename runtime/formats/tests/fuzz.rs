//! Thousands of small models with bytes changed at random: each opens or is refused, and nothing else happens. The rounds run in a
//! process whose memory is limited to 64 MiB, so that a number in a file that becomes an allocation ends it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cwm_kernels::ElementType;
use safetensors::tensor::Dtype;

use super::builder::{Builder, SMALL, rewrite, u32_value, write};
use super::huggingface::{CWM, QWEN2, folder, parse, shard};
use super::try_open;
use crate::test_random::Random;

/// Numbers that break sums and products.
const NUMBERS: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 60,
    i64::MAX as u64,
    u64::MAX,
];

/// Changes a few places: bits, bytes, whole numbers, parts copied over others, cut out, put in, and the end cut off. Most fall within
/// the first `header` bytes.
fn mutate(bytes: &[u8], header: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let end = match random.below(8) {
            0 => bytes.len(),
            _ => header.min(bytes.len()),
        };
        let at = random.below(end);
        let length = (1 + random.below(24)).min(bytes.len() - at);
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 | 3 => {
                let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
                let width = [2, 4, 8][random.below(3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => {
                let from = random.below(bytes.len() - length + 1);
                bytes.copy_within(from..from + length, at);
            }
            5 => drop(bytes.drain(at..at + length)),
            6 => {
                let copy = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// How many opened and how many were refused.
#[derive(Debug, Default)]
struct Tally {
    opened: usize,
    refused: usize,
}

/// Opens what may be opened, and then looks at all of it.
fn attempt(path: &Path, tally: &mut Tally) {
    let start = Instant::now();
    match try_open(path) {
        Ok(checkpoint) => {
            tally.opened += 1;
            let spec = &checkpoint.spec;
            assert_eq!(checkpoint.tensors.len(), spec.roles().len());
            for (role, tensor) in &checkpoint.tensors {
                assert_eq!(tensor.shape, spec.shape(*role));
                assert!((0..tensor.rows()).all(|row| tensor.row(row).is_some()));
            }
            let frequencies = spec.rope.inverse_frequencies(spec.head_dim);
            assert_eq!(frequencies.len(), spec.head_dim / 2);
            let known = |id: &u32| (*id as usize) < spec.vocabulary;
            assert!(checkpoint.generation.stop_ids.iter().all(known));
            checkpoint.fingerprint();
            let _ = checkpoint.check_values();
        }
        Err(error) => {
            tally.refused += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Opens the model with one of its files changed, again and again.
fn rounds(model: &Path, file: &Path, header: usize, count: usize, seed: u64) -> Tally {
    let original = fs::read(file).unwrap();
    let (mut random, mut tally) = (Random(seed), Tally::default());
    for _ in 0..count {
        rewrite(file, &mutate(&original, header, &mut random));
        attempt(model, &mut tally);
    }
    rewrite(file, &original);
    tally
}

#[test]
#[ignore = "run by changed_files_open_or_are_refused with limited memory"]
fn gguf_rounds() {
    let mut tally = Tally::default();
    for (seed, family, element) in [(1, "llama", ElementType::Q4_1), (2, "qwen2", ElementType::F16)] {
        let mut builder = Builder::model(family, SMALL, element);
        builder.vocabulary(40, &["<|im_end|>", "<|endoftext|>"]);
        builder.key("tokenizer.ggml.eos_token_id", u32_value(0));
        builder.part("rope_freqs.weight", &[4], ElementType::F32);
        builder.named("rope_freqs.weight").bytes = 2.0_f32.to_le_bytes().repeat(4);
        let header = 4000;
        let (_folder, path) = write(&builder.bytes());
        let some = rounds(&path, &path, header, 4000, seed);
        tally.opened += some.opened;
        tally.refused += some.refused;
    }
    println!("{tally:?}");
    assert!(tally.opened > 100 && tally.refused > 1000, "{tally:?}");
}

#[test]
#[ignore = "run by changed_files_open_or_are_refused with limited memory"]
fn folder_rounds() {
    let mut tally = Tally::default();
    let mut add = |some: Tally| {
        tally.opened += some.opened;
        tally.refused += some.refused;
    };
    let config = parse(QWEN2);
    let place = folder(&config, Dtype::BF16);
    let words = [
        (
            "generation_config.json",
            r#"{"eos_token_id": [3, 1], "temperature": 0.6, "top_k": 20}"#,
        ),
        (
            "tokenizer.json",
            r#"{"added_tokens": [{"id": 9, "content": "<|eot_id|>", "special": true}], "model": {}}"#,
        ),
        (
            "tokenizer_config.json",
            r#"{"chat_template": [{"name": "default", "template": "D"}]}"#,
        ),
    ];
    for (name, text) in words {
        fs::write(place.path().join(name), text).unwrap();
    }
    let names = words.map(|(name, _)| (name, 500));
    for (seed, (name, count)) in [("config.json", 1500), ("model.safetensors", 1500)]
        .into_iter()
        .chain(names)
        .enumerate()
    {
        let file = place.path().join(name);
        add(rounds(place.path(), &file, 4000, count, seed as u64));
    }
    let config = parse(CWM);
    let place = folder(&config, Dtype::BF16);
    shard(place.path(), &config);
    for (seed, name) in ["config.json", "model.safetensors.index.json"]
        .into_iter()
        .enumerate()
    {
        let file = place.path().join(name);
        add(rounds(place.path(), &file, 4000, 1000, 10 + seed as u64));
    }
    println!("{tally:?}");
    assert!(tally.opened > 100 && tally.refused > 1000, "{tally:?}");
}

#[test]
#[ignore = "run by the_limit_on_memory_holds with limited memory, which it does not survive"]
fn takes_too_much() {
    assert_eq!(vec![1_u8; 80 << 20].iter().step_by(4096).count(), 20 << 10);
}

/// Runs one of the tests above in a process of its own that may have 64 MiB of memory that is its own.
fn run_limited(test: &str) -> Output {
    Command::new("sh")
        .args(["-c", r#"ulimit -d 65536 && exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .arg(format!("formats::tests::fuzz::{test}"))
        .output()
        .unwrap()
}

#[test]
fn changed_files_open_or_are_refused() {
    for test in ["gguf_rounds", "folder_rounds"] {
        let output = run_limited(test);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{}: {text}\n{errors}",
            output.status
        );
    }
}

#[test]
fn the_limit_on_memory_holds() {
    let output = run_limited("takes_too_much");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && errors.contains("memory allocation of"),
        "{}: {errors}",
        output.status
    );
}
