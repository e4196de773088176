//! The CUDA driver's library: loading it, finding its functions, the names of its errors, and the calls that finding devices takes.
//!
//! `cudarc` finds and loads the library. Its own wrappers are not used here or beside it: they end the program when a function is
//! missing, and take the driver's error codes for those of an enumeration, which a newer driver need not keep to.

#![allow(unsafe_code, reason = "the driver speaks C")]

use std::ffi::{CStr, c_char, c_int, c_uint};

use cudarc::driver::sys;

use super::discovery::Unusable;

/// What all of the driver's functions return: 0, or the number of an error.
pub(super) type Code = c_int;
/// A device, as the driver's functions take it.
pub(super) type Handle = c_int;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `…_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// Loads the library, for as long as the program runs.
pub(super) fn load() -> Result<(), Unusable> {
    if cfg!(target_feature = "crt-static") {
        return Err(Unusable::StaticBuild);
    }
    // SAFETY: loading runs the library's initialisers. It is the system's own library of that name, or one that the user put before it.
    if unsafe { sys::is_culib_present() } {
        Ok(())
    } else {
        Err(Unusable::NoDriver)
    }
}

/// The library's function of a name.
///
/// # Safety
///
/// `F` is the type that the driver's documentation gives the function. [`load`] has succeeded.
pub(super) unsafe fn function<F: Copy>(name: &'static str) -> Result<F, Unusable> {
    // SAFETY: the library is there and is never unloaded, so the pointer stays valid; its type is the caller's promise.
    let found = unsafe { sys::culib().get::<F>(name.as_bytes()) };
    found
        .map(|function| *function)
        .map_err(|_| Unusable::NotADriver { function: name })
}

fn check(function: &'static str, code: Code) -> Result<(), Unusable> {
    match code {
        0 => Ok(()),
        _ => Err(Unusable::Failed {
            function,
            code,
            name: error_name(code),
        }),
    }
}

/// The driver's own name for an error; `None` when it knows none.
pub(super) fn error_name(code: Code) -> Option<String> {
    let mut name: *const c_char = std::ptr::null();
    // SAFETY: the type is that of `cuGetErrorName`, which stores a pointer to a constant string, or null.
    let found = unsafe {
        let call: unsafe extern "C" fn(Code, *mut *const c_char) -> Code = function("cuGetErrorName").ok()?;
        call(code, &raw mut name)
    };
    if found != 0 || name.is_null() {
        return None;
    }
    // SAFETY: the driver's string ends with a zero and lives as long as the library.
    let name = unsafe { CStr::from_ptr(name) };
    Some(name.to_string_lossy().into_owned())
}

/// The CUDA version that the driver supports, as the number 13000 for 13.0. May be asked before [`init`].
pub(super) fn version() -> Result<u32, Unusable> {
    const NAME: &str = "cuDriverGetVersion";
    let mut version = 0;
    // SAFETY: the type is that of the function, which stores one number.
    let code = unsafe {
        let call: unsafe extern "C" fn(*mut c_int) -> Code = function(NAME)?;
        call(&raw mut version)
    };
    check(NAME, code)?;
    Ok(u32::try_from(version).unwrap_or(0))
}

/// Starts the driver.
pub(super) fn init() -> Result<(), Unusable> {
    const NAME: &str = "cuInit";
    // SAFETY: the type is that of the function; its flags must be 0.
    let code = unsafe {
        let call: unsafe extern "C" fn(c_uint) -> Code = function(NAME)?;
        call(0)
    };
    check(NAME, code)
}

/// How many devices this process may see.
pub(super) fn device_count() -> Result<u32, Unusable> {
    const NAME: &str = "cuDeviceGetCount";
    let mut count = 0;
    // SAFETY: the type is that of the function, which stores one number.
    let code = unsafe {
        let call: unsafe extern "C" fn(*mut c_int) -> Code = function(NAME)?;
        call(&raw mut count)
    };
    check(NAME, code)?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// The device of that number.
pub(super) fn device(ordinal: u32) -> Result<Handle, Unusable> {
    const NAME: &str = "cuDeviceGet";
    let mut handle = 0;
    let ordinal = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
    // SAFETY: the type is that of the function, which stores one number.
    let code = unsafe {
        let call: unsafe extern "C" fn(*mut Handle, c_int) -> Code = function(NAME)?;
        call(&raw mut handle, ordinal)
    };
    check(NAME, code)?;
    Ok(handle)
}

/// What its maker calls it.
pub(super) fn name(device: Handle) -> Result<String, Unusable> {
    const NAME: &str = "cuDeviceGetName";
    const LONGEST: usize = 256;
    let mut name = [0_u8; LONGEST];
    // SAFETY: the type is that of the function, which writes at most as many bytes as it is told.
    let code = unsafe {
        let call: unsafe extern "C" fn(*mut c_char, c_int, Handle) -> Code = function(NAME)?;
        call(name.as_mut_ptr().cast(), LONGEST as c_int, device)
    };
    check(NAME, code)?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
    Ok(String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned())
}

/// All of its memory, in bytes.
pub(super) fn memory(device: Handle) -> Result<u64, Unusable> {
    const NAME: &str = "cuDeviceTotalMem_v2";
    let mut bytes = 0_usize;
    // SAFETY: the type is that of the function, which stores one number.
    let code = unsafe {
        let call: unsafe extern "C" fn(*mut usize, Handle) -> Code = function(NAME)?;
        call(&raw mut bytes, device)
    };
    check(NAME, code)?;
    Ok(bytes as u64)
}

/// Its compute capability, major and minor.
pub(super) fn capability(device: Handle) -> Result<(u32, u32), Unusable> {
    const NAME: &str = "cuDeviceGetAttribute";
    let mut numbers = [0; 2];
    for (number, attribute) in numbers.iter_mut().zip(CAPABILITY) {
        // SAFETY: the type is that of the function, which stores one number.
        let code = unsafe {
            let call: unsafe extern "C" fn(*mut c_int, c_int, Handle) -> Code = function(NAME)?;
            call(number, attribute, device)
        };
        check(NAME, code)?;
    }
    let [major, minor] = numbers.map(|number| u32::try_from(number).unwrap_or(0));
    Ok((major, minor))
}
