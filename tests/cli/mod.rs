//! Tests of the command line itself.

mod completions;
mod config;
pub(crate) mod context;
mod doctor;
mod gpu;
mod gpu_check;
mod help;
mod kill;
mod models;
mod quantize;
mod runs;
mod streams;
#[allow(
    dead_code,
    reason = "shared with the tests of the runtime, which use all of it"
)]
#[path = "../../runtime/test_server.rs"]
pub(crate) mod test_server;
mod view;
