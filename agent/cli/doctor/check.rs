//! One line of the doctor's report.

use serde::Serialize;

/// Whether what was looked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// Something is missing that `cwm` can do without.
    Warn,
    /// Something is missing without which the main job cannot run.
    Fail,
}

/// What was looked at, what was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// The check's fixed name.
    pub(crate) name: &'static str,
    /// How it came out.
    pub(crate) status: Status,
    /// What was found, in words.
    pub(crate) found: String,
    /// What to do about it; lines of shell commands among them.
    pub(crate) cure: Option<String>,
    /// Of the check of the GPU: what it found, for programs.
    #[serde(flatten)]
    pub(crate) gpu: Option<GpuFacts>,
}

/// What was found of GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct GpuFacts {
    /// Those that kernels could run on.
    pub(crate) devices: Vec<GpuDevice>,
    /// Why none is used, in a fixed word.
    pub(crate) unused: Option<&'static str>,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct GpuDevice {
    pub(crate) ordinal: usize,
    pub(crate) device: String,
    pub(crate) memory_bytes: u64,
    pub(crate) compute_capability: String,
    pub(crate) driver: Option<String>,
    pub(crate) cuda: String,
}

impl Check {
    pub(crate) fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check {
            name,
            status: Status::Ok,
            found: found.into(),
            cure: None,
            gpu: None,
        }
    }

    pub(crate) fn warn(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Check {
        Check {
            name,
            status: Status::Warn,
            found: found.into(),
            cure: Some(cure.into()),
            gpu: None,
        }
    }

    pub(crate) fn fail(name: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Check {
        Check {
            name,
            status: Status::Fail,
            found: found.into(),
            cure: Some(cure.into()),
            gpu: None,
        }
    }
}
