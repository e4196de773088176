//! The programs that commands inside the sandbox, or the user, will want: bash, git, python.

use std::time::Duration;

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::{System, output_of};

/// A version manager's wrapper around python can take a second.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn bash(system: &System) -> Check {
    const NAME: &str = "bash";
    const CURE: &str = "Install it: sudo apt-get install bash (Debian, Ubuntu), sudo dnf install bash (Fedora, RHEL), \
                        apk add bash (Alpine).";
    let Some(path) = system.program("bash") else {
        return Check::fail(NAME, "not on the search path; the tools' shell is bash", CURE);
    };
    match output_of(
        &path,
        &["--norc", "--noprofile", "-c", "printf %s \"$BASH_VERSION\""],
        PATIENCE,
    ) {
        Some(version) => Check::ok(NAME, format!("{version} at {}", path.display())),
        None => Check::fail(NAME, format!("{} does not run", path.display()), CURE),
    }
}

pub(crate) fn git(system: &System) -> Check {
    const NAME: &str = "git";
    const CURE: &str = "cwm itself does without, but what runs in a repository seldom does. Install it: \
                        sudo apt-get install git, sudo dnf install git, or apk add git.";
    let Some(path) = system.program("git") else {
        return Check::warn(NAME, "not on the search path", CURE);
    };
    match output_of(&path, &["--version"], PATIENCE) {
        Some(words) => {
            let version = words.strip_prefix("git version ").unwrap_or(&words);
            Check::ok(NAME, format!("{version} at {}", path.display()))
        }
        None => Check::warn(NAME, format!("{} does not run", path.display()), CURE),
    }
}

pub(crate) fn python(system: &System) -> Check {
    const NAME: &str = "python";
    const CURE: &str = "Needed only to work on Python projects. Install it: sudo apt-get install python3 python3-venv, \
                        sudo dnf install python3, or apk add python3.";
    const SCRIPT: &str = "import sys; print(sys.version.split()[0], sys.executable)";
    let Some(path) = ["python3", "python"].iter().find_map(|name| system.program(name)) else {
        return Check::warn(NAME, "not on the search path", CURE);
    };
    match output_of(&path, &["-I", "-S", "-c", SCRIPT], PATIENCE) {
        Some(words) => {
            let (version, executable) = words.split_once(' ').unwrap_or((&words, ""));
            let through = match path.to_str() == Some(executable) {
                true => String::new(),
                false => format!(" (through {})", path.display()),
            };
            Check::ok(NAME, format!("{version} at {executable}{through}"))
        }
        None => Check::warn(NAME, format!("{} does not run", path.display()), CURE),
    }
}
