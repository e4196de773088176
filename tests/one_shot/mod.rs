//! The one-shot strategy with scripted models, in real copies and sandboxes.

mod edges;
mod harness;
mod prompts;
mod resume;
mod rounds;
