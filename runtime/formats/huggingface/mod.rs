//! Hugging Face folders: config.json, safetensors and what lies beside them.

mod config;
mod rope;
pub(super) mod safetensors;
mod spec;
mod weights;
mod words;

use std::path::Path;

use super::checkpoint::Checkpoint;
use super::error::FormatError;
use super::layer_types::LayerTypes;
use super::limits;
use crate::model::ModelSpec;

pub(super) use self::config::{Config, read_file};
pub(super) use self::rope::rope_of;
pub(super) use self::spec::tensor_name;
pub(super) use self::words::{LARGEST_VOCABULARY, Words, is_tiktoken};

/// The file that makes a folder a model.
pub(super) const CONFIG: &str = "config.json";

/// Describes the model of a folder by its config.json alone.
pub(super) fn describe(folder: &Path, layer_types: Option<&LayerTypes>) -> Result<ModelSpec, FormatError> {
    let path = folder.join(CONFIG);
    let spec = spec::read(&Config::read(&path)?, layer_types)?;
    limits::check_spec(&spec, &path)?;
    Ok(spec)
}

/// Opens a folder with a config.json and safetensors.
pub(super) fn open(folder: &Path, layer_types: Option<&LayerTypes>) -> Result<Checkpoint, FormatError> {
    let path = folder.join(CONFIG);
    let config = Config::read(&path)?;
    let mut words = Words::new(folder);
    let tokenizer = words.tokenizer()?;
    let special = words.special(&tokenizer)?;
    let names = special.iter().map(|token| token.content.as_str());
    if layer_types.is_none()
        && let Some(why) = spec::disguise(&config, names)?
    {
        return Err(FormatError::CwmWithoutLayerTypes { path, why });
    }
    let spec = spec::read(&config, layer_types)?;
    limits::check_spec(&spec, &path)?;
    let (named, weight_files) = weights::read(folder)?;
    let tied = spec.tied_head;
    let tensors = limits::assign(
        &spec,
        named,
        spec::tensor_name,
        |name| spec::is_redundant(name, tied),
        folder,
    )?;
    let chat_template = words.chat_template()?;
    let generation = words.generation(&config, &special, spec.vocabulary)?;
    let name = folder
        .canonicalize()
        .ok()
        .and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    Ok(Checkpoint {
        path: folder.to_owned(),
        name: name.unwrap_or_default(),
        spec,
        tensors,
        tokenizer,
        chat_template,
        generation,
        files: [path]
            .into_iter()
            .chain(weight_files)
            .chain(words.files)
            .collect(),
        packed: None,
    })
}
