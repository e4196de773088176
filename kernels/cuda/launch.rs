//! A launch as data.

use std::ffi::c_void;

use super::Artefact;
use super::accelerator::RecordedLaunch;

/// An address in the memory of a device (or, for the emulation, of this process). Null is an address too: some arguments may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct DevicePointer(pub u64);

impl DevicePointer {
    /// The pointer that stands for nothing.
    pub const NULL: DevicePointer = DevicePointer(0);

    /// The address `bytes` further on.
    #[must_use]
    pub fn offset(self, bytes: u64) -> DevicePointer {
        DevicePointer(self.0 + bytes)
    }
}

/// A kernel: an entry of an artefact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// Where it is.
    pub artefact: Artefact,
    /// Its name there.
    pub name: &'static str,
}

/// A kernel with everything that it takes to run it.
#[derive(Debug, Clone, Copy)]
pub struct Launch<Arguments> {
    /// What runs.
    pub kernel: Kernel,
    /// Blocks along each axis, at least one.
    pub grid: [u32; 3],
    /// Threads a block, along the first axis.
    pub threads: u32,
    /// Dynamic shared memory a block. Above 48 KiB the device must be told first
    /// (`CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES`).
    pub shared_bytes: u32,
    /// The one struct that the kernel takes.
    pub arguments: Arguments,
}

/// A launch without its type: what a driver's launch function wants.
#[derive(Debug, Clone, Copy)]
pub struct RawLaunch {
    /// What runs.
    pub kernel: Kernel,
    /// Blocks along each axis.
    pub grid: [u32; 3],
    /// Threads a block.
    pub threads: u32,
    /// Dynamic shared memory a block.
    pub shared_bytes: u32,
    /// The kernel's only parameter; valid as long as the launch that it came from is not moved.
    pub argument: *const c_void,
    /// Its size.
    pub argument_bytes: usize,
}

impl<Arguments> Launch<Arguments> {
    /// The same without its type.
    pub fn raw(&self) -> RawLaunch {
        RawLaunch {
            kernel: self.kernel,
            grid: self.grid,
            threads: self.threads,
            shared_bytes: self.shared_bytes,
            argument: (&raw const self.arguments).cast(),
            argument_bytes: size_of::<Arguments>(),
        }
    }
}

impl<Arguments: Copy> Launch<Arguments> {
    /// The same as data that can be kept.
    pub fn record(&self) -> RecordedLaunch {
        let bytes = size_of::<Arguments>();
        let mut argument = vec![0_u64; bytes.div_ceil(8)];
        // SAFETY: the words are at least as many bytes as the struct, which is plain data without padding (its layout is a kernel's,
        // which names all of its bytes), and the two do not overlap.
        #[allow(unsafe_code, reason = "a struct as bytes")]
        unsafe {
            std::ptr::copy_nonoverlapping(
                (&raw const self.arguments).cast::<u8>(),
                argument.as_mut_ptr().cast::<u8>(),
                bytes,
            );
        }
        RecordedLaunch {
            kernel: self.kernel,
            grid: self.grid,
            threads: self.threads,
            shared_bytes: self.shared_bytes,
            argument,
        }
    }
}

impl RecordedLaunch {
    /// The same with a pointer to its argument, which is good as long as this launch is not changed.
    pub fn raw(&self) -> RawLaunch {
        RawLaunch {
            kernel: self.kernel,
            grid: self.grid,
            threads: self.threads,
            shared_bytes: self.shared_bytes,
            argument: self.argument.as_ptr().cast(),
            argument_bytes: self.argument.len() * 8,
        }
    }
}

/// A shape that a kernel is not made for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel {kernel} cannot be used: {what} is {found}, but must be {wanted}")]
pub struct ShapeError {
    /// Which kernel.
    pub kernel: &'static str,
    /// What does not fit.
    pub what: &'static str,
    /// What it is.
    pub found: usize,
    /// What it would have to be.
    pub wanted: &'static str,
}

/// Checks one number of a shape.
pub(super) fn check(
    holds: bool,
    kernel: &'static str,
    what: &'static str,
    found: usize,
    wanted: &'static str,
) -> Result<(), ShapeError> {
    if holds {
        return Ok(());
    }
    Err(ShapeError {
        kernel,
        what,
        found,
        wanted,
    })
}

/// A number of blocks, rows or elements as the device counts them.
pub(super) fn count(kernel: &'static str, what: &'static str, number: usize) -> Result<u32, ShapeError> {
    u32::try_from(number)
        .ok()
        .filter(|number| *number > 0 && *number < 1 << 31)
        .ok_or(ShapeError {
            kernel,
            what,
            found: number,
            wanted: "between 1 and 2^31 - 1",
        })
}
