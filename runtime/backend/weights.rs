//! A checkpoint's tensors as back ends take them: matrices where they lie in their files, norms and biases as f32.
//!
//! What enters is a [`Checkpoint`]; what leaves has been checked once more against the model's description, so that the back ends
//! need not ask again. Everything that is wrong is a [`LoadError`] that names the file and the tensor.

use std::path::PathBuf;

use cwm_kernels::KvElement;
use cwm_kernels::blocks::BlockError;
use cwm_kernels::cuda::DeviceError;

use crate::cache::PageLayout;
use crate::formats::{Checkpoint, Tensor};
use crate::memory::DoesNotFit;
use crate::model::{LayerTensor, ModelSpec, TensorRole};

/// Why a model cannot be run by a back end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The description names a tensor that the files lack.
    #[error(
        "{} has no tensor for {role:?}, which its description asks for; it is incomplete, fetch it again",
        path.display()
    )]
    Missing {
        /// The checkpoint.
        path: PathBuf,
        /// What the tensor is for.
        role: TensorRole,
    },
    /// A tensor of another shape than the description says.
    #[error(
        "tensor {tensor} in {} has shape {found:?}, but the model's description asks for {expected:?}; \
         the files are of different models",
        file.display()
    )]
    Shape {
        /// Where it is.
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// By the description.
        expected: Vec<usize>,
        /// In the file.
        found: Vec<usize>,
    },
    /// A tensor with values that are no numbers, or of a type that cannot be read.
    #[error("tensor {tensor} in {} cannot be used: {reason}; fetch the file again", file.display())]
    Values {
        /// Where it is.
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pages of the cache do not suit the model.
    #[error("pages laid out as {layout:?} do not suit {}: {reason}", path.display())]
    Layout {
        /// The checkpoint.
        path: PathBuf,
        /// What was asked for.
        layout: PageLayout,
        /// What does not fit.
        reason: &'static str,
    },
    /// The processor lacks the instructions that were asked for.
    #[error("this processor has no {isa} instructions; leave the choice to the program")]
    Processor {
        /// The instructions.
        isa: &'static str,
    },
    /// The device has too little memory for the model.
    #[error("{refusal}; {}", refusal.advice())]
    DoesNotFit {
        /// What is needed, and what there is.
        #[from]
        refusal: DoesNotFit,
    },
    /// A device that cannot be had, has too little memory, or fails.
    #[error("the model cannot be loaded onto the device: {0}")]
    Device(#[from] DeviceError),
    /// The memory for a tensor could not be had.
    #[error(
        "tensor {tensor} in {} needs {bytes} bytes of memory, and the machine does not give them; \
         use a smaller model or one quantised further",
        file.display()
    )]
    OutOfMemory {
        /// Where it is.
        file: PathBuf,
        /// Its name.
        tensor: String,
        /// How much.
        bytes: usize,
    },
}

/// All tensors of a model.
pub(super) struct Weights {
    /// Token embeddings, `[vocabulary, hidden]`.
    pub(super) embedding: Tensor,
    /// The blocks, first to last.
    pub(super) layers: Vec<LayerWeights>,
    /// The last norm, `[hidden]`.
    pub(super) output_norm: Vec<f32>,
    /// The output projection, `[vocabulary, hidden]`; the embedding, when the model ties them.
    pub(super) output: Tensor,
}

/// The tensors of one block.
pub(super) struct LayerWeights {
    /// `[hidden]`.
    pub(super) attention_norm: Vec<f32>,
    /// `[heads * head_dim, hidden]`.
    pub(super) query: Projection,
    /// `[kv_heads * head_dim, hidden]`.
    pub(super) key: Projection,
    /// `[kv_heads * head_dim, hidden]`.
    pub(super) value: Projection,
    /// `[hidden, heads * head_dim]`.
    pub(super) attention_output: Tensor,
    /// `[hidden]`.
    pub(super) feed_forward_norm: Vec<f32>,
    /// `[intermediate, hidden]`.
    pub(super) gate: Tensor,
    /// `[intermediate, hidden]`.
    pub(super) up: Tensor,
    /// `[hidden, intermediate]`.
    pub(super) down: Tensor,
}

/// A matrix, and what is added to its products.
pub(super) struct Projection {
    /// `[rows, columns]`.
    pub(super) matrix: Tensor,
    /// `[rows]`.
    pub(super) bias: Option<Vec<f32>>,
}

impl Weights {
    /// Takes what the model's description names out of a checkpoint.
    pub(super) fn of(checkpoint: &Checkpoint) -> Result<Weights, LoadError> {
        let embedding = matrix(checkpoint, TensorRole::Embedding)?;
        let output = if checkpoint.spec.tied_head {
            embedding.clone()
        } else {
            matrix(checkpoint, TensorRole::Output)?
        };
        let layers = (0..checkpoint.spec.layers.len())
            .map(|layer| LayerWeights::of(checkpoint, layer))
            .collect::<Result<_, _>>()?;
        Ok(Weights {
            embedding,
            layers,
            output_norm: vector(checkpoint, TensorRole::OutputNorm)?,
            output,
        })
    }
}

