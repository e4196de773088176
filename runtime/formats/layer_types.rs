//! Which layers of a model attend to a sliding window, as its config.json or the user says.

use std::path::Path;

use serde_json::Value;

use super::error::{FormatError, shown};
use super::huggingface::{Config, rope_of};
use super::limits::MOST_LAYERS;
use crate::model::{Attention, RopeScaling};

/// What each layer attends to, taken literally: nothing is assumed about the first or the last.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTypes {
    layers: Vec<Attention>,
    rope: Option<(f32, RopeScaling)>,
}

impl LayerTypes {
    /// From the names in a config.json: `full_attention` and `sliding_attention`. A query in a sliding layer sees itself and the
    /// `sliding_window - 1` positions before it.
    ///
    /// # Errors
    ///
    /// A sentence, when a name is neither, when there are none or too many, or when a layer slides and there is no window.
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a str>,
        sliding_window: Option<usize>,
    ) -> Result<LayerTypes, String> {
        let window = sliding_window.filter(|window| *window > 0);
        let mut layers = Vec::new();
        for name in names {
            layers.push(match (name, window) {
                ("full_attention", _) => Attention::Full,
                ("sliding_attention", Some(window)) => Attention::Window(window),
                ("sliding_attention", None) => {
                    return Err("it has sliding layers and no sliding_window".to_owned());
                }
                _ => {
                    return Err(format!(
                        "the layer type {} is neither full_attention nor sliding_attention",
                        shown(name)
                    ));
                }
            });
        }
        if layers.is_empty() || layers.len() > MOST_LAYERS {
            return Err(format!(
                "layer_types has {} layers; 1 to {MOST_LAYERS} are possible",
                layers.len()
            ));
        }
        Ok(LayerTypes { layers, rope: None })
    }

    /// From a config.json: its `layer_types` and `sliding_window`, and its rotary positions.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or does not have them.
    pub fn read(path: &Path) -> Result<LayerTypes, FormatError> {
        let config = Config::read(path)?;
        let names = config
            .strings("layer_types")?
            .ok_or_else(|| FormatError::unsupported(path, "it has no layer_types"))?;
        let window = config.count("sliding_window")?;
        let types =
            LayerTypes::new(names, window).map_err(|reason| FormatError::unsupported(path, reason))?;
        let rope = match config.has_rope() {
            true => Some(rope_of(&config)?),
            false => None,
        };
        Ok(LayerTypes { rope, ..types })
    }

    /// From what a user gives: the path of a config.json, or JSON as it stands there, either
    /// `{"layer_types": ["full_attention", …], "sliding_window": 8192}` or the list alone with the window as `sliding_window`.
    ///
    /// # Errors
    ///
    /// When it is neither, or says something impossible.
    pub fn parse(text: &str, sliding_window: Option<usize>) -> Result<LayerTypes, FormatError> {
        let trimmed = text.trim_start();
        if !trimmed.starts_with(['[', '{']) {
            return LayerTypes::read(Path::new(text));
        }
        let place = Path::new("the layer types given");
        let value: Value = serde_json::from_str(trimmed)
            .map_err(|error| FormatError::damaged(place, format!("it is not JSON: {error}")))?;
        let (list, window) = match &value {
            Value::Object(object) => {
                let window = object.get("sliding_window").and_then(Value::as_u64);
                let window = window.and_then(|window| usize::try_from(window).ok());
                (object.get("layer_types"), window.or(sliding_window))
            }
            list => (Some(list), sliding_window),
        };
        let names: Option<Vec<&str>> = list
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(Value::as_str).collect());
        let names =
            names.ok_or_else(|| FormatError::damaged(place, "layer_types is not a list of strings"))?;
        LayerTypes::new(names, window).map_err(|reason| FormatError::unsupported(place, reason))
    }

    /// What each layer attends to.
    pub fn layers(&self) -> &[Attention] {
        &self.layers
    }

    /// The rotary positions that stood beside them: base and scaling.
    pub(super) fn rope(&self) -> Option<(f32, RopeScaling)> {
        self.rope.clone()
    }

    /// The same for a model of that many layers.
    pub(super) fn for_layers(&self, layers: usize, path: &Path) -> Result<Vec<Attention>, FormatError> {
        if self.layers.len() == layers {
            return Ok(self.layers.clone());
        }
        Err(FormatError::unsupported(
            path,
            format!(
                "it has {layers} layers and the layer types given name {}",
                self.layers.len()
            ),
        ))
    }
}
