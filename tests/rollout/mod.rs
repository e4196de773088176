//! Attempts at issues, with models that play scripts, in real sandboxes.

mod cases;
mod endings;
mod first_turn;
mod harness;
mod limits;
mod opening;
mod records;
mod resume;
