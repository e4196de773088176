//! The driver's functions that running launches takes, as a table of pointers.
//!
//! The names are those that the library exports, not those of its manual: `cuda.h` renames many of the manual's functions to the
//! version that they have reached (`#define cuMemAlloc cuMemAlloc_v2`), and under the plain name the library keeps the oldest one,
//! often with other parameters. All are looked up at once, so that a library which lacks one is found out before anything is begun.

#![allow(unsafe_code, reason = "the driver speaks C")]

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};

use cudarc::driver::sys;

use super::discovery::Unusable;
use super::library::{Code, function};

/// Declares the table. Each signature is compared with the one that `cudarc` takes from `cuda.h`: where they differ, this does not compile.
macro_rules! functions {
    ($($(#[doc = $comment:literal])* $name:ident($($parameter:ty),* $(,)?);)*) => {
        /// The functions, by the names that the library exports.
        #[allow(non_snake_case, reason = "the driver's names")]
        pub(super) struct Functions {
            $($(#[doc = $comment])* pub(super) $name: unsafe extern "C" fn($($parameter),*) -> Code,)*
        }

        impl Functions {
            /// Finds all of them.
            ///
            /// # Safety
            /// The library is loaded, that is, devices have been discovered.
            pub(super) unsafe fn find() -> Result<Functions, Unusable> {
                // SAFETY: the types are those of the documentation, as compared below; that the library is loaded is the caller's promise.
                unsafe { Ok(Functions { $($name: function(stringify!($name))?,)* }) }
            }
        }

        $(const _: unsafe fn($($parameter),*) -> sys::CUresult = sys::$name;)*
    };
}

functions! {
    cuDevicePrimaryCtxRetain(*mut sys::CUcontext, sys::CUdevice);
    cuDevicePrimaryCtxRelease_v2(sys::CUdevice);
    cuCtxSetCurrent(sys::CUcontext);
    cuStreamCreate(*mut sys::CUstream, c_uint);
    cuStreamDestroy_v2(sys::CUstream);
    cuStreamSynchronize(sys::CUstream);
    cuMemGetInfo_v2(*mut usize, *mut usize);
    cuMemAlloc_v2(*mut sys::CUdeviceptr, usize);
    cuMemFree_v2(sys::CUdeviceptr);
    cuMemAllocHost_v2(*mut *mut c_void, usize);
    cuMemFreeHost(*mut c_void);
    cuMemcpyHtoDAsync_v2(sys::CUdeviceptr, *const c_void, usize, sys::CUstream);
    cuMemcpyDtoHAsync_v2(*mut c_void, sys::CUdeviceptr, usize, sys::CUstream);
    /// Without a number: only the memset functions that wait have a second version.
    cuMemsetD8Async(sys::CUdeviceptr, c_uchar, usize, sys::CUstream);
    cuModuleLoadData(*mut sys::CUmodule, *const c_void);
    cuModuleUnload(sys::CUmodule);
    cuModuleGetFunction(*mut sys::CUfunction, sys::CUmodule, *const c_char);
    cuFuncSetAttribute(sys::CUfunction, sys::CUfunction_attribute, c_int);
    cuFuncGetParamInfo(sys::CUfunction, usize, *mut usize, *mut usize);
    cuLaunchKernel(
        sys::CUfunction,
        c_uint, c_uint, c_uint,
        c_uint, c_uint, c_uint,
        c_uint,
        sys::CUstream,
        *mut *mut c_void,
        *mut *mut c_void,
    );
    cuGraphCreate(*mut sys::CUgraph, c_uint);
    /// The second version takes the longer struct, `CUDA_KERNEL_NODE_PARAMS_v2`; the plain name takes one without its last two members.
    cuGraphAddKernelNode_v2(
        *mut sys::CUgraphNode,
        sys::CUgraph,
        *const sys::CUgraphNode,
        usize,
        *const sys::CUDA_KERNEL_NODE_PARAMS_v2,
    );
    /// What `cuda.h` makes of `cuGraphInstantiate`; under that plain name the library keeps a function of five parameters.
    cuGraphInstantiateWithFlags(*mut sys::CUgraphExec, sys::CUgraph, c_ulonglong);
    cuGraphLaunch(sys::CUgraphExec, sys::CUstream);
    cuGraphExecDestroy(sys::CUgraphExec);
    cuGraphDestroy(sys::CUgraph);
    cuEventCreate(*mut sys::CUevent, c_uint);
    cuEventDestroy_v2(sys::CUevent);
    cuEventRecord(sys::CUevent, sys::CUstream);
    cuEventSynchronize(sys::CUevent);
    /// The version of `cuda.h` from 13.0 on. It takes the same as the first, and need not report errors of work that is still going on.
    cuEventElapsedTime_v2(*mut f32, sys::CUevent, sys::CUevent);
}
