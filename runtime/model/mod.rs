//! A model as data: layer by layer, what it attends to, its norms, rotary positions and biases. `cwm`, `llama` and `qwen2` are
//! values of one type; nothing else in the runtime asks which family a model is of.

mod spec;
mod weight_format;

pub use spec::{
    Architecture, Attention, LayerSpec, LayerTensor, ModelSpec, Rope, RopeLayout, RopeScaling, TensorRole,
    TokenId,
};
pub use weight_format::WeightFormat;
