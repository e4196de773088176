//! What cublasLt is told of a product: its handle, and descriptions of the operation, of matrices and of what algorithms may take. Each
//! gives itself back when it is dropped.

#![allow(unsafe_code, reason = "the library speaks C")]

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;
use std::sync::Arc;

use cudarc::cublaslt::sys;

use super::functions::{Functions, Status};
use crate::cuda::driver::context::{Context, Opaque, Stream};
use crate::cuda::{DeviceError, DevicePointer};

/// `CUBLAS_STATUS_NOT_SUPPORTED`: what the search for an algorithm gives when there is none.
const NOT_SUPPORTED: Status = sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED as Status;
/// `CUBLAS_OP_N` and `CUBLAS_OP_T` of `cublas_api.h`: the header of another library, which `cudarc` has apart.
const OPERATION_PLAIN: i32 = 0;
const OPERATION_TRANSPOSED: i32 = 1;

/// The library in use on a device.
pub(super) struct Handle {
    context: Arc<Context>,
    functions: &'static Functions,
    handle: Opaque<sys::cublasLtContext>,
}

impl Handle {
    /// Of a context that is current.
    pub(super) fn new(context: &Arc<Context>, functions: &'static Functions) -> Result<Handle, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let status = unsafe { (functions.cublasLtCreate)(&raw mut handle) };
        functions.check("cublasLtCreate", status)?;
        Ok(Handle {
            context: Arc::clone(context),
            functions,
            handle: Opaque(handle),
        })
    }

    pub(super) fn functions(&self) -> &'static Functions {
        self.functions
    }

    /// The algorithm that the library thinks the fastest; `None` when it has none.
    pub(super) fn algorithm(
        &self,
        operation: &Operation,
        matrices: &Matrices,
        preference: &Preference,
    ) -> Result<Option<Algorithm>, DeviceError> {
        let mut found = Found {
            algorithm: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
            workspace_bytes: 0,
            state: 0,
            waves: 0.0,
            reserved: [0; 4],
        };
        let mut count: c_int = 0;
        let Matrices { weights, input, out } = matrices;
        // SAFETY: stores at most as many results as it is told there is room for, which is one, and their number. `Found` is laid out as
        // the header's struct. All descriptions are there as long as their owners are.
        let status = unsafe {
            (self.functions.cublasLtMatmulAlgoGetHeuristic)(
                self.handle.0,
                operation.handle.0,
                weights.handle.0,
                input.handle.0,
                out.handle.0,
                out.handle.0,
                preference.handle.0,
                1,
                (&raw mut found).cast(),
                &raw mut count,
            )
        };
        if status == NOT_SUPPORTED {
            return Ok(None);
        }
        self.functions.check("cublasLtMatmulAlgoGetHeuristic", status)?;
        Ok((count > 0 && found.state == 0).then_some(Algorithm(found.algorithm)))
    }

    /// Multiplies after what is in the stream: `out = weights * input`, and what was in `out` before if `add`.
    ///
    /// The matrices are as large as their descriptions say, `workspace` as the preference that the algorithm was asked with.
    pub(super) fn multiply(
        &self,
        operation: &Operation,
        matrices: &Matrices,
        algorithm: &Algorithm,
        Places {
            weights,
            input,
            out,
            workspace,
            workspace_bytes,
        }: Places,
        add: bool,
        stream: &Stream,
    ) -> Result<(), DeviceError> {
        let (one, kept) = (1.0_f32, if add { 1.0_f32 } else { 0.0 });
        // SAFETY: the two factors are f32 of this process, as the operation says, and are read before it returns, as all descriptions are.
        // What addresses are given is the caller's affair, as with launches: the device checks them. The result may be what is added when
        // both have one description.
        let status = unsafe {
            (self.functions.cublasLtMatmul)(
                self.handle.0,
                operation.handle.0,
                (&raw const one).cast(),
                address(weights),
                matrices.weights.handle.0,
                address(input),
                matrices.input.handle.0,
                (&raw const kept).cast(),
                address(out),
                matrices.out.handle.0,
                address(out),
                matrices.out.handle.0,
                &raw const algorithm.0,
                address(workspace),
                workspace_bytes,
                stream.handle.0.cast(),
            )
        };
        self.functions.check("cublasLtMatmul", status)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: made in `new`, given back once. Who owns it has waited for its products.
            let _: Status = unsafe { (self.functions.cublasLtDestroy)(self.handle.0) };
        }
    }
}

/// An address on the device as the library takes it.
fn address(pointer: DevicePointer) -> *mut c_void {
    std::ptr::without_provenance_mut(pointer.0 as usize)
}

/// Where the parts of a product lie on the device.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) weights: DevicePointer,
    pub(super) input: DevicePointer,
    pub(super) out: DevicePointer,
    pub(super) workspace: DevicePointer,
    pub(super) workspace_bytes: usize,
}

/// The matrices of a product.
pub(super) struct Matrices {
    pub(super) weights: Layout,
    pub(super) input: Layout,
    /// What is stored, and what it may be added to.
    pub(super) out: Layout,
}

/// How the library computes products of one form.
pub(super) struct Algorithm(sys::cublasLtMatmulAlgo_t);

