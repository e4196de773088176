//! The metadata of a GGUF file: keys and typed values.

use std::collections::HashMap;
use std::path::Path;

use super::reader::{Array, Kind, Reader, Value};
use crate::formats::error::{FormatError, shown};

/// More keys than any model has; real files have thirty.
const MOST_KEYS: u64 = 1 << 14;

/// Keys and values, where they lie in the file.
pub(super) struct Metadata<'a> {
    path: &'a Path,
    values: HashMap<&'a str, Value<'a>>,
}

impl<'a> Metadata<'a> {
    /// Reads `count` keys and values.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        path: &'a Path,
        count: u64,
    ) -> Result<Metadata<'a>, FormatError> {
        if count > MOST_KEYS {
            return Err(FormatError::damaged(
                path,
                format!("it claims {count} metadata keys; no model has more than {MOST_KEYS}"),
            ));
        }
        let mut values = HashMap::new();
        for index in 0..count {
            let key = reader.string(&format!("the name of metadata key {index}"))?;
            let value = reader.value(&format!("metadata key {}", shown(key)))?;
            if values.insert(key, value).is_some() {
                return Err(FormatError::damaged(
                    path,
                    format!("metadata key {} is there twice", shown(key)),
                ));
            }
        }
        Ok(Metadata { path, values })
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    fn wrong(&self, key: &str, wanted: &str) -> FormatError {
        FormatError::damaged(self.path, format!("metadata key {} is not {wanted}", shown(key)))
    }

    /// The error for a key that must be there.
    pub(super) fn missing(&self, key: &str) -> FormatError {
        FormatError::damaged(self.path, format!("metadata key {} is missing", shown(key)))
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'a str>, FormatError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(key, "a string")),
        }
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, FormatError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(_) => Err(self.wrong(key, "a truth value")),
        }
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f32>, FormatError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Float(number)) => Ok(Some(*number as f32)),
            Some(_) => Err(self.wrong(key, "a floating-point number")),
        }
    }

    /// A whole number that is not negative. An array is taken when all its elements are the same: some writers give one number a
    /// layer.
    pub(super) fn count(&self, key: &str) -> Result<Option<usize>, FormatError> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let number = match value {
            Value::Array(array) => self.uniform(key, *array)?,
            value => whole(value),
        };
        number
            .map(Some)
            .ok_or_else(|| self.wrong(key, "a whole number that is not negative"))
    }

    /// The same, for keys that must be there.
    pub(super) fn required(&self, key: &str) -> Result<usize, FormatError> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    /// Whether it is a negative number.
    pub(super) fn is_negative(&self, key: &str) -> bool {
        matches!(self.values.get(key), Some(Value::Signed(number)) if *number < 0)
    }

    fn uniform(&self, key: &str, array: Array<'a>) -> Result<Option<usize>, FormatError> {
        let mut number = None;
        for value in array.values(self.path) {
            let value = whole(&value?);
            if number.is_some_and(|first| first != value) {
                return Err(FormatError::unsupported(
                    self.path,
                    format!("{} differs from layer to layer", shown(key)),
                ));
            }
            number = Some(value);
        }
        Ok(number.flatten())
    }

    pub(super) fn array(&self, key: &str) -> Result<Option<Array<'a>>, FormatError> {
        match self.values.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) => Ok(Some(*array)),
            Some(_) => Err(self.wrong(key, "an array")),
        }
    }

    /// An array of strings; empty when it is not there.
    pub(super) fn strings(
        &self,
        key: &str,
    ) -> Result<impl Iterator<Item = Result<&'a str, FormatError>>, FormatError> {
        let array = self.array(key)?;
        if array.is_some_and(|array| array.kind != Kind::String) {
            return Err(self.wrong(key, "an array of strings"));
        }
        let (path, wrong) = (self.path, self.wrong(key, "an array of strings").to_string());
        let values = array.into_iter().flat_map(move |array| array.values(path));
        Ok(values.map(move |value| match value? {
            Value::String(text) => Ok(text),
            _ => Err(FormatError::damaged(path, wrong.clone())),
        }))
    }

    /// An array of whole numbers; empty when it is not there.
    pub(super) fn integers(&self, key: &str) -> Result<Vec<i32>, FormatError> {
        let wrong = || self.wrong(key, "an array of 32-bit whole numbers");
        let numbers = self
            .array(key)?
            .into_iter()
            .flat_map(|array| array.values(self.path));
        numbers
            .map(|value| match value? {
                Value::Unsigned(number) => i32::try_from(number).map_err(|_| wrong()),
                Value::Signed(number) => i32::try_from(number).map_err(|_| wrong()),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// An array of floating-point numbers; empty when it is not there.
    pub(super) fn floats(&self, key: &str) -> Result<Vec<f32>, FormatError> {
        let wrong = || self.wrong(key, "an array of finite floating-point numbers");
        let numbers = self
            .array(key)?
            .into_iter()
            .flat_map(|array| array.values(self.path));
        numbers
            .map(|value| match value? {
                Value::Float(number) if number.is_finite() => Ok(number as f32),
                _ => Err(wrong()),
            })
            .collect()
    }

    /// An array of truth values, however they are written: 0 and 1 too.
    pub(super) fn bools(&self, key: &str) -> Result<Option<Vec<bool>>, FormatError> {
        let Some(array) = self.array(key)? else {
            return Ok(None);
        };
        let wrong = || self.wrong(key, "an array of truth values");
        let values = array.values(self.path).map(|value| match value? {
            Value::Bool(truth) => Ok(truth),
            Value::Unsigned(0) | Value::Signed(0) => Ok(false),
            Value::Unsigned(1) | Value::Signed(1) => Ok(true),
            _ => Err(wrong()),
        });
        values.collect::<Result<_, _>>().map(Some)
    }
}

fn whole(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Unsigned(number) => usize::try_from(*number).ok(),
        Value::Signed(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}
