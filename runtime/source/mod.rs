//! What the agent sees of a model: one trait, behind it the embedded engine, a server or a script.
//!
//! What enters are conversations or raw prompts; what leaves is text as it comes, and a whole completion at the end.

mod embedded;
mod load;
mod model;
mod script;
mod script_text;
mod server;

pub use embedded::{EmbeddedModel, EmbeddedOptions, OpenError};
pub use load::{BackendChoice, PAGE_TOKENS, load_backend};
pub use model::{
    CallFormat, ChatMessage, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt,
    Sampled, StopReason, ToolCall, ToolDefinition,
};
pub use script::{ScriptAnswer, ScriptModel};
pub use script_text::count as count_script_tokens;
pub use server::{ApiKey, ServerModel, ServerOptions};

#[cfg(test)]
mod test_model;
