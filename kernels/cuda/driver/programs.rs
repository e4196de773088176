//! Kernels in the form that a device runs: modules, loaded when the first of their kernels is asked for, their functions, and graphs
//! of launches.

#![allow(unsafe_code, reason = "the driver speaks C")]

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use cudarc::driver::sys;

use super::context::{Context, Opaque, Stream, check, check_memory};
use crate::cuda::{Artefact, DeviceError, Kernel, RecordedLaunch};

/// The dynamic shared memory that any function may have without being allowed to.
const USUAL_SHARED_BYTES: u32 = 48 << 10;

/// The kernels that have been asked for.
pub(super) struct Programs {
    context: Arc<Context>,
    functions: HashMap<Kernel, Function>,
    modules: HashMap<Artefact, Module>,
}

/// A function of a module.
struct Function {
    handle: Opaque<sys::CUfunc_st>,
    /// The most dynamic shared memory that it may have.
    shared_bytes: u32,
    /// The size of its argument; `None` when the driver does not tell.
    argument_bytes: Option<usize>,
}

/// A launch whose function is loaded, may have its shared memory, and takes its argument.
pub(super) struct Ready<'a> {
    function: Opaque<sys::CUfunc_st>,
    launch: &'a RecordedLaunch,
}

impl Programs {
    /// None as yet.
    pub(super) fn new(context: &Arc<Context>) -> Programs {
        Programs {
            context: Arc::clone(context),
            functions: HashMap::new(),
            modules: HashMap::new(),
        }
    }

    /// Makes what a launch needs. The context is current.
    pub(super) fn ready<'a>(&mut self, launch: &'a RecordedLaunch) -> Result<Ready<'a>, DeviceError> {
        let kernel = launch.kernel;
        if !self.functions.contains_key(&kernel) {
            let function = self.module(kernel.artefact)?.function(kernel.name)?;
            self.functions.insert(kernel, function);
        }
        let function = self
            .functions
            .get_mut(&kernel)
            .ok_or(DeviceError::Unknown("kernel"))?;
        // The driver reads as many bytes as the kernel takes, however many are there.
        let given = launch.argument.len() * 8;
        if given == 0 || function.argument_bytes.is_some_and(|bytes| bytes > given) {
            return Err(DeviceError::Unknown("kernel with an argument of that size"));
        }
        function.allow_shared_bytes(&self.context, launch.shared_bytes)?;
        Ok(Ready {
            function: function.handle,
            launch,
        })
    }

    fn module(&mut self, artefact: Artefact) -> Result<&Module, DeviceError> {
        if !self.modules.contains_key(&artefact) {
            let module = Module::load(&self.context, artefact.bytes())?;
            self.modules.insert(artefact, module);
        }
        self.modules
            .get(&artefact)
            .ok_or(DeviceError::Unknown("artefact"))
    }

    /// Runs a launch after what is in the stream.
    pub(super) fn launch(&self, ready: &Ready, stream: &Stream) -> Result<(), DeviceError> {
        let RecordedLaunch {
            grid: [x, y, z],
            threads,
            shared_bytes,
            ..
        } = *ready.launch;
        let mut parameters = ready.parameters();
        // SAFETY: the function's module stays loaded as long as this is. It has one parameter, of the size of the argument, which the
        // driver has copied when it returns. What addresses are in it is the caller's affair: the device checks them.
        let code = unsafe {
            (self.context.calls.cuLaunchKernel)(
                ready.function.0,
                x,
                y,
                z,
                threads,
                1,
                1,
                shared_bytes,
                stream.handle.0,
                parameters.as_mut_ptr(),
                null_mut(),
            )
        };
        check("cuLaunchKernel", code)
    }
}

impl Ready<'_> {
    /// The driver's array of pointers to parameters, of which there is one.
    fn parameters(&self) -> [*mut c_void; 1] {
        [self.launch.argument.as_ptr().cast_mut().cast()]
    }
}

impl Function {
    /// Beyond the usual, shared memory must be allowed before a launch has it.
    fn allow_shared_bytes(&mut self, context: &Context, bytes: u32) -> Result<(), DeviceError> {
        if bytes <= self.shared_bytes {
            return Ok(());
        }
        // SAFETY: the function's module stays loaded as long as this is.
        let code = unsafe {
            (context.calls.cuFuncSetAttribute)(
                self.handle.0,
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                i32::try_from(bytes).unwrap_or(i32::MAX),
            )
        };
        check("cuFuncSetAttribute", code)?;
        self.shared_bytes = bytes;
        Ok(())
    }
}

/// A loaded artefact.
struct Module {
    context: Arc<Context>,
    handle: Opaque<sys::CUmod_st>,
    /// What it was loaded from: kept, since drivers load the functions of a module only when they are used.
    _image: Vec<u64>,
}

