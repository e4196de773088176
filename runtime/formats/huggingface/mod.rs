//! Hugging Face folders: config.json, safetensors and what lies beside them.

mod config;
mod rope;

pub(super) use config::Config;
pub(super) use rope::rope_of;
