//! JSON files of a folder, read with limits, and their values by type.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::formats::error::{FormatError, shown};
use crate::formats::tensor::open_regular;

/// The largest config.json; real ones have a few kilobytes.
const LARGEST: u64 = 16 << 20;

/// A JSON object of a file, or one within it.
#[derive(Debug, Clone)]
pub(in crate::formats) struct Config {
    path: PathBuf,
    values: Map<String, Value>,
}

/// Reads a whole file of at most `largest` bytes.
pub(in crate::formats) fn read_file(path: &Path, largest: u64) -> Result<Vec<u8>, FormatError> {
    let file = open_regular(path)?;
    let mut bytes = Vec::new();
    file.take(largest + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| FormatError::read(path, error))?;
    if bytes.len() as u64 > largest {
        return Err(FormatError::unsupported(
            path,
            format!("it is larger than {largest} bytes"),
        ));
    }
    Ok(bytes)
}

impl Config {
    /// Reads a file that must be a JSON object.
    pub(in crate::formats) fn read(path: &Path) -> Result<Config, FormatError> {
        Config::parse(path, &read_file(path, LARGEST)?)
    }

    /// The same from text.
    pub(in crate::formats) fn parse(path: &Path, text: &[u8]) -> Result<Config, FormatError> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| FormatError::damaged(path, format!("it is not JSON: {error}")))?;
        match value {
            Value::Object(values) => Ok(Config {
                path: path.to_owned(),
                values,
            }),
            _ => Err(FormatError::damaged(path, "it is not a JSON object")),
        }
    }

    pub(in crate::formats) fn path(&self) -> &Path {
        &self.path
    }

    /// A value that is there and not null.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// Whether it is there, null or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    pub(super) fn wrong(&self, key: &str, wanted: &str) -> FormatError {
        FormatError::damaged(&self.path, format!("{} is not {wanted}", shown(key)))
    }

    /// An object within it.
    pub(super) fn object(&self, key: &str) -> Result<Option<Config>, FormatError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Config {
                path: self.path.clone(),
                values: values.clone(),
            })),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// A whole number that is not negative.
    pub(in crate::formats) fn count(&self, key: &str) -> Result<Option<usize>, FormatError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number that is not negative"))
    }

    /// The same, for keys that must be there.
    pub(super) fn required(&self, key: &str) -> Result<usize, FormatError> {
        self.count(key)?
            .ok_or_else(|| FormatError::damaged(&self.path, format!("{} is missing", shown(key))))
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f32>, FormatError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let number = value.as_f64().map(|number| number as f32);
        number
            .filter(|number| number.is_finite())
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a number"))
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&str>, FormatError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    pub(in crate::formats) fn strings(&self, key: &str) -> Result<Option<Vec<&str>>, FormatError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let strings = value
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect());
        strings
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a list of strings"))
    }

    /// Whether it says anything of rotary positions.
    pub(in crate::formats) fn has_rope(&self) -> bool {
        ["rope_parameters", "rope_scaling", "rope_theta"]
            .into_iter()
            .any(|key| self.value(key).is_some())
    }

    /// Whether it says how rotary positions are scaled, or that they are not.
    pub(in crate::formats) fn has_rope_scaling(&self) -> bool {
        ["rope_parameters", "rope_scaling"]
            .into_iter()
            .any(|key| self.value(key).is_some())
    }

    /// The values, in order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }
}
