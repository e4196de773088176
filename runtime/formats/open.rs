//! Finds out what a path holds and opens it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::FormatError;
use super::gguf;
use super::huggingface;
use super::layer_types::LayerTypes;
use super::packed;
use crate::model::ModelSpec;

/// What a user may say about a model beyond its files.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Which layers slide, for files that do not say so; it goes before what the files say.
    pub layer_types: Option<LayerTypes>,
}

/// Folders are listed up to this many entries.
const MOST_ENTRIES: usize = 1 << 14;

impl Checkpoint {
    /// Opens a model: a GGUF file (any part of a split one), a folder as Hugging Face lays them out, a folder with one GGUF
    /// model, or a file that [`quantise`](super::quantise) made. Nothing is copied but small things; tensors stay where they lie, mapped into memory.
    ///
    /// # Errors
    ///
    /// When files are missing, damaged, or of a model that cannot be run; the message names file, tensor and reason.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Checkpoint, FormatError> {
        let metadata = std::fs::metadata(path).map_err(|error| FormatError::read(path, error))?;
        if metadata.is_dir() {
            return open_folder(path, options);
        }
        if !metadata.is_file() {
            return Err(FormatError::not_a_model(
                path,
                "it is neither a file nor a folder",
            ));
        }
        match first_bytes(path)? {
            bytes if bytes == *gguf::MAGIC => gguf::open(path, options.layer_types.as_ref()),
            _ if path
                .extension()
                .is_some_and(|extension| extension == "safetensors") =>
            {
                packed::open(path)
            }
            _ => Err(FormatError::not_a_model(
                path,
                "it is not a GGUF file; a Hugging Face model is opened by its folder",
            )),
        }
    }
}

/// Describes a model of whose files perhaps only the config.json is there, in a folder: enough to say what it would take.
///
/// # Errors
///
/// As for [`Checkpoint::open`], but that weights and vocabulary may be missing.
pub fn describe(path: &Path, options: &OpenOptions) -> Result<ModelSpec, FormatError> {
    if path.is_dir() && path.join(huggingface::CONFIG).exists() && !has_weights(path)? {
        return huggingface::describe(path, options.layer_types.as_ref());
    }
    Checkpoint::open(path, options).map(|checkpoint| checkpoint.spec)
}

fn first_bytes(path: &Path) -> Result<[u8; 4], FormatError> {
    let read = |error| FormatError::read(path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(4).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes.first_chunk().copied().unwrap_or_default())
}

fn open_folder(path: &Path, options: &OpenOptions) -> Result<Checkpoint, FormatError> {
    let is_hugging_face = has_safetensors(path) || !has_weights(path)?;
    if is_hugging_face && path.join(huggingface::CONFIG).exists() {
        return huggingface::open(path, options.layer_types.as_ref());
    }
    let models = gguf_models(path)?;
    match models.as_slice() {
        [model] => gguf::open(model, options.layer_types.as_ref()),
        [] => Err(FormatError::not_a_model(
            path,
            "the folder has neither a config.json with safetensors nor a GGUF file",
        )),
        [one, other, ..] => Err(FormatError::not_a_model(
            path,
            format!(
                "the folder has {} GGUF models ({}, {} …); name one",
                models.len(),
                one.display(),
                other.display()
            ),
        )),
    }
}

fn has_weights(folder: &Path) -> Result<bool, FormatError> {
    Ok(has_safetensors(folder) || !gguf_models(folder)?.is_empty())
}

fn has_safetensors(folder: &Path) -> bool {
    ["model.safetensors", "model.safetensors.index.json"]
        .into_iter()
        .any(|name| folder.join(name).exists())
}

/// The GGUF files of a folder, the first one of each split model.
fn gguf_models(path: &Path) -> Result<Vec<PathBuf>, FormatError> {
    let read = |error| FormatError::read(path, error);
    let mut models = Vec::new();
    for entry in std::fs::read_dir(path).map_err(read)?.take(MOST_ENTRIES) {
        let file = entry.map_err(read)?.path();
        let is_model = file.extension().is_some_and(|extension| extension == "gguf");
        if is_model && !gguf::is_later_shard(&file) {
            models.push(file);
        }
    }
    models.sort();
    Ok(models)
}
