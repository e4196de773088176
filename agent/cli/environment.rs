//! The environment variables that the process was started with, taken once, so that what a command does
//! depends on values handed to it and tests need not change the process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The variables of the process's environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The variables that this process was started with.
    pub fn of_process() -> Environment {
        std::env::vars_os().collect()
    }

    /// A variable's value; an empty one counts as not set, as the shell's `${NAME:-…}` has it.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// All of them.
    pub fn all(&self) -> BTreeMap<OsString, OsString> {
        self.variables.clone()
    }

    /// A variable that must hold an absolute path to be of use.
    pub fn absolute_path(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }

    /// The folder that runs are kept in: `$XDG_STATE_HOME/cwm`, else `~/.local/state/cwm`.
    pub fn state_folder(&self) -> Option<PathBuf> {
        cwm_tools::workspace::runs::state_folder(self.get("XDG_STATE_HOME"), self.get("HOME"))
    }

    /// The folder of what can be fetched or made again: `$CWM_CACHE`, else `$XDG_CACHE_HOME/cwm`, else `~/.cache/cwm`.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        cwm_runtime::catalogue::cache_folder(|name| self.get(name).map(PathBuf::from))
    }
}

impl<Name: Into<OsString>, Value: Into<OsString>> FromIterator<(Name, Value)> for Environment {
    fn from_iter<Pairs: IntoIterator<Item = (Name, Value)>>(pairs: Pairs) -> Self {
        Environment {
            variables: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_folder_follows_xdg_and_ignores_relative_paths() {
        let folder = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Environment>().state_folder();
        assert_eq!(
            folder(&[("HOME", "/home/ada")]),
            Some("/home/ada/.local/state/cwm".into())
        );
        assert_eq!(
            folder(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]),
            Some("/s/cwm".into())
        );
        assert_eq!(
            folder(&[("HOME", "/h"), ("XDG_STATE_HOME", "s")]),
            Some("/h/.local/state/cwm".into())
        );
        assert_eq!(folder(&[("HOME", "")]), None);
    }
}
