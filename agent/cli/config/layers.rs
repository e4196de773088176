//! What every layer says, and which of them counts: flags before the environment, before the repository's file, before the user's, before
//! what is built in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::file::{Found, Owner, SettingsFile};
use super::keys::{self, Fallback, KEYS, Key};
use super::setting::{Origin, Setting};
use super::value::{FromValue, Place, Value, choice};
use crate::cli::fix::{AcceptChoice, StrategyChoice};
use crate::cli::model::KvChoice;
use crate::cli::text::plain;
use crate::cli::walls::{NetworkChoice, SandboxChoice};
use crate::cli::{Environment, ExitCode, Failure};

/// The name of the repository's file, in its root.
pub(crate) const REPOSITORY_FILE: &str = "cwm.toml";

/// What the environment and the two files say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    /// The weightiest first.
    found: Vec<Found>,
}

/// The user's file: `$XDG_CONFIG_HOME/cwm/config.toml`, else `~/.config/cwm/config.toml`.
pub(crate) fn users_file(environment: &Environment) -> Option<PathBuf> {
    let folder = environment
        .absolute_path("XDG_CONFIG_HOME")
        .or_else(|| Some(environment.absolute_path("HOME")?.join(".config")))?;
    Some(folder.join("cwm").join("config.toml"))
}

impl Layers {
    /// Reads what there is. `repository` is the root of the repository that is worked on, whose `cwm.toml` is not trusted.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no TOML, an unknown key, a value of another type, and a key that only the user may set; each as
    /// a sentence that says where.
    pub(crate) fn load(repository: Option<&Path>, environment: &Environment) -> Result<Layers, Failure> {
        let users_file = users_file(environment);
        let home = environment.absolute_path("HOME");
        let mut found = of_environment(environment, home.as_deref())?;
        let files = [
            repository.map(|root| (root.join(REPOSITORY_FILE), Owner::Repository)),
            users_file.clone().map(|path| (path, Owner::User)),
        ];
        for (path, owner) in files.into_iter().flatten() {
            let file = SettingsFile {
                path,
                owner,
                users_file: users_file.as_deref(),
                home: home.as_deref(),
            };
            found.extend(file.read()?);
        }
        Ok(Layers { found })
    }

    /// What is said of a key, and by whom; what is built in when nobody says anything.
    pub(super) fn get(&self, key: &Key) -> Setting<Option<Value>> {
        if let Some(found) = self.found.iter().find(|found| found.key.name == key.name) {
            return Setting {
                value: Some(found.value.clone()),
                origin: found.origin.clone(),
            };
        }
        let nowhere = Place {
            folder: Path::new("/"),
            home: None,
        };
        let value = match key.fallback {
            Fallback::Value(text) => key.kind.of_text(text, nowhere),
            Fallback::Unset(_) => None,
        };
        Setting {
            value,
            origin: Origin::Default,
        }
    }

