//! cublasLt as a table of pointers, loaded when it is asked for.
//!
//! Types and constants are those that `cudarc` takes from `cublasLt.h`. Its own loading is not used: it ends the program when the library or
//! a function is missing.

#![allow(unsafe_code, reason = "the library speaks C")]

use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use cudarc::cublaslt::sys;
use libloading::Library;

use super::presence::NoMatrixLibrary;
use crate::cuda::DeviceError;

/// What most of its functions return: 0, or the number of an error. Not the header's enumeration, since a newer library may have others.
pub(super) type Status = c_int;

const _: () = assert!(size_of::<sys::cublasStatus_t>() == size_of::<Status>());

/// What the library is called, the version that our kernels are of first. The name without a number is that of development packages.
const NAMES: [&str; 3] = ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"];
/// Versions in which all that is used means the same.
const VERSIONS: std::ops::RangeInclusive<usize> = 12..=13;

/// Declares the table. Each signature is compared with the one that `cudarc` takes from the header: where they differ, this does not compile.
macro_rules! functions {
    ($($name:ident($($parameter:ty),* $(,)?);)*) => {
        /// The functions, by the names that the library exports.
        #[allow(non_snake_case, reason = "the library's names")]
        pub(super) struct Functions {
            cublasLtGetVersion: unsafe extern "C" fn() -> usize,
            cublasLtGetStatusName: unsafe extern "C" fn(Status) -> *const c_char,
            $(pub(super) $name: unsafe extern "C" fn($($parameter),*) -> Status,)*
        }

        impl Functions {
            /// Finds all of them.
            ///
            /// # Safety
            /// The library is never unloaded.
            unsafe fn of(library: &Library) -> Result<Functions, NoMatrixLibrary> {
                // SAFETY: the types are those of the header, as compared below; that the pointers stay valid is the caller's promise.
                unsafe {
                    Ok(Functions {
                        cublasLtGetVersion: function(library, "cublasLtGetVersion")?,
                        cublasLtGetStatusName: function(library, "cublasLtGetStatusName")?,
                        $($name: function(library, stringify!($name))?,)*
                    })
                }
            }
        }

        const _: unsafe fn() -> usize = sys::cublasLtGetVersion;
        const _: unsafe fn(sys::cublasStatus_t) -> *const c_char = sys::cublasLtGetStatusName;
        $(const _: unsafe fn($($parameter),*) -> sys::cublasStatus_t = sys::$name;)*
    };
}

functions! {
    cublasLtCreate(*mut sys::cublasLtHandle_t);
    cublasLtDestroy(sys::cublasLtHandle_t);
    cublasLtMatmulDescCreate(*mut sys::cublasLtMatmulDesc_t, sys::cublasComputeType_t, sys::cudaDataType_t);
    cublasLtMatmulDescDestroy(sys::cublasLtMatmulDesc_t);
    cublasLtMatmulDescSetAttribute(
        sys::cublasLtMatmulDesc_t,
        sys::cublasLtMatmulDescAttributes_t,
        *const c_void,
        usize,
    );
    cublasLtMatrixLayoutCreate(*mut sys::cublasLtMatrixLayout_t, sys::cudaDataType, u64, u64, i64);
    cublasLtMatrixLayoutDestroy(sys::cublasLtMatrixLayout_t);
    cublasLtMatmulPreferenceCreate(*mut sys::cublasLtMatmulPreference_t);
    cublasLtMatmulPreferenceDestroy(sys::cublasLtMatmulPreference_t);
    cublasLtMatmulPreferenceSetAttribute(
        sys::cublasLtMatmulPreference_t,
        sys::cublasLtMatmulPreferenceAttributes_t,
        *const c_void,
        usize,
    );
    cublasLtMatmulAlgoGetHeuristic(
        sys::cublasLtHandle_t,
        sys::cublasLtMatmulDesc_t,
        sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatrixLayout_t,
        sys::cublasLtMatmulPreference_t,
        c_int,
        *mut sys::cublasLtMatmulHeuristicResult_t,
        *mut c_int,
    );
    cublasLtMatmul(
        sys::cublasLtHandle_t,
        sys::cublasLtMatmulDesc_t,
        *const c_void,
        *const c_void, sys::cublasLtMatrixLayout_t,
        *const c_void, sys::cublasLtMatrixLayout_t,
        *const c_void,
        *const c_void, sys::cublasLtMatrixLayout_t,
        *mut c_void, sys::cublasLtMatrixLayout_t,
        *const sys::cublasLtMatmulAlgo_t,
        *mut c_void, usize,
        sys::cudaStream_t,
    );
}

/// The library's function of a name.
///
/// # Safety
///
/// `F` is the type that the header gives the function. The library is never unloaded.
unsafe fn function<F: Copy>(library: &Library, name: &'static str) -> Result<F, NoMatrixLibrary> {
    // SAFETY: both are the caller's promises.
    let found = unsafe { library.get::<F>(name.as_bytes()) };
    found
        .map(|function| *function)
        .map_err(|_| NoMatrixLibrary::Lacks { function: name })
}

/// The library's functions, found once and for as long as the program runs; or why there are none.
pub(super) fn find() -> Result<&'static Functions, NoMatrixLibrary> {
    static FOUND: OnceLock<Result<Functions, NoMatrixLibrary>> = OnceLock::new();
    FOUND.get_or_init(load).as_ref().map_err(Clone::clone)
}

fn load() -> Result<Functions, NoMatrixLibrary> {
    let mut reasons = Vec::new();
    for name in NAMES {
        // SAFETY: loading runs the library's initialisers. It is the system's own library of that name, or one that the user put before it.
        match unsafe { Library::new(name) } {
            Ok(library) => return of_library(library),
            // What the loader itself says is behind the error.
            Err(error) => reasons.push(
                error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string),
            ),
        }
    }
    Err(NoMatrixLibrary::NotFound {
        reason: reasons.join("; "),
    })
}

fn of_library(library: Library) -> Result<Functions, NoMatrixLibrary> {
    // SAFETY: the library stays, since nobody drops it from here on.
    let functions = unsafe { Functions::of(Box::leak(Box::new(library)))? };
    match VERSIONS.contains(&(functions.number() / 10_000)) {
        true => Ok(functions),
        false => Err(NoMatrixLibrary::OtherVersion {
            found: functions.version(),
        }),
    }
}

impl Functions {
    /// Of version 13.0.1 the number 130001.
    fn number(&self) -> usize {
        // SAFETY: takes nothing.
        unsafe { (self.cublasLtGetVersion)() }
    }

    /// The version in words.
    pub(super) fn version(&self) -> String {
        let number = self.number();
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    }

    /// What a function's return value means. The kernels that were launched before are added by who knows them.
    pub(super) fn check(&self, function: &'static str, status: Status) -> Result<(), DeviceError> {
        match status {
            0 => Ok(()),
            _ => Err(DeviceError::Failed {
                function,
                code: status,
                name: self.status_name(status),
                launched: Vec::new(),
            }),
        }
    }

    fn status_name(&self, status: Status) -> Option<String> {
        // SAFETY: returns a constant string for whatever number.
        let name = unsafe { (self.cublasLtGetStatusName)(status) };
        if name.is_null() {
            return None;
        }
        // SAFETY: the string ends with a zero and lives as long as the library, which is as long as the program.
        let name = unsafe { CStr::from_ptr(name) };
        Some(name.to_string_lossy().into_owned())
    }
}
