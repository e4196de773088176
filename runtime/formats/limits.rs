//! What numbers a model may have, and how its tensors are matched to their roles.

use std::collections::HashMap;
use std::path::Path;

use super::error::FormatError;
use super::tensor::Tensor;
use super::values;
use crate::model::{Attention, ModelSpec, RopeScaling, TensorRole};

/// The most layers that a model may have.
pub(super) const MOST_LAYERS: usize = 1 << 10;
/// The widest that a residual stream or feed-forward layer may be.
const WIDEST: usize = 1 << 20;
/// The most tokens that a vocabulary may have.
pub(super) const LARGEST_VOCABULARY: usize = 1 << 22;
/// The longest context.
const LONGEST_CONTEXT: usize = 1 << 30;
/// The most heads, and elements a head.
const MOST_HEADS: usize = 1 << 12;

/// Checks a description's numbers: none is zero or beyond reason, and those that must divide each other do. After this, products of
/// two of them cannot overflow.
pub(super) fn check_spec(spec: &ModelSpec, path: &Path) -> Result<(), FormatError> {
    let counts = [
        ("the number of layers", spec.layers.len(), MOST_LAYERS),
        ("the hidden size", spec.hidden, WIDEST),
        ("the intermediate size", spec.intermediate, WIDEST),
        ("the vocabulary", spec.vocabulary, LARGEST_VOCABULARY),
        ("the context length", spec.context, LONGEST_CONTEXT),
        ("the number of heads", spec.heads, MOST_HEADS),
        ("the number of key and value heads", spec.kv_heads, MOST_HEADS),
        ("the head size", spec.head_dim, MOST_HEADS),
    ];
    for (name, number, most) in counts {
        if number == 0 || number > most {
            return Err(FormatError::unsupported(
                path,
                format!("{name} is {number}; 1 to {most} are possible"),
            ));
        }
    }
    if !spec.heads.is_multiple_of(spec.kv_heads) {
        return Err(FormatError::unsupported(
            path,
            format!(
                "its {} heads are not a multiple of its {} key and value heads",
                spec.heads, spec.kv_heads
            ),
        ));
    }
    if !spec.head_dim.is_multiple_of(2) {
        return Err(FormatError::unsupported(
            path,
            format!(
                "its head size {} is odd, which rotary positions do not allow",
                spec.head_dim
            ),
        ));
    }
    for (index, layer) in spec.layers.iter().enumerate() {
        if layer.attention == Attention::Window(0) {
            return Err(FormatError::unsupported(
                path,
                format!("the sliding window of layer {index} is 0"),
            ));
        }
    }
    check_floats(spec).map_err(|reason| FormatError::unsupported(path, reason))
}

fn check_floats(spec: &ModelSpec) -> Result<(), String> {
    let positive = |name: &str, number: f32| {
        if number.is_finite() && number > 0.0 {
            Ok(())
        } else {
            Err(format!("{name} is {number}, which is not a positive number"))
        }
    };
    positive("the epsilon of its norms", spec.norm_epsilon)?;
    positive("the base of its rotary frequencies", spec.rope.theta)?;
    match &spec.rope.scaling {
        RopeScaling::None => Ok(()),
        RopeScaling::Linear { factor } => positive("the rope factor", *factor),
        RopeScaling::Llama3 {
            factor,
            low_frequency_factor,
            high_frequency_factor,
            original_context,
        } => {
            positive("the rope factor", *factor)?;
            positive("low_freq_factor", *low_frequency_factor)?;
            positive("high_freq_factor", *high_frequency_factor)?;
            if high_frequency_factor <= low_frequency_factor {
                return Err(format!(
                    "high_freq_factor {high_frequency_factor} is not above low_freq_factor {low_frequency_factor}"
                ));
            }
            if *original_context == 0 || *original_context > LONGEST_CONTEXT {
                return Err(format!(
                    "original_max_position_embeddings is {original_context}; 1 to {LONGEST_CONTEXT} are possible"
                ));
            }
            Ok(())
        }
        RopeScaling::Factors(factors) => {
            if factors.len() != spec.head_dim / 2 {
                return Err(format!(
                    "it has {} rotary factors for heads of {} elements",
                    factors.len(),
                    spec.head_dim
                ));
            }
            factors
                .iter()
                .try_for_each(|factor| positive("a rotary factor", *factor))
        }
    }
}

/// Gives each role its tensor, of the right shape and with plausible values, and takes no tensor that has no role: what a file
/// holds beyond the model is a sign that the model is another one.
pub(super) fn assign(
    spec: &ModelSpec,
    mut named: HashMap<String, Tensor>,
    name_of: impl Fn(TensorRole) -> String,
    ignored: impl Fn(&str) -> bool,
    path: &Path,
) -> Result<HashMap<TensorRole, Tensor>, FormatError> {
    let mut tensors = HashMap::new();
    for role in spec.roles() {
        let name = name_of(role);
        let tensor = named
            .remove(&name)
            .ok_or_else(|| FormatError::tensor(path, &name, "it is missing"))?;
        let wanted = spec.shape(role);
        if tensor.shape != wanted {
            return Err(FormatError::tensor(
                tensor.file().path(),
                &name,
                format!("its shape is {:?} and should be {wanted:?}", tensor.shape),
            ));
        }
        if tensor.element.is_quantised() && role.is_vector() {
            return Err(FormatError::tensor(
                tensor.file().path(),
                &name,
                format!("norms and biases are floats, and it is {}", tensor.element.name()),
            ));
        }
        values::check_sample(&tensor)?;
        tensors.insert(role, tensor);
    }
    // The first by name, so that a message is the same each time.
    let unknown = named.into_values().filter(|tensor| !ignored(&tensor.name));
    match unknown.min_by(|one, other| one.name.cmp(&other.name)) {
        None => Ok(tensors),
        Some(tensor) => Err(FormatError::tensor(
            tensor.file().path(),
            &tensor.name,
            format!(
                "a {} model has no such tensor, and leaving it out would change what the model computes",
                spec.architecture
            ),
        )),
    }
}
