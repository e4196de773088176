//! The one-shot strategy with scripted models, in real copies and sandboxes.

mod edges;
mod failing_models;
mod harness;
mod prompts;
mod resume;
mod rounds;
mod slow_suites;
