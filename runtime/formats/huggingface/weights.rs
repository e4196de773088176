//! The tensors of a folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, read_file};
use super::safetensors::{self, Expected};
use crate::formats::error::{FormatError, shown};
use crate::formats::tensor::{MappedFile, Tensor};

/// The name of the file that says which shard has which tensor.
const INDEX: &str = "model.safetensors.index.json";
/// The largest such file; real ones have up to a megabyte.
const LARGEST_INDEX: u64 = 64 << 20;
/// The most shards that a model may be split into.
const MOST_SHARDS: usize = 1 << 12;

/// All tensors by name, and the files that they are in.
pub(super) fn read(folder: &Path) -> Result<(HashMap<String, Tensor>, Vec<PathBuf>), FormatError> {
    let single = folder.join("model.safetensors");
    if single.exists() {
        let tensors = read_shard(&single)?;
        return Ok((tensors, vec![single]));
    }
    let index = folder.join(INDEX);
    if index.exists() {
        return read_shards(folder, &index);
    }
    let reason = if folder.join("pytorch_model.bin").exists()
        || folder.join("pytorch_model.bin.index.json").exists()
    {
        "its tensors are Python pickles; convert them to safetensors".to_owned()
    } else {
        format!("the folder has neither model.safetensors nor {INDEX}")
    };
    Err(FormatError::not_a_model(folder, reason))
}

fn read_shards(folder: &Path, index: &Path) -> Result<(HashMap<String, Tensor>, Vec<PathBuf>), FormatError> {
    let map = Config::parse(index, &read_file(index, LARGEST_INDEX)?)?
        .object("weight_map")?
        .ok_or_else(|| FormatError::damaged(index, "it has no weight_map"))?;
    let mut places: HashMap<&str, &str> = HashMap::new();
    for (tensor, shard) in map.iter() {
        let shard = shard
            .as_str()
            .filter(|shard| is_plain_name(shard))
            .ok_or_else(|| {
                let shown = shown(&shard.to_string());
                FormatError::tensor(
                    index,
                    tensor,
                    format!("its shard {shown} is not the name of a file in this folder"),
                )
            })?;
        places.insert(tensor, shard);
    }
    let shards: BTreeSet<&str> = places.values().copied().collect();
    if shards.len() > MOST_SHARDS {
        return Err(FormatError::damaged(
            index,
            format!("it names {} shards; {MOST_SHARDS} are possible", shards.len()),
        ));
    }
    let mut tensors = HashMap::new();
    let mut files = vec![index.to_owned()];
    for shard in shards {
        let path = folder.join(shard);
        if !path.exists() {
            return Err(FormatError::not_a_model(
                &path,
                "this shard, which the index names, is missing",
            ));
        }
        for (name, tensor) in read_shard(&path)? {
            if places.get(name.as_str()) != Some(&shard) {
                return Err(FormatError::tensor(
                    &path,
                    &name,
                    "it is in this shard, and the index does not say so",
                ));
            }
            tensors.insert(name, tensor);
        }
        files.push(path);
    }
    // The first by name, so that a message is the same each time.
    let lost = places.keys().filter(|name| !tensors.contains_key(**name)).min();
    if let Some(name) = lost {
        let shard = places.get(name).copied().unwrap_or_default();
        return Err(FormatError::tensor(
            &folder.join(shard),
            name,
            "the index says that it is in this shard, and it is not",
        ));
    }
    Ok((tensors, files))
}

/// A file's name and nothing else: no folders, no way up or out.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_one =
        matches!(parts.next(), Some(Component::Normal(part)) if part == name) && parts.next().is_none();
    is_one && !name.contains(['/', '\\', '\0'])
}

fn read_shard(path: &Path) -> Result<HashMap<String, Tensor>, FormatError> {
    let file = Arc::new(MappedFile::open(path)?);
    Ok(safetensors::read(&file, Expected::Floats)?.tensors)
}
