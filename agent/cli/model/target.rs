//! What a MODEL argument stands for: a name of the catalogue, a path, or a server's address.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cwm_runtime::catalogue::{self, State};

use super::pull;
use super::store::store;
use crate::cli::config::{Layers, Origin};
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file or folder of this machine.
    Path(PathBuf),
    /// A server.
    Server(String),
    /// A file of answers that are played back, for tests and demonstrations.
    Script(PathBuf),
}

impl Target {
    /// The path, for commands that need the weights.
    pub(crate) fn path(self) -> Result<PathBuf, Failure> {
        match self {
            Target::Path(path) => Ok(path),
            Target::Server(address) => Err(Failure::new(
                ExitCode::Usage,
                format!("{address} is a server; this command needs the model's files."),
            )
            .with_hint("Give a path or a name of `cwm model list`.")),
            Target::Script(path) => Err(Failure::new(
                ExitCode::Usage,
                format!(
                    "{} is a script; this command needs a model's files.",
                    path.display()
                ),
            )),
        }
    }
}

/// The model that is meant, with what the configuration says where the flags say nothing.
///
/// # Errors
///
/// When the repository's own file names a model that would have to be fetched: that is for the user to say.
pub(crate) fn settled(
    given: Option<OsString>,
    layers: &Layers,
    environment: &Environment,
) -> Result<Option<OsString>, Failure> {
    let model = layers.model(given);
    if let (Some(name), Origin::Repository { .. }) = (&model.value, &model.origin) {
        resolve(name, environment)?;
    }
    Ok(model.value)
}

/// Finds out what a MODEL argument stands for. A file or a model's folder goes before a name of the same letters; another folder, as
/// one's own checkout may be called, does not.
pub(crate) fn resolve(model: &OsStr, environment: &Environment) -> Result<Target, Failure> {
    let text = model.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Target::Server(text.into_owned()));
    }
    if let Some(path) = text.strip_prefix("script:") {
        return Ok(Target::Script(path.into()));
    }
    let (path, entry) = (Path::new(model), catalogue::find(&text));
    if path.exists() && (entry.is_none() || !path.is_dir() || has_model(path)) {
        return Ok(Target::Path(model.into()));
    }
    let Some(entry) = entry else {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("There is no model `{text}`: no such file or folder, and no such name."),
        )
        .with_hint("`cwm model list` shows the names."));
    };
    let store = store(environment)?;
    match store.state(entry) {
        State::Present => Ok(Target::Path(store.path(entry))),
        State::Absent | State::Partial { .. } => Err(Failure::new(
            ExitCode::Environment,
            format!("The model {} is not on this machine.", entry.name),
        )
        .with_hint(format!("`cwm model pull {}` fetches it.", entry.name))),
    }
}

/// The same, but a name of the catalogue goes before a path, and a model that is not on this machine is fetched.
pub(crate) fn resolve_or_pull(
    model: &OsStr,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<Target> {
    let Some(entry) = catalogue::find(&model.to_string_lossy()) else {
        return Ok(resolve(model, environment)?);
    };
    // A name is never a path here: the current folder may be a stranger's repository, with a model's folder of that name in it.
    let store = store(environment)?;
    if store.state(entry) != State::Present {
        pull::fetch(entry, environment, printer)?;
    }
    Ok(Target::Path(store.path(entry)))
}

/// Whether a folder could be a model's: it has a configuration, or a GGUF file.
fn has_model(folder: &Path) -> bool {
    let Ok(mut entries) = folder.read_dir() else {
        return false;
    };
    folder.join("config.json").is_file()
        || entries.any(|entry| {
            let path = entry.map(|entry| entry.path()).unwrap_or_default();
            path.extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_models_are_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_model(&folder.path().join("missing")));
        assert!(!has_model(folder.path()));
        for (file, is_model) in [
            ("Cargo.toml", false),
            ("gguf", false),
            ("m.GGUF", true),
            ("config.json", true),
        ] {
            let path = folder.path().join(file);
            std::fs::write(&path, "").unwrap();
            assert_eq!(has_model(folder.path()), is_model, "{file}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
