//! Weights in the form that the kernels take.

use cwm_kernels::blocks::BlockError;
use cwm_kernels::cpu::{FloatMatrix, Matrix, PackedMatrix, ThreadPool};

use crate::backend::weights::{LayerWeights, LoadError, Projection, Weights, block_error};
use crate::formats::Tensor;

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
}

impl CpuWeights {
    pub(super) fn of(pool: &ThreadPool, weights: Weights) -> Result<CpuWeights, LoadError> {
        let layers = weights.layers.into_iter().map(|layer| CpuLayer::of(pool, layer));
        // Of a tied head, which is the embedding, rows are looked up in the file again and again.
        let tied = std::ptr::eq(weights.output.bytes(), weights.embedding.bytes());
        Ok(CpuWeights {
            layers: layers.collect::<Result<_, _>>()?,
            output_norm: weights.output_norm,
            output: if tied {
                CpuMatrix::shared(pool, weights.output)?
            } else {
                CpuMatrix::of(pool, weights.output)?
            },
            embedding: weights.embedding,
        })
    }
}

impl CpuLayer {
    fn of(pool: &ThreadPool, weights: LayerWeights) -> Result<CpuLayer, LoadError> {
        let projection = |projection: Projection| -> Result<CpuProjection, LoadError> {
            Ok(CpuProjection {
                matrix: CpuMatrix::of(pool, projection.matrix)?,
                bias: projection.bias,
            })
        };
        Ok(CpuLayer {
            attention_norm: weights.attention_norm,
            query: projection(weights.query)?,
            key: projection(weights.key)?,
            value: projection(weights.value)?,
            attention_output: CpuMatrix::of(pool, weights.attention_output)?,
            feed_forward_norm: weights.feed_forward_norm,
            gate: CpuMatrix::of(pool, weights.gate)?,
            up: CpuMatrix::of(pool, weights.up)?,
            down: CpuMatrix::of(pool, weights.down)?,
        })
    }
}

impl CpuMatrix {
    /// A matrix of a tensor that nobody else reads: once it is packed, its pages in the file need not stay in memory.
    fn of(pool: &ThreadPool, tensor: Tensor) -> Result<CpuMatrix, LoadError> {
        let matrix = CpuMatrix::shared(pool, tensor.clone())?;
        if matrix.is_packed() {
            tensor.forget_pages();
        }
        Ok(matrix)
    }

    /// A matrix of a tensor that is also read where it lies.
    fn shared(pool: &ThreadPool, tensor: Tensor) -> Result<CpuMatrix, LoadError> {
        let (rows, columns) = (tensor.rows(), tensor.columns());
        if tensor.element.is_quantised() {
            return PackedMatrix::pack(pool, tensor.element, rows, columns, tensor.bytes())
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
        }
    }

    /// Whether its kernels take activations as 8-bit integers.
    pub(super) fn is_packed(&self) -> bool {
        matches!(self, CpuMatrix::Packed(_))
    }
}

fn float_matrix(tensor: &Tensor) -> Result<FloatMatrix<'_>, BlockError> {
    FloatMatrix::new(tensor.element, tensor.rows(), tensor.columns(), tensor.bytes())
}
