//! Attempts at issues, with models that play scripts, in real sandboxes.

mod cases;
mod harness;
mod limits;
mod opening;
mod resume;
