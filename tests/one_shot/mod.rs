//! The one-shot strategy with scripted models, in real copies and sandboxes.

mod harness;
mod resume;
mod rounds;
