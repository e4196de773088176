//! The sandbox: everything that a model or a command under test does to the world is done inside one.
//!
//! What enters is a [`policy::Policy`] (made from [`machine::MachineView`] and the mounts of a copy); what leaves is a [`Sandbox`] that runs
//! one thing at a time, and is gone with all its processes when dropped, or when this program ends in whatever way. Three
//! back ends enforce the policy: Linux namespaces made in-process, a container engine, and none, on the user's own word.
//! In each the same supervisor, this very binary started again ([`helper`]), runs inside and talks to the host over one socket
//! (`protocol`). Where a back end cannot do what the policy asks there is an error and no sandbox; nothing weaker is ever
//! tried in its place. `session` and `isolated` are this room's callers.

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
pub(crate) use protocol::SpoolSpec;
pub use protocol::{Ending, KeptOutput, KillReason, ProgramSpec, Stream};
pub use task::{ApplyRefused, ApplyRequest, DiffDone, DiffRequest};
pub(crate) use task::{FileTool, Task};
