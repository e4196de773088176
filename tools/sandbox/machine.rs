//! What of this machine a sandbox shows: the system's own folders and the toolchains found in the user's
//! home, less every file of theirs that holds credentials. Nothing else of the machine is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::environment;
use super::policy::{Limits, Mount, Network, Policy};

/// System folders that are shown when they exist. `/etc` is among them, less what not every user may read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/home/linuxbrew/.linuxbrew",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];

/// Files of the system that are hidden even where every user may read them.
const SYSTEM_HIDDEN: &[&str] = &[
    "/etc/machine-id",
    "/etc/ssh",
    "/etc/kubernetes",
    "/etc/docker",
    "/etc/containers/auth.json",
    "/etc/krb5.keytab",
    "/etc/NetworkManager",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssl/private",
    "/etc/pip.conf",
    "/etc/npmrc",
    "/etc/netrc",
    "/etc/environment",
    "/usr/lib/polkit-1",
    "/usr/local/etc/npmrc",
];

/// Toolchain folders below the home folder.
const TOOLCHAINS: &[&str] = &[
    ".cargo",
    ".rustup",
    ".pyenv",
    ".conda",
    "miniconda3",
    "anaconda3",
    "miniforge3",
    "mambaforge",
    "micromamba",
    ".local/bin",
    ".local/lib",
    ".local/pipx",
    ".local/share/uv",
    ".local/share/pipx",
    ".local/share/mise",
    ".local/share/virtualenvs",
    ".local/share/pnpm",
    ".virtualenvs",
    ".asdf",
    ".nvm",
    ".fnm",
    ".volta",
    ".bun",
    ".deno",
    ".npm-global",
    ".rbenv",
    ".rvm",
    ".gem",
    ".sdkman",
    ".jenv",
    ".m2/repository",
    ".m2/wrapper",
    ".gradle/wrapper",
    ".gradle/caches",
    ".ivy2/cache",
    ".sbt",
    ".ghcup",
    ".cabal",
    ".stack",
    ".elan",
    ".opam",
    ".juliaup",
    ".julia",
    ".nimble",
    ".dotnet",
    ".nuget/packages",
    "go",
    "sdk",
    ".goenv",
    ".swiftly",
    ".cache/uv",
    ".cache/pip",
    ".cache/pypoetry",
    ".cache/go-build",
    ".cache/bazel",
    ".cache/ms-playwright",
];

/// Variables that name a toolchain's folder, wherever it lies.
const TOOLCHAIN_VARIABLES: &[&str] = &[
    "CARGO_HOME",
    "RUSTUP_HOME",
    "PYENV_ROOT",
    "CONDA_PREFIX",
    "VIRTUAL_ENV",
    "NVM_DIR",
    "VOLTA_HOME",
    "FNM_DIR",
    "JAVA_HOME",
    "GOROOT",
    "GOPATH",
    "RBENV_ROOT",
    "GEM_HOME",
    "SDKMAN_DIR",
    "M2_HOME",
    "MAVEN_HOME",
    "GRADLE_HOME",
    "PNPM_HOME",
    "PYTHONHOME",
];

/// Files of toolchains that hold credentials, relative to the toolchain's folder.
const CREDENTIALS: &[&str] = &[
    "credentials",
    "credentials.toml",
    "config",
    "config.toml",
    "settings.xml",
    "settings-security.xml",
    "gradle.properties",
    ".npmrc",
    ".pypirc",
    ".netrc",
    "credentials.json",
    "1.0/credentials.sbt",
    "0.13/credentials.sbt",
    "credentials.sbt",
    ".credentials",
    ".sbtcredentials",
    "servers",
    "auth.toml",
    "auth.json",
    ".condarc",
];

/// What of the machine a sandbox shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    readable: Vec<PathBuf>,
    toolchains: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
    home: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

