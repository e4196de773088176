//! Which of the user's environment variables are seen inside: an allow-list, less what looks like a secret.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Names passed on when set. A name ending in `*` stands for all that begin so.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "COLUMNS",
    "LINES",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "CONDA_EXE",
    "CONDA_PYTHON_EXE",
    "CONDA_SHLVL",
    "PYENV_ROOT",
    "PYENV_VERSION",
    "PYENV_SHELL",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUSTFLAGS",
    "RUST_BACKTRACE",
    "CARGO_TARGET_DIR",
    "GOPATH",
    "GOROOT",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "GOPROXY",
    "CGO_ENABLED",
    "NVM_DIR",
    "NVM_BIN",
    "NODE_PATH",
    "NODE_ENV",
    "NODE_OPTIONS",
    "VOLTA_HOME",
    "FNM_DIR",
    "PNPM_HOME",
    "JAVA_HOME",
    "M2_HOME",
    "MAVEN_HOME",
    "MAVEN_OPTS",
    "GRADLE_HOME",
    "ANT_HOME",
    "KOTLIN_HOME",
    "SDKMAN_DIR",
    "RBENV_ROOT",
    "GEM_HOME",
    "GEM_PATH",
    "BUNDLE_PATH",
    "PERL5LIB",
    "LUA_PATH",
    "LUA_CPATH",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "AR",
    "LD",
    "PKG_CONFIG_PATH",
    "LD_LIBRARY_PATH",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "CMAKE_PREFIX_PATH",
    "OMP_NUM_THREADS",
    "OPENBLAS_*",
    "MKL_NUM_THREADS",
    "SOURCE_DATE_EPOCH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "DJANGO_SETTINGS_MODULE",
    "CI",
];

/// Parts of a name that mark a secret, in capitals.
const SECRET_NAMES: &[&str] = &[
    "KEY",
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "PRIVATE",
    "AUTH",
    "COOKIE",
    "SESSION",
    "SIGNATURE",
    "DSN",
];

/// What every program inside is told, so that none pages, prompts, phones home or draws colours.
const ALWAYS: &[(&str, &str)] = &[
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("MANPAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("SYSTEMD_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_EDITOR", "true"),
    ("EDITOR", "true"),
    ("VISUAL", "true"),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_PROGRESS_BAR", "off"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("TQDM_DISABLE", "1"),
    ("NPM_CONFIG_UPDATE_NOTIFIER", "false"),
    ("NPM_CONFIG_FUND", "false"),
    ("NPM_CONFIG_AUDIT", "false"),
    ("NO_COLOR", "1"),
    ("TMPDIR", "/tmp"),
];

/// Whether a variable of this name and value looks like a secret.
pub fn looks_secret(name: &OsStr, value: &OsStr) -> bool {
    let name = name.to_string_lossy().to_uppercase();
    let value = value.to_string_lossy();
    SECRET_NAMES.iter().any(|part| name.contains(part))
        || holds_login(&value)
        || value.contains("PRIVATE KEY")
}

/// Whether a value holds an address with a login in it, such as `https://me:word@host`.
pub(crate) fn holds_login(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// The environment for inside: what may pass of the user's `own`, then `asked` (the user's own word, so
/// even a name that looks like a secret), then what keeps programs quiet.
pub fn for_inside(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    asked: &BTreeMap<OsString, OsString>,
) -> BTreeMap<OsString, OsString> {
    let mut inside: BTreeMap<OsString, OsString> = own
        .into_iter()
        .filter(|(name, value)| passes(name) && !looks_secret(name, value))
        .collect();
    inside.extend(ALWAYS.iter().map(|&(name, value)| (name.into(), value.into())));
    inside
        .entry("PATH".into())
        .or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".into());
    inside.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
    inside.extend(asked.clone());
    inside
}

fn passes(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    PASSED.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn secrets_and_unknown_names_stay_outside() {
        let own = variables(&[
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("GITHUB_TOKEN", "x"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/bus"),
            ("DATABASE_URL", "postgres://me:word@host/db"),
            ("GOPROXY", "https://me:word@proxy.example"),
            ("SOMETHING_ELSE", "x"),
        ]);
        let inside = for_inside(own, &BTreeMap::new());
        assert_eq!(inside.get(OsStr::new("PATH")), Some(&"/bin".into()));
        assert_eq!(inside.get(OsStr::new("LC_ALL")), Some(&"C".into()));
        let leaked: Vec<_> = [
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "SSH_AUTH_SOCK",
            "DBUS_SESSION_BUS_ADDRESS",
            "DATABASE_URL",
            "GOPROXY",
            "SOMETHING_ELSE",
        ]
        .into_iter()
        .filter(|name| inside.contains_key(OsStr::new(name)))
        .collect();
        assert_eq!(leaked, Vec::<&str>::new());
    }

    #[test]
    fn what_the_user_asks_for_passes() {
        let inside = for_inside([], &variables(&[("MY_TOKEN", "x"), ("TERM", "xterm")]));
        assert_eq!(inside.get(OsStr::new("MY_TOKEN")), Some(&"x".into()));
        assert_eq!(inside.get(OsStr::new("TERM")), Some(&"xterm".into()));
    }
}
