//! `cwm model quantize` on a checkpoint of some hundred megabytes that is made here, and what fits in a device.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::context::{TestContext, binary};

/// Elements of the checkpoint below, in millions: enough that memory which grows with it would show.
const LAYERS: usize = 12;
const HIDDEN: usize = 1024;
const INTERMEDIATE: usize = 4096;
const VOCABULARY: usize = 16_384;

/// Writes a llama of random weights in two shards, and returns its bytes.
fn write_checkpoint(folder: &Path) -> u64 {
    std::fs::create_dir_all(folder).unwrap();
    let config = json!({
        "model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
        "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": VOCABULARY, "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let mut shards: [Vec<(String, Vec<usize>)>; 2] = [Vec::new(), Vec::new()];
    shards[0].push(("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, HIDDEN]));
    for layer in 0..LAYERS {
        let shard = &mut shards[layer * 2 / LAYERS];
        let mut add = |name: &str, shape: &[usize]| {
            shard.push((format!("model.layers.{layer}.{name}.weight"), shape.to_vec()));
        };
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{name}"), &[HIDDEN, HIDDEN]);
        }
        add("mlp.gate_proj", &[INTERMEDIATE, HIDDEN]);
        add("mlp.up_proj", &[INTERMEDIATE, HIDDEN]);
        add("mlp.down_proj", &[HIDDEN, INTERMEDIATE]);
    }
    shards[1].push(("model.norm.weight".to_owned(), vec![HIDDEN]));
    shards[1].push(("lm_head.weight".to_owned(), vec![VOCABULARY, HIDDEN]));
    let mut places = serde_json::Map::new();
    let mut all = 0;
    for (number, tensors) in shards.iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", number + 1);
        all += write_shard(&folder.join(&name), tensors);
        places.extend(tensors.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
    }
    let index = json!({"weight_map": places});
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
    all
}

fn write_shard(path: &Path, tensors: &[(String, Vec<usize>)]) -> u64 {
    let mut header = serde_json::Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let begin = end;
        end += shape.iter().product::<usize>() * 2;
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}),
        );
    }
    let header = Value::Object(header).to_string();
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    // Numbers of both signs up to 1/32, from a small generator: the upper bytes 0x3c and 0xbc.
    let mut state = 0x9e37_79b9_u32;
    let block: Vec<u8> = (0..1 << 16)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            [(state >> 24) as u8, 0x3c | (state >> 16) as u8 & 0x80]
        })
        .collect();
    let mut left = end;
    while left > 0 {
        let part = left.min(block.len());
        file.write_all(&block[..part]).unwrap();
        left -= part;
    }
    file.flush().unwrap();
    end as u64
}

#[test]
fn memory_does_not_grow_with_the_model() {
    let context = TestContext::new();
    let source = write_checkpoint(&context.folder().join("model"));
    assert!(source > 400 << 20, "{source}");
    for format in ["fp8", "int4"] {
        // The most that a child ever held in memory, pages of mapped files included, in kibibytes.
        let measure = "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
                       print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
        let output = format!("{format}.safetensors");
        let run = context
            .command("python3")
            .args([
                "-c",
                measure,
                binary(),
                "model",
                "quantize",
                "model",
                "--to",
                format,
                "-o",
                output.as_str(),
            ])
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let peak: u64 = String::from_utf8_lossy(&run.stdout).trim().parse().unwrap();
        println!(
            "{format}: {} MiB of memory for {} MiB of weights",
            peak >> 10,
            source >> 20
        );
        assert!(
            peak * 1024 < source / 2,
            "{format}: {peak} KiB for {source} bytes"
        );
    }
    let events = context
        .run(["model", "info", "fp8.safetensors", "--json"])
        .events();
    let info = events
        .iter()
        .find(|event| event["event"] == "model.info")
        .unwrap();
    let share = info["weight_bytes"].as_u64().unwrap() as f64 / source as f64;
    assert!(
        (0.5..0.6).contains(&share),
        "{share}: half of all but the embeddings"
    );
    let again = context.run([
        "model",
        "quantize",
        "model",
        "--to",
        "fp8",
        "-o",
        "fp8.safetensors",
    ]);
    assert!(
        again.code == 2 && again.stderr.contains("is there already"),
        "{again:?}"
    );
}

#[test]
fn a_run_that_is_killed_leaves_nothing() {
    let context = TestContext::new();
    write_checkpoint(&context.folder().join("model"));
    let out = context.folder().join("out");
    std::fs::create_dir(&out).unwrap();
    let mut command = context.command(binary());
    command.args([
        "model",
        "quantize",
        "model",
        "--to",
        "int4",
        "-o",
        "out/int4.safetensors",
        "--json",
    ]);
    let mut child = command.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "it was done before it was killed"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // File systems without unnamed files keep one whose name says what it is.
    let left: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        left.iter().all(|name| name.starts_with(".cwm-quantize-")),
        "{left:?}"
    );
}

#[test]
fn what_fits_in_a_device_is_a_table_that_needs_no_weights() {
    let context = TestContext::new();
    std::fs::create_dir(context.folder().join("cwm")).unwrap();
    let config = json!({
        "model_type": "cwm", "num_hidden_layers": 64, "hidden_size": 6144, "intermediate_size": 21504,
        "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 128_256,
        "max_position_embeddings": 131_072, "sliding_window": 8192, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
        "rope_theta": 1e6, "rope_scaling": {"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    });
    std::fs::write(context.folder().join("cwm/config.json"), config.to_string()).unwrap();
    let outcome = context.run(["model", "info", "cwm", "--device", "80GiB", "--json"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let events = outcome.events();
    let fits: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "model.fit")
        .collect();
    let formats: Vec<_> = fits
        .iter()
        .map(|fit| (fit["weights"].as_str().unwrap(), fit["kv_type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        formats,
        [
            ("bf16", "bf16"),
            ("bf16", "fp8"),
            ("fp8", "bf16"),
            ("fp8", "fp8"),
            ("int4", "bf16"),
            ("int4", "fp8")
        ]
    );
    let gigabytes: Vec<f64> = fits
        .iter()
        .map(|fit| fit["weight_bytes"].as_u64().unwrap() as f64 / 1e9)
        .collect();
    for (found, expected) in gigabytes.iter().step_by(2).zip([65.16, 33.39, 18.35]) {
        assert!((found - expected).abs() < 0.02, "{gigabytes:?}");
    }
    let whole = &fits[3]["contexts"][3];
    assert_eq!(
        (&whole["context"], &whole["own_tokens"]),
        (&json!(131_072), &json!(8192))
    );
    let (independent, sharing) = (
        whole["independent"].as_u64().unwrap(),
        whole["sharing"].as_u64().unwrap(),
    );
    assert!(
        (8..=9).contains(&independent) && (38..=44).contains(&sharing),
        "{whole}"
    );

    let text = context.run(["model", "info", "cwm", "--device", "80GiB"]);
    assert!(
        text.stdout.contains("60.7 GiB") && text.stdout.lines().count() == 8,
        "{text:?}"
    );
    let small = context.run(["model", "info", "cwm", "--device", "16GiB"]);
    assert_eq!(small.code, 3, "{small:?}");
    assert!(
        small.stderr.contains("Nothing of it fits") && small.stderr.contains("the device has 16.0 GiB"),
        "{small:?}"
    );
    let wrong = context.run(["model", "info", "cwm", "--device", "tpu"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let weights = context.run(["model", "info", "cwm"]);
    assert_eq!(
        weights.code, 3,
        "without --device the weights must be there: {weights:?}"
    );
}
