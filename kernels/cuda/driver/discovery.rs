//! Which devices there are, and why there are none.

use std::fmt;

use super::library;

/// A version of CUDA: what a driver supports, or what kernels need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CudaVersion {
    /// `13` of 13.0.
    pub major: u32,
    /// `0` of 13.0.
    pub minor: u32,
}

impl CudaVersion {
    /// Kernels compiled by CUDA 13 are not loaded by a driver that knows only CUDA 12 (that is, one before release 580).
    pub const NEEDED: CudaVersion = CudaVersion { major: 13, minor: 0 };

    /// Of the driver's number, 13000 for 13.0.
    fn of(number: u32) -> CudaVersion {
        CudaVersion {
            major: number / 1000,
            minor: number % 1000 / 10,
        }
    }
}

/// The generation of a device, which decides what instructions it has: 9.0 for H100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ComputeCapability {
    /// `9` of 9.0.
    pub major: u32,
    /// `0` of 9.0.
    pub minor: u32,
}

impl ComputeCapability {
    /// The first with bf16 products and asynchronous copies to shared memory, which the kernels are made of.
    pub const NEEDED: ComputeCapability = ComputeCapability { major: 8, minor: 0 };
}

/// A device that models could run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its number, as the driver counts those that this process may see.
    pub ordinal: usize,
    /// What its maker calls it.
    pub name: String,
    /// All of its memory, in bytes, taken or not.
    pub memory_bytes: u64,
    /// Its generation.
    pub capability: ComputeCapability,
    /// The CUDA version that its driver supports.
    pub cuda: CudaVersion,
}

/// Why no device can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// A program without a dynamic loader.
    #[error("this cwm is one static file, and such a program cannot load the CUDA driver")]
    StaticBuild,
    /// The driver's library is not installed, or not where the loader looks.
    #[error("there is no CUDA driver library (libcuda.so.1)")]
    NoDriver,
    /// A library of that name is there, and is something else.
    #[error(
        "the CUDA driver library that was found lacks the function {function}, so it is damaged or something else"
    )]
    NotADriver {
        /// What it lacks.
        function: &'static str,
    },
    /// The driver would not load the kernels.
    #[error("the driver is too old: it supports CUDA {found}, and cwm's kernels need {needed}")]
    DriverTooOld {
        /// What it supports.
        found: CudaVersion,
        /// What it should.
        needed: CudaVersion,
    },
    /// The driver works, and has nothing to drive.
    #[error("the driver finds no device that this process may use")]
    NoDevice,
    /// All devices are of an old generation.
    #[error("{name} is too old: its compute capability is {found}, and cwm's kernels need {needed}")]
    DeviceTooOld {
        /// The best device.
        name: String,
        /// Its generation.
        found: ComputeCapability,
        /// What it should be at least.
        needed: ComputeCapability,
    },
    /// The driver said no.
    #[error("the driver's {function} failed with {} ({code})", name.as_deref().unwrap_or("an unknown error"))]
    Failed {
        /// What was called.
        function: &'static str,
        /// The driver's number for the error.
        code: i32,
        /// The driver's name for it, such as `CUDA_ERROR_SYSTEM_DRIVER_MISMATCH`.
        name: Option<String>,
    },
}

impl Unusable {
    /// A fixed word for each reason, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Unusable::StaticBuild => "static_build",
            Unusable::NoDriver => "no_driver",
            Unusable::NotADriver { .. } => "not_a_driver",
            Unusable::DriverTooOld { .. } => "driver_too_old",
            Unusable::NoDevice => "no_device",
            Unusable::DeviceTooOld { .. } => "device_too_old",
            Unusable::Failed { .. } => "failed",
        }
    }
}

/// The driver's code for "no device", which `cuInit` gives where all are hidden or absent.
const NO_DEVICE: i32 = 100;

/// The devices that kernels can run on, in the driver's order; at least one. Takes no memory on them.
///
/// # Errors
///
/// The first reason why there is none.
pub fn discover() -> Result<Vec<Device>, Unusable> {
    library::load()?;
    let cuda = CudaVersion::of(library::version()?);
    if cuda < CudaVersion::NEEDED {
        return Err(Unusable::DriverTooOld {
            found: cuda,
            needed: CudaVersion::NEEDED,
        });
    }
    library::init().map_err(|error| match error {
        Unusable::Failed { code: NO_DEVICE, .. } => Unusable::NoDevice,
        other => other,
    })?;
    let devices = (0..library::device_count()?)
        .map(|ordinal| describe(ordinal, cuda))
        .collect::<Result<Vec<_>, _>>()?;
    usable(devices)
}

fn describe(ordinal: u32, cuda: CudaVersion) -> Result<Device, Unusable> {
    let handle = library::device(ordinal)?;
    let (major, minor) = library::capability(handle)?;
    Ok(Device {
        ordinal: ordinal as usize,
        name: library::name(handle)?,
        memory_bytes: library::memory(handle)?,
        capability: ComputeCapability { major, minor },
        cuda,
    })
}

fn usable(devices: Vec<Device>) -> Result<Vec<Device>, Unusable> {
    let best = devices.iter().max_by_key(|device| device.capability);
    match best {
        None => Err(Unusable::NoDevice),
        Some(best) if best.capability < ComputeCapability::NEEDED => Err(Unusable::DeviceTooOld {
            name: best.name.clone(),
            found: best.capability,
            needed: ComputeCapability::NEEDED,
        }),
        Some(_) => Ok(devices
            .into_iter()
            .filter(|device| device.capability >= ComputeCapability::NEEDED)
            .collect()),
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
