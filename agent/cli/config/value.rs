//! The types that values have, and how they are read from TOML and from the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use toml::de::DeValue;

use crate::cli::text::plain;
use crate::cli::values::{byte_count, duration};

/// The longest time that can be asked for: longer ones would only overflow clocks.
const MOST_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// A value as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Path(PathBuf),
    Paths(Vec<PathBuf>),
    Count(u64),
    Number(f64),
    Bytes(u64),
    Time(Duration),
}

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A model: a name, a path or an address.
    Model,
    Text,
    /// Commands for bash; in the environment, one a line.
    Commands,
    Path,
    /// In the environment, separated by colons.
    Paths,
    Count {
        least: u64,
        most: u64,
    },
    Number {
        least: f64,
        most: f64,
    },
    Bytes,
    Time,
    Choice(fn() -> Vec<String>),
}

/// Where a value was said, which relative paths depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The folder of the file.
    pub(super) folder: &'a Path,
    /// What `~/` stands for.
    pub(super) home: Option<&'a Path>,
}

/// The names of a choice, as flags have them.
pub(super) fn names<Choice: ValueEnum>() -> Vec<String> {
    let values = Choice::value_variants().iter();
    values
        .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
        .collect()
}

impl Kind {
    /// What the key takes, for messages: `samples must be …`.
    pub(super) fn words(self) -> String {
        match self {
            Kind::Model | Kind::Text => "a string that is not empty".to_owned(),
            Kind::Commands => "a list of commands".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Paths => "a list of paths".to_owned(),
            Kind::Count { least, most } if most >= i64::MAX as u64 => {
                format!("a whole number from {least} on")
            }
            Kind::Count { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Number { least, most } => format!("a number from {least} to {most}"),
            Kind::Bytes => "a size such as \"512M\" or \"2G\", or a number of bytes".to_owned(),
            Kind::Time => "a time such as \"90s\", \"5m\" or \"2h\", or a number of seconds".to_owned(),
            Kind::Choice(names) => format!("one of {}", names().join(", ")),
        }
    }

    /// Reads a value of a file; `None` when it is none of this kind.
    pub(super) fn of_toml(self, value: &DeValue<'_>, place: Place<'_>) -> Option<Value> {
        match (self, value) {
            (Kind::Commands | Kind::Paths, DeValue::Array(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                self.list(&texts?, place)
            }
            (Kind::Commands | Kind::Paths, _) => None,
            (Kind::Count { .. } | Kind::Bytes | Kind::Time, DeValue::Integer(integer)) => {
                let digits = integer.as_str().replace('_', "");
                let number = u64::from_str_radix(digits.trim_start_matches('+'), integer.radix()).ok()?;
                self.of_text(&number.to_string(), place)
            }
            (Kind::Number { .. }, DeValue::Integer(integer)) if integer.radix() == 10 => {
                self.of_text(&integer.as_str().replace('_', ""), place)
            }
            (Kind::Number { .. }, DeValue::Float(float)) => {
                self.of_text(&float.as_str().replace('_', ""), place)
            }
            (Kind::Count { .. } | Kind::Number { .. }, _) => None,
            (_, DeValue::String(text)) => self.of_text(text, place),
            _ => None,
        }
    }

    /// Reads a value of the environment, or a default; `None` when it is none of this kind.
    pub(super) fn of_text(self, text: &str, place: Place<'_>) -> Option<Value> {
        let some = (!text.trim().is_empty() && !text.contains('\0')).then_some(text);
        match self {
            Kind::Model => Some(Value::Text(model(some?, place))),
            Kind::Text => Some(Value::Text(some?.to_owned())),
            Kind::Commands => {
                let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
                self.list(&lines, place)
            }
            Kind::Path => Some(Value::Path(path(some?, place))),
            Kind::Paths => {
                let paths: Vec<&str> = text.split(':').filter(|path| !path.is_empty()).collect();
                self.list(&paths, place)
            }
            Kind::Count { least, most } => {
                let count: u64 = text.parse().ok()?;
                (least..=most).contains(&count).then_some(Value::Count(count))
            }
            Kind::Number { least, most } => {
                let number: f64 = text.parse().ok()?;
                (least..=most).contains(&number).then_some(Value::Number(number))
            }
            Kind::Bytes => byte_count(text).ok().map(Value::Bytes),
            Kind::Time => {
                let time = duration(text).ok()?;
                (time <= MOST_TIME).then_some(Value::Time(time))
            }
            Kind::Choice(names) => {
                let name = text.replace('_', "-");
                names().contains(&name).then_some(Value::Text(name))
            }
        }
    }

    fn list(self, texts: &[&str], place: Place<'_>) -> Option<Value> {
        if texts
            .iter()
            .any(|text| text.trim().is_empty() || text.contains('\0'))
        {
            return None;
        }
        Some(match self {
            Kind::Paths => Value::Paths(texts.iter().map(|text| path(text, place)).collect()),
            _ => Value::Texts(texts.iter().map(|&text| text.to_owned()).collect()),
        })
    }
}

/// A path as its file means it.
fn path(text: &str, place: Place<'_>) -> PathBuf {
    match (text.strip_prefix("~/"), place.home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => place.folder.join(text),
    }
}

/// A model that is plainly a path is meant as its file means it; names and addresses stay as they are.
fn model(text: &str, place: Place<'_>) -> String {
    let looks_like_path = ["./", "../", "~/"].iter().any(|start| text.starts_with(start));
    match looks_like_path.then(|| path(text, place).into_os_string().into_string()) {
        Some(Ok(path)) => path,
        _ => text.to_owned(),
    }
}

impl Value {
    /// As a person reads it, in one line.
    pub(super) fn words(&self) -> String {
        let list = |items: Vec<String>| match items.is_empty() {
            true => "none".to_owned(),
            false => items.join(", "),
        };
        let text = match self {
            Value::Text(text) => text.clone(),
            Value::Texts(texts) => list(texts.clone()),
            Value::Path(path) => path.display().to_string(),
            Value::Paths(paths) => list(paths.iter().map(|path| path.display().to_string()).collect()),
            Value::Count(count) => count.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Bytes(bytes) => in_units(*bytes, &[("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)], ""),
            Value::Time(time) => in_units(time.as_secs(), &[("h", 3600), ("m", 60)], "s"),
        };
        plain(&text)
    }

    /// As JSON: lists as lists, numbers as numbers, times in seconds.
    pub(super) fn json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Texts(texts) => texts.as_slice().into(),
            Value::Path(path) => path.display().to_string().into(),
            Value::Paths(paths) => paths.iter().map(|path| path.display().to_string()).collect(),
            Value::Count(count) | Value::Bytes(count) => (*count).into(),
            Value::Number(number) => (*number).into(),
            Value::Time(time) => time.as_secs().into(),
        }
    }
}

/// A number in the largest unit that divides it, as flags take it.
fn in_units(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let unit = units
        .iter()
        .find(|(_, size)| number > 0 && number.is_multiple_of(*size));
    unit.map_or_else(
        || format!("{number}{smallest}"),
        |(unit, size)| format!("{}{unit}", number / size),
    )
}

/// A type that a value can become.
pub(super) trait FromValue: Sized {
    /// `None` for a value of another kind.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $result:expr;)*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $result,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    String: Value::Text(text) => Some(text.clone());
    OsString: Value::Text(text) => Some(text.into());
    Vec<String>: Value::Texts(texts) => Some(texts.clone());
    PathBuf: Value::Path(path) => Some(path.clone());
    Vec<PathBuf>: Value::Paths(paths) => Some(paths.clone());
    u32: Value::Count(count) => u32::try_from(*count).ok();
    u64: Value::Count(count) | Value::Bytes(count) => Some(*count);
    f32: Value::Number(number) => Some(*number as f32);
    Duration: Value::Time(time) => Some(*time);
}

/// A choice of flags, as a value.
pub(super) fn choice<Choice: ValueEnum>(value: &Value) -> Option<Choice> {
    match value {
        Value::Text(name) => Choice::from_str(name, false).ok(),
        _ => None,
    }
}