    fn pick<T>(
        &self,
        name: &'static str,
        flag: Option<T>,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Setting<Option<T>> {
        if flag.is_some() {
            return Setting {
                value: flag,
                origin: Origin::Flag,
            };
        }
        let said = keys::find(name).map(|key| self.get(key));
        let said = said.unwrap_or(Setting {
            value: None,
            origin: Origin::Default,
        });
        Setting {
            value: said.value.as_ref().and_then(convert),
            origin: said.origin,
        }
    }

    fn optional<T: FromValue>(&self, name: &'static str, flag: Option<T>) -> Setting<Option<T>> {
        self.pick(name, flag, T::from_value)
    }

    fn required<T: FromValue + Default>(&self, name: &'static str, flag: Option<T>) -> Setting<T> {
        self.optional(name, flag).or(T::default())
    }

    fn chosen<T: ValueEnum + Default>(&self, name: &'static str, flag: Option<T>) -> Setting<T> {
        self.pick(name, flag, choice).or(T::default())
    }
}

/// Each key of the command line's merge with the layers: what the flag says, or else the weightiest layer.
macro_rules! settings {
    ($($(#[$words:meta])* $how:ident $name:ident: $flag:ty => $value:ty;)*) => {
        impl Layers {
            $($(#[$words])*
            pub(crate) fn $name(&self, flag: Option<$flag>) -> Setting<$value> {
                self.$how(stringify!($name), flag)
            })*
        }
    };
}

settings! {
    /// The model: a name, a path or an address.
    optional model: OsString => Option<OsString>;
    /// The model's name at its server.
    optional model_name: String => Option<String>;
    /// The most tokens of prompt and answer together.
    optional context: u32 => Option<u32>;
    /// How many threads compute.
    optional threads: u32 => Option<u32>;
    /// How keys and values are stored.
    chosen kv: KvChoice => KvChoice;
    /// The most bytes for keys and values.
    optional kv_memory: u64 => Option<u64>;
    /// How many attempts; the strategy says it when nobody else does.
    optional samples: u32 => Option<u32>;
    /// How attempts work.
    chosen strategy: StrategyChoice => StrategyChoice;
    /// The first attempt's seed.
    required seed: u64 => u64;
    /// How freely tokens are chosen.
    optional temperature: f32 => Option<f32>;
    /// The share of probability that is considered.
    optional top_p: f32 => Option<f32>;
    /// How long a run of the tests may take.
    required test_timeout: Duration => Duration;
    /// How long tests that passed before are run with a patch until all are.
    required test_budget: Duration => Duration;
    /// The most turns of an attempt.
    required max_turns: u32 => u32;
    /// The most tokens of the window that an attempt may fill.
    optional max_tokens: u32 => Option<u32>;
    /// How long all attempts may take together.
    optional max_time: Duration => Option<Duration>;
    /// How long a command of the model may take.
    required command_timeout: Duration => Duration;
    /// Rounds of the one-shot strategy.
    required rounds: u32 => u32;
    /// How many attempts work at once.
    optional parallel: u32 => Option<u32>;
    /// Which patches are good enough.
    chosen accept: AcceptChoice => AcceptChoice;
    /// Which network commands have.
    chosen network: NetworkChoice => NetworkChoice;
    /// What keeps commands in.
    chosen sandbox: SandboxChoice => SandboxChoice;
    /// The container image.
    optional image: String => Option<String>;
    /// The folder of templates that replace the built-in ones.
    optional prompts: PathBuf => Option<PathBuf>;
}

impl Layers {
    /// The commands that run the tests; empty when they are to be found. Flags replace what the layers say.
    pub(crate) fn tests(&self, flags: &[String]) -> Setting<Vec<String>> {
        self.required("tests", (!flags.is_empty()).then(|| flags.to_vec()))
    }

    /// What commands may read of the machine. Flags replace what the layers say.
    pub(crate) fn read(&self, flags: &[PathBuf]) -> Setting<Vec<PathBuf>> {
        self.required("read", (!flags.is_empty()).then(|| flags.to_vec()))
    }
}

/// What the environment says. Its relative paths begin where the program was started, and stay as they are.
fn of_environment(environment: &Environment, home: Option<&Path>) -> Result<Vec<Found>, Failure> {
    let place = Place {
        folder: Path::new(""),
        home,
    };
    let mut found = Vec::new();
    for key in KEYS {
        let Some(text) = environment.get(key.variable) else {
            continue;
        };
        let value = text.to_str().and_then(|text| key.kind.of_text(text, place));
        let value = value.ok_or_else(|| {
            let start: String = text.to_string_lossy().chars().take(60).collect();
            let message = format!(
                "The variable {} must be {}, not `{}`.",
                key.variable,
                key.kind.words(),
                plain(&start)
            );
            Failure::new(ExitCode::Usage, message)
        })?;
        found.push(Found {
            key,
            value,
            origin: Origin::Environment(key.variable),
        });
    }
    Ok(found)
}
