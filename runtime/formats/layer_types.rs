//! Which layers of a model attend to a sliding window, as its config.json or the user says.

use std::path::Path;

use super::error::{FormatError, shown};
use super::huggingface::{Config, rope_of};
use super::limits::MOST_LAYERS;
use crate::model::{Attention, RopeScaling};

/// Where layer types come from that stand in no file.
const GIVEN: &str = "the layer types given";

/// What each layer attends to, taken literally: nothing is assumed about the first or the last.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTypes {
    layers: Vec<Attention>,
    rope: Option<(f32, RopeScaling)>,
    says_scaling: bool,
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
        Ok(LayerTypes {
            layers,
            rope: None,
            says_scaling: false,
        })
    }

    /// From a config.json: its `layer_types` and `sliding_window`, and its rotary positions.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or does not have them.
    pub fn read(path: &Path) -> Result<LayerTypes, FormatError> {
        LayerTypes::of(&Config::read(path)?, None)
    }

    /// The same from a configuration that was read; `sliding_window` is for those that have none.
    fn of(config: &Config, sliding_window: Option<usize>) -> Result<LayerTypes, FormatError> {
        let names = config
            .strings("layer_types")?
            .ok_or_else(|| FormatError::unsupported(config.path(), "it has no layer_types"))?;
        let window = config.count("sliding_window")?.or(sliding_window);
        let types = LayerTypes::new(names, window)
            .map_err(|reason| FormatError::unsupported(config.path(), reason))?;
        let rope = match config.has_rope() {
            true => Some(rope_of(config)?),
            false => None,
        };
        Ok(LayerTypes {
            rope,
            says_scaling: config.has_rope_scaling(),
            ..types
        })
    }

    /// From what a user gives: the path of a config.json, or JSON as it stands there, either an object with `layer_types` and
    /// whatever else a config.json has, which is read as one, or the list alone with the window as `sliding_window`.
    ///
    /// # Errors
    ///
    /// When it is neither, or says something impossible.
    pub fn parse(text: &str, sliding_window: Option<usize>) -> Result<LayerTypes, FormatError> {
        let trimmed = text.trim_start();
        let place = Path::new(GIVEN);
        if trimmed.starts_with('{') {
            return LayerTypes::of(&Config::parse(place, trimmed.as_bytes())?, sliding_window);
        }
        if !trimmed.starts_with('[') {
            return LayerTypes::read(Path::new(text));
        }
        let names: Vec<String> = serde_json::from_str(trimmed).map_err(|error| {
            FormatError::damaged(place, format!("it is not a JSON list of strings: {error}"))
        })?;
        LayerTypes::new(names.iter().map(String::as_str), sliding_window)
            .map_err(|reason| FormatError::unsupported(place, reason))
    }

    /// What each layer attends to.
    pub fn layers(&self) -> &[Attention] {
        &self.layers
    }

    /// The rotary positions that stood beside them: base and scaling.
    pub(super) fn rope(&self) -> Option<(f32, RopeScaling)> {
        self.rope.clone()
    }

    /// Whether anything was said of how rotary positions are scaled, be it that they are not.
    pub(super) fn says_scaling(&self) -> bool {
        self.says_scaling
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
