//! A device's context, and what is of it and owned: streams, events and memory. Each gives itself back when it is dropped, in whichever
//! thread that is.

#![allow(unsafe_code, reason = "the driver speaks C")]

use std::ffi::c_uint;
use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::driver::sys;

use super::library::{self, Code};
use super::table::Functions;
use crate::cuda::DeviceError;

/// `CU_STREAM_NON_BLOCKING`: does not wait for the default stream.
const STREAM_NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_DEFAULT`: keeps the time.
const EVENT_DEFAULT: c_uint = 0;
/// `CU_EVENT_DISABLE_TIMING`.
const EVENT_DISABLE_TIMING: c_uint = 2;
/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: Code = 2;

/// A pointer to something that only the driver looks into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opaque<T>(pub(super) *mut T);

impl<T> Clone for Opaque<T> {
    fn clone(&self) -> Opaque<T> {
        *self
    }
}

impl<T> Copy for Opaque<T> {}

// SAFETY: this process never follows the pointer, and the driver's functions take it in any thread. (Graphs must not be used by two
// threads at once; their owners take themselves mutably, or are used by one thread only because the device is.)
unsafe impl<T> Send for Opaque<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Opaque<T> {}

/// What a function's return value means. The kernels that were launched before are added by who knows them.
pub(super) fn check(function: &'static str, code: Code) -> Result<(), DeviceError> {
    match code {
        0 => Ok(()),
        _ => Err(DeviceError::Failed {
            function,
            code,
            name: library::error_name(code),
            launched: Vec::new(),
        }),
    }
}

/// The same for a function that takes memory.
pub(super) fn check_memory(function: &'static str, code: Code, bytes: u64) -> Result<(), DeviceError> {
    match code {
        OUT_OF_MEMORY => Err(DeviceError::OutOfMemory { bytes }),
        _ => check(function, code),
    }
}

/// A device's primary context, retained.
pub(super) struct Context {
    pub(super) calls: Functions,
    device: library::Handle,
    handle: Opaque<sys::CUctx_st>,
}

impl Context {
    /// That of the device of this number, made current for this thread. Devices have been discovered.
    pub(super) fn retain(ordinal: usize) -> Result<Arc<Context>, DeviceError> {
        let device = library::device(u32::try_from(ordinal).unwrap_or(u32::MAX))?;
        // SAFETY: `library::device` has asked the library, so it is loaded.
        let calls = unsafe { Functions::find()? };
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let code = unsafe { (calls.cuDevicePrimaryCtxRetain)(&raw mut handle, device) };
        check("cuDevicePrimaryCtxRetain", code)?;
        let context = Arc::new(Context {
            calls,
            device,
            handle: Opaque(handle),
        });
        context.bind()?;
        Ok(context)
    }

    /// Makes it the one that this thread's calls are about.
    pub(super) fn bind(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained as long as this is.
        check("cuCtxSetCurrent", unsafe {
            (self.calls.cuCtxSetCurrent)(self.handle.0)
        })
    }

    /// The device's memory in bytes: what is free, and all.
    pub(super) fn memory(&self) -> Result<(u64, u64), DeviceError> {
        let (mut free, mut total) = (0_usize, 0_usize);
        // SAFETY: stores two numbers.
        let code = unsafe { (self.calls.cuMemGetInfo_v2)(&raw mut free, &raw mut total) };
        check("cuMemGetInfo_v2", code)?;
        Ok((free as u64, total as u64))
    }

    /// Runs what gives something back. There is nobody to tell when it fails, and nothing to be done: a device that fails frees nothing
    /// until its context goes.
    pub(super) fn give_back(&self, work: impl FnOnce(&Functions) -> Code) {
        if self.bind().is_ok() {
            let _: Code = work(&self.calls);
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: no context is made current, so that this thread is not left with one that is gone; then what was retained is released,
        // once. All that is of the context holds it, so nothing is left that could be used.
        unsafe {
            (self.calls.cuCtxSetCurrent)(null_mut());
            (self.calls.cuDevicePrimaryCtxRelease_v2)(self.device);
        }
    }
}

/// A queue of work.
pub(super) struct Stream {
    context: Arc<Context>,
    pub(super) handle: Opaque<sys::CUstream_st>,
}

impl Stream {
    /// A new one, of a context that is current.
    pub(super) fn new(context: &Arc<Context>) -> Result<Stream, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let code = unsafe { (context.calls.cuStreamCreate)(&raw mut handle, STREAM_NON_BLOCKING) };
        check("cuStreamCreate", code)?;
        Ok(Stream {
            context: Arc::clone(context),
            handle: Opaque(handle),
        })
    }

    /// Waits for everything in it.
    pub(super) fn synchronise(&self) -> Result<(), DeviceError> {
        // SAFETY: the stream is there as long as this is.
        check("cuStreamSynchronize", unsafe {
            (self.context.calls.cuStreamSynchronize)(self.handle.0)
        })
    }

    /// Sets `bytes` bytes of memory, at least one, from `offset` on. The memory must be given back only after the stream is done with it.
    pub(super) fn fill(
        &self,
        memory: &Memory,
        offset: usize,
        value: u8,
        bytes: usize,
    ) -> Result<(), DeviceError> {
        let to = memory.part(offset, bytes)?;
        // SAFETY: these are bytes of an allocation, whatever is in them.
        check("cuMemsetD8Async", unsafe {
            (self.context.calls.cuMemsetD8Async)(to, value, bytes, self.handle.0)
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once; the driver keeps it until its work is done.
        self.context
            .give_back(|calls| unsafe { (calls.cuStreamDestroy_v2)(self.handle.0) });
    }
}

/// A point in a stream.
pub(super) struct Event {
    context: Arc<Context>,
    handle: Opaque<sys::CUevent_st>,
}

impl Event {
    /// A new one, of a context that is current; `timed` when times are to be measured with it.
    pub(super) fn new(context: &Arc<Context>, timed: bool) -> Result<Event, DeviceError> {
        let flags = if timed {
            EVENT_DEFAULT
        } else {
            EVENT_DISABLE_TIMING
        };
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let code = unsafe { (context.calls.cuEventCreate)(&raw mut handle, flags) };
        check("cuEventCreate", code)?;
        Ok(Event {
            context: Arc::clone(context),
            handle: Opaque(handle),
        })
    }

    /// Puts it after everything that is in the stream.
    pub(super) fn record(&self, stream: &Stream) -> Result<(), DeviceError> {
        // SAFETY: both are there as long as their owners are.
        check("cuEventRecord", unsafe {
            (self.context.calls.cuEventRecord)(self.handle.0, stream.handle.0)
        })
    }

    /// Waits until the stream has come to it.
    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        // SAFETY: it is there as long as this is.
        check("cuEventSynchronize", unsafe {
            (self.context.calls.cuEventSynchronize)(self.handle.0)
        })
    }

    /// The seconds from an earlier one to this one. Both are timed, recorded and waited for.
    pub(super) fn seconds_since(&self, earlier: &Event) -> Result<f64, DeviceError> {
        let mut milliseconds = 0_f32;
        // SAFETY: stores one number; both are there as long as their owners are.
        let code = unsafe {
            (self.context.calls.cuEventElapsedTime_v2)(&raw mut milliseconds, earlier.handle.0, self.handle.0)
        };
        check("cuEventElapsedTime_v2", code)?;
        Ok(f64::from(milliseconds) / 1000.0)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once; the driver keeps it until it has been reached.
        self.context
            .give_back(|calls| unsafe { (calls.cuEventDestroy_v2)(self.handle.0) });
    }
}

/// Memory of the device.
pub(super) struct Memory {
    context: Arc<Context>,
    address: sys::CUdeviceptr,
    bytes: u64,
}

impl Memory {
    /// So many bytes, of a context that is current. The address is a multiple of 256 at least, as the driver promises.
    pub(super) fn new(context: &Arc<Context>, bytes: u64) -> Result<Memory, DeviceError> {
        let none = DeviceError::OutOfMemory { bytes };
        // The driver gives no memory of zero bytes.
        let size = usize::try_from(bytes.max(1)).map_err(|_| none)?;
        let mut address = 0;
        // SAFETY: stores an address.
        let code = unsafe { (context.calls.cuMemAlloc_v2)(&raw mut address, size) };
        check_memory("cuMemAlloc_v2", code, bytes)?;
        Ok(Memory {
            context: Arc::clone(context),
            address,
            bytes,
        })
    }

    /// Where it begins.
    pub(super) fn address(&self) -> u64 {
        self.address
    }

    /// The address of a part of it; an error when it is not all in it.
    pub(super) fn part(&self, offset: usize, bytes: usize) -> Result<sys::CUdeviceptr, DeviceError> {
        let offset = offset as u64;
        match offset.checked_add(bytes as u64) {
            Some(end) if end <= self.bytes => Ok(self.address + offset),
            _ => Err(DeviceError::Unknown("memory")),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, given back once. Who owns it has waited for the work that uses it.
        self.context
            .give_back(|calls| unsafe { (calls.cuMemFree_v2)(self.address) });
    }
}
