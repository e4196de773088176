//! The sandbox.

mod advice;
mod cgroup;
pub mod container;
pub mod environment;
mod handle;
pub mod helper;
pub mod machine;
mod namespaces;
pub mod policy;
mod protocol;
mod supervisor;
mod system;
mod task;

pub use handle::{Interrupt, JobOutcome, Probe, Sandbox, SandboxError, Sink};
pub use protocol::{Ending, KillReason, ProgramSpec, Stream};
pub use task::{DiffDone, DiffRequest};
pub(crate) use task::{FileTool, Task};