impl LayerWeights {
    fn of(checkpoint: &Checkpoint, layer: usize) -> Result<LayerWeights, LoadError> {
        let matrix = |tensor| matrix(checkpoint, TensorRole::Layer(layer, tensor));
        let vector = |tensor| vector(checkpoint, TensorRole::Layer(layer, tensor));
        let projection = |tensor, bias| -> Result<Projection, LoadError> {
            Ok(Projection {
                matrix: matrix(tensor)?,
                bias: checkpoint.spec.qkv_bias.then(|| vector(bias)).transpose()?,
            })
        };
        Ok(LayerWeights {
            attention_norm: vector(LayerTensor::AttentionNorm)?,
            query: projection(LayerTensor::Query, LayerTensor::QueryBias)?,
            key: projection(LayerTensor::Key, LayerTensor::KeyBias)?,
            value: projection(LayerTensor::Value, LayerTensor::ValueBias)?,
            attention_output: matrix(LayerTensor::AttentionOutput)?,
            feed_forward_norm: vector(LayerTensor::FeedForwardNorm)?,
            gate: matrix(LayerTensor::Gate)?,
            up: matrix(LayerTensor::Up)?,
            down: matrix(LayerTensor::Down)?,
        })
    }
}

/// A tensor, checked against the description's shape.
fn matrix(checkpoint: &Checkpoint, role: TensorRole) -> Result<Tensor, LoadError> {
    let tensor = checkpoint.tensors.get(&role).ok_or_else(|| LoadError::Missing {
        path: checkpoint.path.clone(),
        role,
    })?;
    let expected = checkpoint.spec.shape(role);
    if tensor.shape != expected {
        return Err(LoadError::Shape {
            file: tensor.file().path().to_path_buf(),
            tensor: tensor.name.clone(),
            expected,
            found: tensor.shape.clone(),
        });
    }
    Ok(tensor.clone())
}

/// A norm or a bias as f32, all finite.
fn vector(checkpoint: &Checkpoint, role: TensorRole) -> Result<Vec<f32>, LoadError> {
    let tensor = matrix(checkpoint, role)?;
    let values = to_f32(&tensor)?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(unusable(
            &tensor,
            format!("element {index} is not a finite number"),
        )),
        None => Ok(values),
    }
}

/// All elements of a tensor as f32, row after row.
pub(super) fn to_f32(tensor: &Tensor) -> Result<Vec<f32>, LoadError> {
    let elements = tensor.rows() * tensor.columns();
    let mut values = Vec::new();
    values
        .try_reserve_exact(elements)
        .map_err(|_| out_of_memory(tensor, elements * size_of::<f32>()))?;
    values.resize(elements, 0.0);
    tensor
        .read_rows(0, &mut values)
        .map_err(|error| block_error(tensor, &error))?;
    Ok(values)
}

/// A tensor that is no good, and why.
pub(super) fn unusable(tensor: &Tensor, reason: String) -> LoadError {
    LoadError::Values {
        file: tensor.file().path().to_path_buf(),
        tensor: tensor.name.clone(),
        reason,
    }
}

/// What the kernels say of a tensor's bytes.
pub(super) fn block_error(tensor: &Tensor, error: &BlockError) -> LoadError {
    match error {
        BlockError::OutOfMemory { bytes } => out_of_memory(tensor, *bytes),
        other => unusable(tensor, other.to_string()),
    }
}

fn out_of_memory(tensor: &Tensor, bytes: usize) -> LoadError {
    LoadError::OutOfMemory {
        file: tensor.file().path().to_path_buf(),
        tensor: tensor.name.clone(),
        bytes,
    }
}

/// Checks that pages of that layout can hold the model's keys and values.
pub(super) fn check_layout(checkpoint: &Checkpoint, layout: &PageLayout) -> Result<(), LoadError> {
    let spec: &ModelSpec = &checkpoint.spec;
    let wrong = |reason| {
        Err(LoadError::Layout {
            path: checkpoint.path.clone(),
            layout: layout.clone(),
            reason,
        })
    };
    if layout.page_tokens == 0 || !layout.page_tokens.is_multiple_of(16) {
        return wrong("a page must hold a positive multiple of 16 positions");
    }
    if *layout != PageLayout::of(spec, layout.page_tokens, layout.element) {
        return wrong("layers, window or heads differ from the model's");
    }
    if layout.element == KvElement::Q8 && layout.head_dim > 32 && !layout.head_dim.is_multiple_of(32) {
        return wrong("8-bit keys and values need heads of at most 32 elements, or of a multiple of 32");
    }
    Ok(())
}