impl Module {
    fn load(context: &Arc<Context>, bytes: &[u8]) -> Result<Module, DeviceError> {
        // In words, since the driver reads numbers of eight bytes in it. It ends with zeros, should the driver take it for text.
        let mut image: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                u64::from_ne_bytes(word)
            })
            .collect();
        image.push(0);
        let mut handle = null_mut();
        // SAFETY: stores a handle; the image is a whole fat binary, which says itself how long it is.
        let code = unsafe { (context.calls.cuModuleLoadData)(&raw mut handle, image.as_ptr().cast()) };
        check_memory("cuModuleLoadData", code, bytes.len() as u64)?;
        Ok(Module {
            context: Arc::clone(context),
            handle: Opaque(handle),
            _image: image,
        })
    }

    fn function(&self, name: &str) -> Result<Function, DeviceError> {
        let name = CString::new(name).map_err(|_| DeviceError::Unknown("kernel"))?;
        let calls = &self.context.calls;
        let mut handle = null_mut();
        // SAFETY: stores a handle; the module is loaded as long as this is, and the name ends with a zero.
        let code = unsafe { (calls.cuModuleGetFunction)(&raw mut handle, self.handle.0, name.as_ptr()) };
        check("cuModuleGetFunction", code)?;
        let (mut offset, mut bytes) = (0_usize, 0_usize);
        // SAFETY: stores two numbers; the function is of this module.
        let code = unsafe { (calls.cuFuncGetParamInfo)(handle, 0, &raw mut offset, &raw mut bytes) };
        Ok(Function {
            handle: Opaque(handle),
            shared_bytes: USUAL_SHARED_BYTES,
            argument_bytes: (code == 0).then_some(bytes),
        })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded in `load`, unloaded once. Who owns it has waited for its kernels.
        self.context
            .give_back(|calls| unsafe { (calls.cuModuleUnload)(self.handle.0) });
    }
}

/// Launches, one after another, while they are put together.
pub(super) struct GraphBuilder {
    context: Arc<Context>,
    handle: Opaque<sys::CUgraph_st>,
    last: Option<Opaque<sys::CUgraphNode_st>>,
    bytes: u64,
}

impl GraphBuilder {
    /// None as yet. The context is current.
    pub(super) fn new(context: &Arc<Context>) -> Result<GraphBuilder, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: stores a handle; the flags must be 0.
        let code = unsafe { (context.calls.cuGraphCreate)(&raw mut handle, 0) };
        check("cuGraphCreate", code)?;
        Ok(GraphBuilder {
            context: Arc::clone(context),
            handle: Opaque(handle),
            last: None,
            bytes: 0,
        })
    }

    /// Adds a launch after the last one.
    pub(super) fn add(&mut self, ready: &Ready) -> Result<(), DeviceError> {
        let RecordedLaunch {
            grid: [x, y, z],
            threads,
            shared_bytes,
            ..
        } = *ready.launch;
        let mut parameters = ready.parameters();
        let node = sys::CUDA_KERNEL_NODE_PARAMS_v2 {
            func: ready.function.0,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: shared_bytes,
            kernelParams: parameters.as_mut_ptr(),
            extra: null_mut(),
            // For kernels without a module. The context is the current one.
            kern: null_mut(),
            ctx: null_mut(),
        };
        let after = self.last.map(|last| last.0);
        let mut handle = null_mut();
        // SAFETY: stores a handle. The node before it is of this graph. The struct and the argument, which has the size that the function
        // takes, are copied before it returns.
        let code = unsafe {
            (self.context.calls.cuGraphAddKernelNode_v2)(
                &raw mut handle,
                self.handle.0,
                after.as_ref().map_or(null(), std::ptr::from_ref),
                usize::from(after.is_some()),
                &raw const node,
            )
        };
        check("cuGraphAddKernelNode_v2", code)?;
        self.last = Some(Opaque(handle));
        self.bytes += ready.launch.argument.len() as u64 * 8;
        Ok(())
    }

    /// Makes it ready to run. The modules of its kernels have to stay.
    pub(super) fn finish(self) -> Result<ExecutableGraph, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: stores a handle; what it is made from may be destroyed afterwards.
        let code =
            unsafe { (self.context.calls.cuGraphInstantiateWithFlags)(&raw mut handle, self.handle.0, 0) };
        check_memory("cuGraphInstantiateWithFlags", code, self.bytes)?;
        Ok(ExecutableGraph {
            context: Arc::clone(&self.context),
            handle: Opaque(handle),
        })
    }
}

impl Drop for GraphBuilder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once.
        self.context
            .give_back(|calls| unsafe { (calls.cuGraphDestroy)(self.handle.0) });
    }
}

/// Launches that run as one.
pub(super) struct ExecutableGraph {
    context: Arc<Context>,
    handle: Opaque<sys::CUgraphExec_st>,
}

impl ExecutableGraph {
    /// Runs them after what is in the stream.
    pub(super) fn launch(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        // SAFETY: both are there as long as their owners are.
        check("cuGraphLaunch", unsafe {
            (self.context.calls.cuGraphLaunch)(self.handle.0, stream.handle.0)
        })
    }
}

impl Drop for ExecutableGraph {
    fn drop(&mut self) {
        // SAFETY: made in `finish`, given back once; the driver keeps it until it has run.
        self.context
            .give_back(|calls| unsafe { (calls.cuGraphExecDestroy)(self.handle.0) });
    }
}
