//! Container engines: which of them `--sandbox container` could use.

use cwm_tools::sandbox::container::{Found, survey};

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::System;

const NAME: &str = "container-engine";

pub(crate) fn check(system: &System) -> Check {
    let found = match survey(&system.environment.all()) {
        Ok(found) => found,
        Err(error) => return Check::warn(NAME, "none that can be used", error.to_string()),
    };
    if let Some(engine) = found.iter().find_map(|found| found.engine.as_ref().ok()) {
        let rootless = if engine.rootless { ", rootless" } else { "" };
        let (name, version, socket) = (engine.kind.name(), &engine.version, engine.socket.display());
        return Check::ok(NAME, format!("{name} {version}{rootless} at {socket}"));
    }
    let cure = if found.iter().any(|found| found.forbidden) {
        "Let this user reach Docker: sudo usermod -aG docker \"$USER\" (members of that group are as good as root), \
         then log in again; or use Podman or rootless Docker."
    } else {
        "Needed only for --sandbox container. Install Docker or Podman and start it: sudo systemctl start docker, \
         or systemctl --user start podman.socket."
    };
    Check::warn(NAME, none(&found), cure)
}

fn none(found: &[Found]) -> String {
    let reasons: Vec<String> = found
        .iter()
        .filter_map(|found| {
            Some(format!(
                "{}: {}",
                found.socket.display(),
                found.engine.as_ref().err()?
            ))
        })
        .collect();
    if reasons.is_empty() {
        return "neither Docker nor Podman was found".to_owned();
    }
    format!("none answers ({})", reasons.join("; "))
}

#[cfg(test)]
#[path = "engines_tests.rs"]
mod tests;
