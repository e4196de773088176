//! `cwm config`: what is set, and who says so.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::keys::{Fallback, KEYS, Key, Trust};
use super::layers::{Layers, REPOSITORY_FILE, users_file};
use super::setting::{Origin, Setting};
use super::value::Value;
use crate::cli::{Environment, ExitCode, Printer, Style};

/// Show what is set, and by whom
#[derive(Debug, Args)]
#[command(after_help = "\
Flags outrank the environment, which outranks the repository's cwm.toml, which outranks
your own config.toml. docs/configuration.md explains every key.

Examples:
  cwm config show
  cwm config path
  CWM_SAMPLES=4 cwm config show --repo ~/src/project")]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Show(ShowArguments),
    Path(PathArguments),
}

/// Show every key, its value and where the value comes from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm config show
  cwm config show --repo ~/src/project
  cwm config show --json | grep '\"origin\":\"repository\"'")]
struct ShowArguments {
    /// The repository whose cwm.toml counts [default: the one around the current folder]
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
}

/// Print the paths of the files that settings are read from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm config path
  ${EDITOR:-vi} \"$(cwm config path | head -n 1)\"")]
struct PathArguments {
    /// The repository whose cwm.toml counts [default: the one around the current folder]
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
}

#[derive(Serialize)]
struct SettingEvent<'a> {
    key: &'a str,
    value: Option<serde_json::Value>,
    unset_means: Option<&'a str>,
    origin: &'a str,
    file: Option<String>,
    line: Option<usize>,
    variable: &'a str,
    repository_may_set: bool,
}

#[derive(Serialize)]
struct FileEvent<'a> {
    origin: &'a str,
    path: String,
    exists: bool,
}

/// Runs the subcommand.
pub(crate) fn run(
    arguments: &ConfigArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        ConfigCommand::Show(show) => {
            let root = repository_root(show.repo.as_deref());
            let layers = Layers::load(root.as_deref(), environment)?;
            show_all(&layers, environment, printer)?;
        }
        ConfigCommand::Path(path) => paths(path, environment, printer)?,
    }
    Ok(ExitCode::Success)
}

/// The root of the repository at or around a folder: the nearest with a `.git`. None is no error here, settings are shown all the same.
fn repository_root(given: Option<&Path>) -> Option<PathBuf> {
    let start = std::fs::canonicalize(given.unwrap_or(Path::new("."))).ok()?;
    let around = start
        .ancestors()
        .find(|folder| folder.join(".git").symlink_metadata().is_ok());
    match (around, given) {
        (Some(root), _) => Some(root.to_owned()),
        // A folder that is named counts, whatever it is.
        (None, Some(_)) => Some(start),
        (None, None) => None,
    }
}

fn show_all(layers: &Layers, environment: &Environment, printer: &mut Printer) -> anyhow::Result<()> {
    let settings: Vec<(&Key, Setting<Option<Value>>)> =
        KEYS.iter().map(|key| (key, layers.get(key))).collect();
    if printer.is_json() {
        for (key, setting) in &settings {
            printer.event("config.setting", &event(key, setting))?;
        }
        return Ok(());
    }
    let home = environment.absolute_path("HOME");
    let rows: Vec<(&str, String, String)> = settings
        .iter()
        .map(|(key, setting)| {
            (
                key.name,
                words(key, setting),
                place(&setting.origin, home.as_deref()),
            )
        })
        .collect();
    let widest = rows
        .iter()
        .map(|(_, value, _)| crate::cli::text::width(value))
        .max();
    // A long value, such as a list of commands, must not push all the others' origins away.
    let column = widest.unwrap_or_default().min(40);
    for ((name, value, from), (_, setting)) in rows.iter().zip(&settings) {
        let name = printer.paint(Style::Strong, &format!("{name:<15}"));
        let fill = " ".repeat(column.saturating_sub(crate::cli::text::width(value)));
        let (value, from) = match setting.origin {
            Origin::Default => (value.clone(), printer.paint(Style::Faint, from)),
            _ => (printer.paint(Style::Good, value), from.clone()),
        };
        printer.result(format!("{name} {value}{fill}  {from}\n"))?;
    }
    Ok(())
}

fn words(key: &Key, setting: &Setting<Option<Value>>) -> String {
    match (&setting.value, key.fallback) {
        (Some(value), _) => value.words(),
        (None, Fallback::Unset(meaning)) => format!("({meaning})"),
        (None, Fallback::Value(text)) => text.to_owned(),
    }
}

/// Where a value comes from, with `~` for the home folder.
fn place(origin: &Origin, home: Option<&Path>) -> String {
    match origin {
        Origin::User(path, line) => match home.and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => format!("~/{}:{line}", rest.display()),
            None => origin.to_string(),
        },
        Origin::Repository(_, line) => format!("{REPOSITORY_FILE}:{line}"),
        _ => origin.to_string(),
    }
}

fn event<'a>(key: &'a Key, setting: &'a Setting<Option<Value>>) -> SettingEvent<'a> {
    let (file, line) = match &setting.origin {
        Origin::User(path, line) | Origin::Repository(path, line) => {
            (Some(path.display().to_string()), Some(*line))
        }
        Origin::Default | Origin::Environment(_) | Origin::Flag => (None, None),
    };
    SettingEvent {
        key: key.name,
        value: setting.value.as_ref().map(Value::json),
        unset_means: match key.fallback {
            Fallback::Unset(meaning) if setting.value.is_none() => Some(meaning),
            _ => None,
        },
        origin: setting.origin.name(),
        file,
        line,
        variable: key.variable,
        repository_may_set: !matches!(key.trust, Trust::None(_)),
    }
}

fn paths(arguments: &PathArguments, environment: &Environment, printer: &mut Printer) -> anyhow::Result<()> {
    let repository = repository_root(arguments.repo.as_deref()).map(|root| root.join(REPOSITORY_FILE));
    let files = [("user", users_file(environment)), ("repository", repository)];
    for (origin, path) in files {
        let Some(path) = path else {
            printer.note(match origin {
                "user" => "You have no file: neither XDG_CONFIG_HOME nor HOME is set.",
                _ => "There is no repository here, so no cwm.toml counts.",
            });
            continue;
        };
        let exists = path.exists();
        if printer.is_json() {
            let path = path.display().to_string();
            printer.event("config.file", &FileEvent { origin, path, exists })?;
            continue;
        }
        printer.result(format!("{}\n", path.display()))?;
        if !exists {
            printer.note(format_args!("({} is not there yet)", path.display()));
        }
    }
    Ok(())
}
