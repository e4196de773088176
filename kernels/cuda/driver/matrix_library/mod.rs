//! Products of many rows by NVIDIA's library for them, cublasLt, where it is there.
//!
//! What enters are the arguments of our own kernel for such products, so that whoever launches that need not know of the library. It is
//! loaded when a device is opened, and never linked. `functions` loads it and lists what is called of it, `descriptors` calls that;
//! `presence` tells whether it is there.
//!
//! The library thinks in columns: a matrix of ours, row after row, is its transposed one. It computes the transposed result from the
//! transposed input, `out^T = weights * input^T`, for which nothing has to be moved.

mod descriptors;
mod functions;
mod presence;

use std::collections::HashMap;
use std::sync::Arc;

use cudarc::cublaslt::sys::cudaDataType;

use super::context::{Context, Memory, Stream};
use crate::cuda::{DeviceError, DevicePointer, ProductArguments, Store};
use descriptors::{Algorithm, Handle, Layout, Matrices, Operation, Places, Preference};
pub use presence::{MatrixLibrary, MatrixLibraryUse, NoMatrixLibrary, find_matrix_library};

/// What the library's algorithms may use beside the matrices: what NVIDIA advises for devices of compute capability 9.0.
const WORKSPACE_BYTES: usize = 32 << 20;
/// Forms of products that are kept. Each length of a prompt's last step makes some; they are small, but there may be many.
const MOST_FORMS: usize = 4096;
/// What an address is taken to be a multiple of at most.
const MOST_ALIGNMENT: u32 = 256;

/// The library on a device, with what it needs there.
pub(super) struct Multiplier {
    /// `None` for what the library has no algorithm for.
    plans: HashMap<Form, Option<Plan>>,
    handle: Handle,
    workspace: Memory,
    products: u64,
    refused: u64,
}

/// What products must have in common to be computed in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    outputs: u32,
    rows: u32,
    columns: u32,
    stride: u32,
    store: Store,
    /// What the address of the bias is a multiple of, which the search for an algorithm heeds; 0 without one.
    bias: u32,
    /// The same of weights, input and result.
    alignments: [u32; 3],
}

/// How products of one form are computed.
struct Plan {
    operation: Operation,
    matrices: Matrices,
    algorithm: Algorithm,
}

impl Multiplier {
    /// Loads the library and takes its workspace. The context is current.
    pub(super) fn new(context: &Arc<Context>) -> Result<Multiplier, NoMatrixLibrary> {
        let functions = functions::find()?;
        let failed = |error: DeviceError| NoMatrixLibrary::Failed {
            reason: error.to_string(),
        };
        Ok(Multiplier {
            plans: HashMap::new(),
            handle: Handle::new(context, functions).map_err(failed)?,
            workspace: Memory::new(context, WORKSPACE_BYTES as u64).map_err(failed)?,
            products: 0,
            refused: 0,
        })
    }

    /// What it has done.
    pub(super) fn report(&self) -> MatrixLibraryUse {
        MatrixLibraryUse {
            version: self.handle.functions().version(),
            products: self.products,
            refused: self.refused,
        }
    }

    /// Computes a product after what is in the stream; `false` when our own kernel has to. The context is current.
    pub(super) fn multiply(
        &mut self,
        product: &ProductArguments,
        stream: &Stream,
    ) -> Result<bool, DeviceError> {
        let Some(form) = Form::of(product) else {
            self.refused += 1;
            return Ok(false);
        };
        if !self.plans.contains_key(&form) {
            if self.plans.len() == MOST_FORMS {
                self.plans.clear();
            }
            let plan = Plan::new(&self.handle, &form, product.bias)?;
            self.plans.insert(form, plan);
        }
        let Some(Some(plan)) = self.plans.get(&form) else {
            self.refused += 1;
            return Ok(false);
        };
        if form.bias > 0 {
            plan.operation.set_bias(product.bias)?;
        }
        let places = Places {
            weights: product.weights.codes,
            input: product.input,
            out: product.out,
            workspace: DevicePointer(self.workspace.address()),
            workspace_bytes: WORKSPACE_BYTES,
        };
        let add = form.store == Store::AddF32;
        self.handle.multiply(
            &plan.operation,
            &plan.matrices,
            &plan.algorithm,
            places,
            add,
            stream,
        )?;
        self.products += 1;
        Ok(true)
    }
}

impl Form {
    /// `None` for what the library cannot do at all.
    fn of(product: &ProductArguments) -> Option<Form> {
        let bias = match product.bias {
            DevicePointer::NULL => 0,
            // A bias must be of the result's type, and ours are f32.
            _ if product.store == Store::Bf16 => return None,
            bias => alignment(bias),
        };
        Some(Form {
            outputs: product.weights.rows,
            rows: product.rows,
            columns: product.weights.columns,
            stride: product.out_stride,
            store: product.store,
            bias,
            alignments: [product.weights.codes, product.input, product.out].map(alignment),
        })
    }
}

/// What an address is a multiple of, as far as it matters: a power of two.
fn alignment(address: DevicePointer) -> u32 {
    1 << address.0.trailing_zeros().min(MOST_ALIGNMENT.trailing_zeros())
}

impl Plan {
    /// `None` when the library has no algorithm for it.
    fn new(handle: &Handle, form: &Form, bias: DevicePointer) -> Result<Option<Plan>, DeviceError> {
        let functions = handle.functions();
        let operation = Operation::new(functions)?;
        if form.bias > 0 {
            operation.set_bias(bias)?;
        }
        let stored = match form.store {
            Store::Bf16 => cudaDataType::CUDA_R_16BF,
            Store::F32 | Store::AddF32 => cudaDataType::CUDA_R_32F,
        };
        let bf16 = cudaDataType::CUDA_R_16BF;
        let Form {
            outputs,
            rows,
            columns,
            stride,
            ..
        } = *form;
        let matrices = Matrices {
            weights: Layout::new(functions, bf16, (columns, outputs), columns)?,
            input: Layout::new(functions, bf16, (columns, rows), columns)?,
            out: Layout::new(functions, stored, (outputs, rows), stride)?,
        };
        let preference = Preference::new(functions, WORKSPACE_BYTES, form.alignments)?;
        let algorithm = handle.algorithm(&operation, &matrices, &preference)?;
        Ok(algorithm.map(|algorithm| Plan {
            operation,
            matrices,
            algorithm,
        }))
    }
}
