//! The journal of a run: an append-only file of JSON lines that says all that happened, and from which a run goes on.
//!
//! A record is on disk before its effect is relied on. To resume, the same code runs again from the start: [`AttemptLog`] hands out what
//! was recorded instead of asking the model or running tests again, has tools act again so that the fresh copy becomes what it was, and
//! from the first step that was not recorded on, everything is done and recorded as usual.

mod attempt;
mod file;
mod record;

pub(in crate::rollout) use attempt::without_numbers;
pub use attempt::{AttemptLog, steps_of};
pub use file::{Journal, JournalError, Line, NoObserver, Observer, read, read_ends};
pub use record::{
    Elided, ElidedResult, Generated, KeptFile, LongOutput, ModelRecord, Record, RunRecord, SCHEMA, ToolUsed,
    Verdict,
};
