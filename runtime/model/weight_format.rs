//! The formats that weights are put into for a device: which tensor gets which type.

use cwm_kernels::ElementType;
use cwm_kernels::blocks::scaled_row_bytes;

use super::spec::{LayerTensor, ModelSpec, TensorRole};

/// A format of a whole model's weights. Embeddings are 16-bit floats in all of them, for only a row is read of them at a time; norms and
/// biases are 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// Upper halves of 32-bit floats: as most models are published.
    Bf16,
    /// 8-bit floats with a scale for each row of a matrix.
    Fp8,
    /// 4-bit integers with a scale for each 128 elements of a row. The output projection is as in `Fp8`.
    Int4,
}

impl WeightFormat {
    /// All of them, the largest first.
    pub const ALL: [WeightFormat; 3] = [WeightFormat::Bf16, WeightFormat::Fp8, WeightFormat::Int4];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::Bf16 => "bf16",
            WeightFormat::Fp8 => "fp8",
            WeightFormat::Int4 => "int4",
        }
    }

    /// The type of a tensor's elements.
    pub fn element(self, spec: &ModelSpec, role: TensorRole) -> ElementType {
        let shape = spec.shape(role);
        let [_, columns] = shape.as_slice() else {
            return ElementType::F32;
        };
        let matrix = match self {
            WeightFormat::Bf16 => ElementType::BF16,
            WeightFormat::Fp8 => ElementType::E4M3,
            // Rows must be whole bytes.
            WeightFormat::Int4 if columns % 2 == 0 => ElementType::I4,
            WeightFormat::Int4 => ElementType::E4M3,
        };
        match role {
            TensorRole::Embedding => ElementType::BF16,
            // The last product decides between tokens, and is read once a step.
            TensorRole::Output if self == WeightFormat::Int4 => ElementType::E4M3,
            _ => matrix,
        }
    }

    /// The bytes of a tensor, scales included.
    pub fn tensor_bytes(self, spec: &ModelSpec, role: TensorRole) -> u64 {
        let shape = spec.shape(role);
        let columns = shape.last().copied().unwrap_or(1);
        let rows: u64 = shape.iter().rev().skip(1).map(|length| *length as u64).product();
        let element = self.element(spec, role);
        let row = match scaled_row_bytes(element, columns) {
            Some((codes, scales)) => codes + scales,
            // Of plain types any number of elements is whole.
            None => element.bytes_of(columns).unwrap_or(usize::MAX),
        };
        rows.saturating_mul(row as u64)
    }

    /// The bytes of all weights.
    pub fn weight_bytes(self, spec: &ModelSpec) -> u64 {
        let roles = spec.roles().into_iter();
        roles.map(|role| self.tensor_bytes(spec, role)).sum()
    }

    /// The bytes that a step reads at least: all but the embeddings, unless they are the output projection too.
    pub fn streamed_bytes(self, spec: &ModelSpec) -> u64 {
        let embedding = self.tensor_bytes(spec, TensorRole::Embedding);
        let all = self.weight_bytes(spec);
        if spec.tied_head {
            all
        } else {
            all.saturating_sub(embedding)
        }
    }
}

impl TensorRole {
    /// Whether it is a norm or a bias, and not a matrix.
    pub fn is_vector(self) -> bool {
        match self {
            TensorRole::Embedding | TensorRole::Output => false,
            TensorRole::OutputNorm => true,
            TensorRole::Layer(_, tensor) => {
                tensor.is_bias()
                    || matches!(tensor, LayerTensor::AttentionNorm | LayerTensor::FeedForwardNorm)
            }
        }
    }
}