impl MachineView {
    /// Looks at the machine, with the user's `environment` (name and value pairs).
    pub fn look(environment: impl IntoIterator<Item = (OsString, OsString)>) -> MachineView {
        let environment: BTreeMap<OsString, OsString> = environment.into_iter().collect();
        let home = environment
            .get(OsStr::new("HOME"))
            .map(PathBuf::from)
            .filter(|home| home.is_absolute() && home.parent().is_some())
            .unwrap_or_else(|| PathBuf::from("/home/user"));
        let readable: Vec<PathBuf> = existing(SYSTEM.iter().map(PathBuf::from));
        let found = toolchains(&home, &environment);
        let mut hidden: Vec<PathBuf> = existing(SYSTEM_HIDDEN.iter().map(PathBuf::from));
        hidden.extend(private_files(Path::new("/etc"), usize::MAX));
        if rustix::process::geteuid().is_root() {
            // What programs installed beside the system keep to the superuser; their settings lie near the top.
            for root in ["/opt", "/usr/local/etc", "/usr/local/share"] {
                hidden.extend(private_files(Path::new(root), 3));
            }
        }
        // Also of those that the system's folders show.
        let files = found
            .iter()
            .flat_map(|root| CREDENTIALS.iter().map(move |name| root.join(name)));
        hidden.extend(existing(files.filter(|path| holds_credentials(path))));
        hidden.sort();
        hidden.dedup();
        let toolchains = without_shown(found, &readable);
        MachineView {
            readable,
            toolchains,
            hidden,
            home,
            environment,
        }
    }

    /// A policy of this machine's view, with nothing mounted yet.
    pub fn policy(&self, asked: &BTreeMap<OsString, OsString>) -> Policy {
        let mut environment = environment::for_inside(self.environment.clone(), asked);
        environment.insert("HOME".into(), self.home.clone().into());
        let (mut mounts, mut toolchains) = (Vec::new(), Vec::new());
        for path in &self.toolchains {
            match fs::canonicalize(path) {
                // A link is shown as the folder it leads to, at the link's own path.
                Ok(lower) if lower != *path => mounts.push(Mount::Overlay {
                    lower,
                    upper: None,
                    target: path.clone(),
                }),
                _ => toolchains.push(path.clone()),
            }
        }
        Policy {
            mounts,
            readable: self.readable.clone(),
            toolchains,
            hidden: self.hidden.clone(),
            home: self.home.clone(),
            working_directory: PathBuf::from("/tmp"),
            network: Network::default(),
            environment,
            limits: Limits::default(),
        }
    }
}

fn existing(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    paths.filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Toolchains in the home folder, and those that a variable names elsewhere; none that holds the home folder itself.
fn toolchains(home: &Path, environment: &BTreeMap<OsString, OsString>) -> BTreeSet<PathBuf> {
    let real_home = fs::canonicalize(home).unwrap_or_default();
    let named = TOOLCHAIN_VARIABLES
        .iter()
        .filter_map(|name| environment.get(OsStr::new(name)))
        .map(PathBuf::from);
    let candidates = TOOLCHAINS.iter().map(|name| home.join(name)).chain(named);
    let fit = candidates.filter(|path| {
        // A link or `..` must not lead to the home folder, to one above it, or to a top folder of the machine.
        let real = fs::canonicalize(path).unwrap_or_default();
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        plain
            && real.is_dir()
            && real.components().count() > 2
            && !home.starts_with(&real)
            && !real_home.starts_with(&real)
    });
    fit.collect()
}

/// Those that lie in no folder that is shown already, nor in one another.
fn without_shown(toolchains: BTreeSet<PathBuf>, shown: &[PathBuf]) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    // Sorted order: a folder comes before what lies in it.
    for path in toolchains {
        if !shown.iter().chain(&roots).any(|root| path.starts_with(root)) {
            roots.push(path);
        }
    }
    roots
}

