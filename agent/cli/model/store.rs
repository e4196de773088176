//! Where models lie on this machine.

use std::path::PathBuf;

use cwm_runtime::catalogue::Store;

use crate::cli::{Environment, ExitCode, Failure};

/// The folder of models that the environment names.
pub(super) fn store(environment: &Environment) -> Result<Store, Failure> {
    Store::of_variables(|name| environment.get(name).map(PathBuf::from))
        .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))
}
