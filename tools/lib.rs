//! What the model may do to the world: a sandbox, a persistent shell in it, the four tools
//! (`bash`, `edit`, `create`, `submit`), isolated copies of a repository, and git patches in and out.
//!
//! Everything here returns typed results and errors. The words that a model reads are rendered by the
//! agent from `prompts/`; the words that a person reads are the errors' own sentences.

pub mod bash;
pub mod bytes_path;
pub mod call;
pub mod create;
pub mod edit;
pub mod files;
pub mod isolated;
pub mod patch;
pub mod sandbox;
pub mod session;
pub mod shell_word;
pub mod submit;
pub mod truncate;
pub mod workspace;
