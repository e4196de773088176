//! Weights in the form that the kernels take.

use cwm_kernels::ElementType;
use cwm_kernels::blocks::BlockError;
use cwm_kernels::cpu::{FloatMatrix, Matrix, PackedMatrix, ThreadPool};

use crate::backend::weights::{LayerWeights, LoadError, Projection, Weights, block_error};
use crate::formats::Tensor;

/// How matrices are made ready.
pub(super) struct Preparation<'p> {
    pool: &'p ThreadPool,
    widen: bool,
}

impl<'p> Preparation<'p> {
    pub(super) fn new(pool: &'p ThreadPool, widen: bool) -> Preparation<'p> {
        Preparation { pool, widen }
    }
}

/// All weights of a model.
pub(super) struct CpuWeights {
    /// Rows are dequantised from the file as tokens ask for them.
    pub(super) embedding: Tensor,
    pub(super) layers: Vec<CpuLayer>,
    pub(super) output_norm: Vec<f32>,
    pub(super) output: CpuMatrix,
}

/// The weights of one block.
pub(super) struct CpuLayer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) query: CpuProjection,
    pub(super) key: CpuProjection,
    pub(super) value: CpuProjection,
    pub(super) attention_output: CpuMatrix,
    pub(super) feed_forward_norm: Vec<f32>,
    pub(super) gate: CpuMatrix,
    pub(super) up: CpuMatrix,
    pub(super) down: CpuMatrix,
}

/// A matrix, and what is added to its products.
pub(super) struct CpuProjection {
    pub(super) matrix: CpuMatrix,
    pub(super) bias: Option<Vec<f32>>,
}

/// A matrix of any type.
pub(super) enum CpuMatrix {
    /// Quantised: a copy, interleaved as the kernels read it.
    Packed(PackedMatrix),
    /// Floats, where they lie in the file.
    Float(Tensor),
    /// Floats made of a type that has no kernels here: the bytes of `[rows, columns]` 32-bit floats.
    Widened(WidenedMatrix),
}

/// A matrix that was turned into 32-bit floats when it was loaded.
pub(super) struct WidenedMatrix {
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

impl CpuWeights {
    pub(super) fn of(how: &Preparation<'_>, weights: Weights) -> Result<CpuWeights, LoadError> {
        let layers = weights.layers.into_iter().map(|layer| CpuLayer::of(how, layer));
        // Of a tied head, which is the embedding, rows are looked up in the file again and again.
        let tied = std::ptr::eq(weights.output.bytes(), weights.embedding.bytes());
        Ok(CpuWeights {
            layers: layers.collect::<Result<_, _>>()?,
            output_norm: weights.output_norm,
            output: if tied {
                CpuMatrix::shared(how, weights.output)?
            } else {
                CpuMatrix::of(how, weights.output)?
            },
            embedding: weights.embedding,
        })
    }
}

impl CpuLayer {
    fn of(how: &Preparation<'_>, weights: LayerWeights) -> Result<CpuLayer, LoadError> {
        let projection = |projection: Projection| -> Result<CpuProjection, LoadError> {
            Ok(CpuProjection {
                matrix: CpuMatrix::of(how, projection.matrix)?,
                bias: projection.bias,
            })
        };
        Ok(CpuLayer {
            attention_norm: weights.attention_norm,
            query: projection(weights.query)?,
            key: projection(weights.key)?,
            value: projection(weights.value)?,
            attention_output: CpuMatrix::of(how, weights.attention_output)?,
            feed_forward_norm: weights.feed_forward_norm,
            gate: CpuMatrix::of(how, weights.gate)?,
            up: CpuMatrix::of(how, weights.up)?,
            down: CpuMatrix::of(how, weights.down)?,
        })
    }
}

impl CpuMatrix {
    /// A matrix of a tensor that nobody else reads: once it is packed, its pages in the file need not stay in memory.
    fn of(how: &Preparation<'_>, tensor: Tensor) -> Result<CpuMatrix, LoadError> {
        let matrix = CpuMatrix::shared(how, tensor.clone())?;
        if !matches!(matrix, CpuMatrix::Float(_)) {
            tensor.forget_pages();
        }
        Ok(matrix)
    }

    /// A matrix of a tensor that is also read where it lies.
    fn shared(how: &Preparation<'_>, tensor: Tensor) -> Result<CpuMatrix, LoadError> {
        let (rows, columns) = (tensor.rows(), tensor.columns());
        if tensor.element.has_scales_apart() || how.widen && tensor.element.is_quantised() {
            return widened(&tensor).map(CpuMatrix::Widened);
        }
        if tensor.element.is_quantised() {
            return PackedMatrix::pack(how.pool, tensor.element, rows, columns, tensor.bytes())
                .map(CpuMatrix::Packed)
                .map_err(|error| block_error(&tensor, &error));
        }
        float_matrix(&tensor).map_err(|error| block_error(&tensor, &error))?;
        Ok(CpuMatrix::Float(tensor))
    }

    /// The matrix as the kernels take it.
    pub(super) fn view(&self) -> Result<Matrix<'_>, BlockError> {
        match self {
            CpuMatrix::Packed(packed) => Ok(Matrix::Packed(packed)),
            CpuMatrix::Float(tensor) => float_matrix(tensor).map(Matrix::Float),
            CpuMatrix::Widened(matrix) => {
                FloatMatrix::new(ElementType::F32, matrix.rows, matrix.columns, &matrix.bytes)
                    .map(Matrix::Float)
            }
        }
    }

    /// Whether its kernels take activations as 8-bit integers.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self, CpuMatrix::Packed(_))
    }
}

/// Four bytes for each element, whatever it took before: these formats are for GPUs, and run here to be compared.
fn widened(tensor: &Tensor) -> Result<WidenedMatrix, LoadError> {
    let (rows, columns) = (tensor.rows(), tensor.columns());
    let mut bytes = Vec::new();
    let size = rows * columns * size_of::<f32>();
    bytes
        .try_reserve_exact(size)
        .map_err(|_| block_error(tensor, &BlockError::OutOfMemory { bytes: size }))?;
    let mut row = vec![0.0; columns];
    for index in 0..rows {
        let read = tensor.read_rows(index, &mut row);
        read.map_err(|error| block_error(tensor, &error))?;
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    Ok(WidenedMatrix { rows, columns, bytes })
}

fn float_matrix(tensor: &Tensor) -> Result<FloatMatrix<'_>, BlockError> {
    FloatMatrix::new(tensor.element, tensor.rows(), tensor.columns(), tensor.bytes())
}