/// `cublasLtMatmulHeuristicResult_t`, whose state is an enumeration there.
#[repr(C)]
struct Found {
    algorithm: sys::cublasLtMatmulAlgo_t,
    workspace_bytes: usize,
    state: Status,
    waves: f32,
    reserved: [c_int; 4],
}

const _: () = {
    type Theirs = sys::cublasLtMatmulHeuristicResult_t;
    assert!(size_of::<Found>() == size_of::<Theirs>() && align_of::<Found>() == align_of::<Theirs>());
    assert!(offset_of!(Found, algorithm) == offset_of!(Theirs, algo));
    assert!(offset_of!(Found, state) == offset_of!(Theirs, state));
};

/// What is done with the matrices.
pub(super) struct Operation {
    functions: &'static Functions,
    handle: Opaque<sys::cublasLtMatmulDescOpaque_t>,
}

impl Operation {
    /// The first matrix is transposed, the second is not; sums are f32.
    pub(super) fn new(functions: &'static Functions) -> Result<Operation, DeviceError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let mut handle = null_mut();
        let (compute, scale) = (
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        );
        // SAFETY: stores a handle.
        let status = unsafe { (functions.cublasLtMatmulDescCreate)(&raw mut handle, compute, scale) };
        functions.check("cublasLtMatmulDescCreate", status)?;
        let operation = Operation {
            functions,
            handle: Opaque(handle),
        };
        operation.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, OPERATION_TRANSPOSED)?;
        operation.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, OPERATION_PLAIN)?;
        Ok(operation)
    }

    /// Adds to each row of the result the number of the row: f32, one after another.
    pub(super) fn set_bias(&self, bias: DevicePointer) -> Result<(), DeviceError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
        let kind = sys::cudaDataType_t::CUDA_R_32F as i32;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, kind)?;
        self.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.0)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: T,
    ) -> Result<(), DeviceError> {
        // SAFETY: reads as many bytes as it is told, which are a number; it refuses numbers of another size than the attribute's.
        let status = unsafe {
            (self.functions.cublasLtMatmulDescSetAttribute)(
                self.handle.0,
                attribute,
                (&raw const value).cast(),
                size_of::<T>(),
            )
        };
        self.functions.check("cublasLtMatmulDescSetAttribute", status)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once. Products have read it when they are begun.
        let _: Status = unsafe { (self.functions.cublasLtMatmulDescDestroy)(self.handle.0) };
    }
}

/// How a matrix lies in memory, column after column.
pub(super) struct Layout {
    functions: &'static Functions,
    handle: Opaque<sys::cublasLtMatrixLayoutOpaque_t>,
}

impl Layout {
    /// So many rows and columns; `step` elements from one column to the next.
    pub(super) fn new(
        functions: &'static Functions,
        kind: sys::cudaDataType,
        (rows, columns): (u32, u32),
        step: u32,
    ) -> Result<Layout, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let status = unsafe {
            (functions.cublasLtMatrixLayoutCreate)(
                &raw mut handle,
                kind,
                u64::from(rows),
                u64::from(columns),
                i64::from(step),
            )
        };
        functions.check("cublasLtMatrixLayoutCreate", status)?;
        Ok(Layout {
            functions,
            handle: Opaque(handle),
        })
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once. Products have read it when they are begun.
        let _: Status = unsafe { (self.functions.cublasLtMatrixLayoutDestroy)(self.handle.0) };
    }
}

/// What an algorithm may take, and what it can rely on.
pub(super) struct Preference {
    functions: &'static Functions,
    handle: Opaque<sys::cublasLtMatmulPreferenceOpaque_t>,
}

impl Preference {
    /// So much workspace, and addresses of weights, input and result that are multiples of such numbers. Parts of sums are kept as f32.
    pub(super) fn new(
        functions: &'static Functions,
        workspace_bytes: usize,
        [weights, input, out]: [u32; 3],
    ) -> Result<Preference, DeviceError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let mut handle = null_mut();
        // SAFETY: stores a handle.
        let status = unsafe { (functions.cublasLtMatmulPreferenceCreate)(&raw mut handle) };
        functions.check("cublasLtMatmulPreferenceCreate", status)?;
        let preference = Preference {
            functions,
            handle: Opaque(handle),
        };
        let bytes = workspace_bytes as u64;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, bytes)?;
        let scheme = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, scheme)?;
        // Without these the library takes all addresses for multiples of 256.
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, weights)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, input)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out)?;
        Ok(preference)
    }

    fn set<T: Copy>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: T,
    ) -> Result<(), DeviceError> {
        // SAFETY: reads as many bytes as it is told, which are a number; it refuses numbers of another size than the attribute's.
        let status = unsafe {
            (self.functions.cublasLtMatmulPreferenceSetAttribute)(
                self.handle.0,
                attribute,
                (&raw const value).cast(),
                size_of::<T>(),
            )
        };
        self.functions
            .check("cublasLtMatmulPreferenceSetAttribute", status)
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: made in `new`, given back once.
        let _: Status = unsafe { (self.functions.cublasLtMatmulPreferenceDestroy)(self.handle.0) };
    }
}
