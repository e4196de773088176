//! Settings that need not be typed each time: `cwm.toml` in the repository, `config.toml` in the user's folder, and the environment.
//!
//! What enters is the repository's root, the environment and what flags say; what leaves are typed values that know where they come from.
//! The repository's file comes from whoever wrote the repository: what weakens walls or proof, names places, or spends the machine is
//! refused there. `docs/configuration.md` describes every key.

mod command;
mod file;
mod keys;
mod layers;
mod setting;
mod value;

pub(crate) use command::{ConfigArguments, run};
pub(crate) use layers::Layers;
pub(crate) use setting::Origin;

#[cfg(test)]
mod tests;
