//! A value and who said it.

use std::fmt;
use std::path::PathBuf;

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<Value> {
    /// The value.
    pub(crate) value: Value,
    /// Who said it.
    pub(crate) origin: Origin,
}

/// Who said what a value is, the least weighty first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody: it is built in.
    Default,
    /// The user's file, at a line.
    User(PathBuf, usize),
    /// The repository's file, at a line.
    Repository(PathBuf, usize),
    /// A variable of the environment.
    Environment(&'static str),
    /// The command line.
    Flag,
}

impl Origin {
    /// Its name in JSON events.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::User(..) => "user",
            Origin::Repository(..) => "repository",
            Origin::Environment(_) => "environment",
            Origin::Flag => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::User(path, line) | Origin::Repository(path, line) => {
                write!(formatter, "{}:{line}", path.display())
            }
            Origin::Environment(variable) => formatter.write_str(variable),
            Origin::Flag => formatter.write_str("command line"),
        }
    }
}

impl<Value> Setting<Option<Value>> {
    /// The value, or what stands in for one that nobody gave.
    pub(crate) fn or(self, default: Value) -> Setting<Value> {
        Setting {
            value: self.value.unwrap_or(default),
            origin: self.origin,
        }
    }
}
