//! Rotary positions in a config.json, in the new spelling (`rope_parameters`) and the old (`rope_theta` and `rope_scaling`).

use super::config::Config;
use crate::formats::error::{FormatError, shown};
use crate::model::RopeScaling;

/// The base that `transformers` takes when llama's and qwen2's configurations name none.
const DEFAULT_THETA: f32 = 10_000.0;
/// The same for cwm.
const CWM_THETA: f32 = 1_000_000.0;

/// The base of the frequencies and how they are scaled. Where a cwm configuration says nothing at all, these are the values that
/// `transformers` takes: base 1e6, stretched 16 times over 8192 positions.
pub(in crate::formats) fn rope_of(config: &Config) -> Result<(f32, RopeScaling), FormatError> {
    let is_cwm = config.string("model_type")? == Some("cwm");
    let parameters = match config.object("rope_parameters")? {
        Some(parameters) => Some(same_for_all_layers(parameters)?),
        None => config.object("rope_scaling")?,
    };
    if is_cwm && !config.has_rope() {
        let scaling = RopeScaling::Llama3 {
            factor: 16.0,
            low_frequency_factor: 1.0,
            high_frequency_factor: 4.0,
            original_context: 8192,
        };
        return Ok((CWM_THETA, scaling));
    }
    let own = match &parameters {
        Some(parameters) => parameters.float("rope_theta")?,
        None => None,
    };
    let theta = match own {
        Some(theta) => theta,
        None => config
            .float("rope_theta")?
            .unwrap_or(if is_cwm { CWM_THETA } else { DEFAULT_THETA }),
    };
    for place in [Some(config), parameters.as_ref()].into_iter().flatten() {
        if let Some(part) = place.float("partial_rotary_factor")?
            && part != 1.0
        {
            return Err(FormatError::unsupported(
                config.path(),
                format!("its partial_rotary_factor is {part}; only whole heads can be rotated"),
            ));
        }
    }
    let scaling = match &parameters {
        Some(parameters) => scaling(config, parameters)?,
        None => RopeScaling::None,
    };
    Ok((theta, scaling))
}

/// Newer configurations may give each kind of layer parameters of its own; they must be the same here.
fn same_for_all_layers(parameters: Config) -> Result<Config, FormatError> {
    let mut kinds = Vec::new();
    for key in ["full_attention", "sliding_attention"] {
        kinds.extend(parameters.object(key)?);
    }
    if let [one, other] = kinds.as_slice()
        && !one.iter().eq(other.iter())
    {
        return Err(FormatError::unsupported(
            parameters.path(),
            "its full and sliding layers have different rope_parameters",
        ));
    }
    Ok(kinds.pop().unwrap_or(parameters))
}

fn scaling(config: &Config, parameters: &Config) -> Result<RopeScaling, FormatError> {
    let kind = match parameters.string("rope_type")? {
        Some(kind) => Some(kind),
        None => parameters.string("type")?,
    };
    let needed = |key: &str| {
        parameters.float(key)?.ok_or_else(|| {
            FormatError::damaged(
                config.path(),
                format!("its rope parameters have no {}", shown(key)),
            )
        })
    };
    match kind {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear {
            factor: needed("factor")?,
        }),
        Some("llama3") => {
            let original = match parameters.count("original_max_position_embeddings")? {
                Some(original) => original,
                None => config.required("original_max_position_embeddings")?,
            };
            Ok(RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_frequency_factor: needed("low_freq_factor")?,
                high_frequency_factor: needed("high_freq_factor")?,
                original_context: original,
            })
        }
        Some(other) => Err(FormatError::unsupported(
            config.path(),
            format!(
                "its rope type is {}; default, linear and llama3 can be run",
                shown(other)
            ),
        )),
    }
}