/// A toolchain's own configuration is needed, yet may hold a token or a login; what cannot be read as text is taken to.
fn holds_credentials(path: &Path) -> bool {
    let is_config = path
        .file_name()
        .is_some_and(|name| name == "config" || name == "config.toml");
    if !is_config || path.is_dir() {
        return !is_config;
    }
    const MARKS: &[&str] = &["token", "secret", "passw", "credential"];
    fs::read_to_string(path).map_or(true, |text| {
        let text = text.to_lowercase();
        MARKS.iter().any(|mark| text.contains(mark)) || environment::holds_login(&text)
    })
}

/// What below `root` not every user may read. The superuser's sandbox would see it otherwise, for its
/// programs still own those files.
fn private_files(root: &Path, depth: usize) -> Vec<PathBuf> {
    let mut private = Vec::new();
    let mut folders = vec![(root.to_path_buf(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
            if metadata.is_symlink() {
                continue;
            } else if metadata.mode() & needed != needed {
                private.push(entry.path());
            } else if metadata.is_dir() && depth > 1 {
                folders.push((entry.path(), depth - 1));
            }
        }
    }
    private
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_of_a_home_are_found_and_their_credentials_hidden() {
        let home = tempfile::tempdir().unwrap();
        for folder in [".cargo/bin", ".ssh", ".rustup", "project", ".aws", ".local/bin"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        fs::write(home.path().join(".cargo/credentials.toml"), "token").unwrap();
        fs::write(home.path().join(".cargo/config.toml"), "[build]\njobs = 2\n").unwrap();
        let view = MachineView::look([("HOME".into(), home.path().into())]);
        let expected: Vec<PathBuf> = [".cargo", ".local/bin", ".rustup"]
            .map(|name| home.path().join(name))
            .into();
        assert_eq!(view.toolchains, expected);
        assert!(view.hidden.contains(&home.path().join(".cargo/credentials.toml")));
        assert!(!view.hidden.contains(&home.path().join(".cargo/config.toml")));
    }

    #[test]
    fn a_variable_cannot_show_the_home_or_a_top_folder() {
        let home = tempfile::tempdir().unwrap();
        let view = MachineView::look([
            ("HOME".into(), home.path().into()),
            ("GOPATH".into(), home.path().into()),
            ("JAVA_HOME".into(), "/".into()),
            ("GOROOT".into(), "/home".into()),
            ("CARGO_HOME".into(), home.path().join("..").into()),
        ]);
        assert_eq!(view.toolchains, Vec::<PathBuf>::new());
    }

    #[test]
    fn credentials_are_hidden_wherever_a_toolchain_lies() {
        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &[u8]| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let expected = [
            write(".cabal/config", b"password: x"),
            write(
                ".cargo/config.toml",
                b"[http]\nproxy = \"http://me:word@proxy:1\"\n",
            ),
            write(".conda/.condarc", b""),
            write(".sbt/1.0/credentials.sbt", b"x"),
            write(".stack/config", b"\xff\xfe"),
        ];
        write(".julia/servers/host/auth.toml", b"x");
        let view = MachineView::look([("HOME".into(), home.path().into())]);
        for path in expected.iter().chain([&home.path().join(".julia/servers")]) {
            assert!(view.hidden.contains(path), "{} is shown", path.display());
        }
    }

    #[test]
    fn a_toolchain_among_the_systems_folders_is_searched_too() {
        let folder = tempfile::tempdir().unwrap();
        let cargo = folder.path().join("cargo");
        fs::create_dir(&cargo).unwrap();
        fs::write(cargo.join("credentials.toml"), "x").unwrap();
        let variables = [(OsString::from("CARGO_HOME"), cargo.clone().into_os_string())].into();
        let found = toolchains(Path::new("/nonexistent"), &variables);
        assert!(found.contains(&cargo));
        assert_eq!(
            without_shown(found, &[folder.path().to_owned()]),
            Vec::<PathBuf>::new()
        );
    }

    #[test]
    fn the_shadow_file_is_hidden() {
        let view = MachineView::look([("HOME".into(), "/nonexistent".into())]);
        assert!(view.hidden.iter().any(|path| path == Path::new("/etc/shadow")));
    }
}
