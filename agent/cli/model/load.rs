//! Flags of every command that loads a model, and the model's files opened as they say.

use std::path::Path;

use clap::{Args, ValueEnum};
use cwm_runtime::cache::KvElement;
use cwm_runtime::formats::{Checkpoint, LayerTypes, OpenOptions, describe};
use cwm_runtime::model::ModelSpec;

use crate::cli::{ExitCode, Failure};

/// How a model's files are read.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArguments {
    /// Which layers slide, where a GGUF file of CWM does not say: the path of its config.json, or JSON
    #[arg(long, value_name = "CONFIG", help_heading = "Loading")]
    pub(crate) layer_types: Option<String>,
}

impl LoadArguments {
    /// What the user says about the layers.
    pub(crate) fn layer_types(&self) -> Result<Option<LayerTypes>, Failure> {
        let parse = |text: &String| LayerTypes::parse(text, None);
        let types = self.layer_types.as_ref().map(parse).transpose();
        types.map_err(|error| Failure::new(ExitCode::Usage, format!("--layer-types: {error}.")))
    }

    /// Opens a model's files.
    pub(crate) fn open(&self, path: &Path) -> Result<Checkpoint, Failure> {
        Checkpoint::open(path, &self.options()?)
            .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))
    }

    /// Describes a model whose weights need not be there.
    pub(crate) fn describe(&self, path: &Path) -> Result<ModelSpec, Failure> {
        describe(path, &self.options()?)
            .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))
    }

    fn options(&self) -> Result<OpenOptions, Failure> {
        Ok(OpenOptions {
            layer_types: self.layer_types()?,
        })
    }
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum KvChoice {
    /// 16-bit floats
    #[default]
    F16,
    /// 16-bit floats with the range of 32-bit ones
    Bf16,
    /// 8-bit integers with scales
    Q8,
    /// 8-bit floats without scales, as on GPUs
    Fp8,
    /// 32-bit floats
    F32,
}

impl From<KvChoice> for KvElement {
    fn from(choice: KvChoice) -> KvElement {
        match choice {
            KvChoice::F16 => KvElement::F16,
            KvChoice::Bf16 => KvElement::BF16,
            KvChoice::Q8 => KvElement::Q8,
            KvChoice::Fp8 => KvElement::E4M3,
            KvChoice::F32 => KvElement::F32,
        }
    }
}
