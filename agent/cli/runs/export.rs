//! `cwm runs export`: a run in a form that other programs read, without secrets.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::story::{AttemptStory, Story};
use super::{find, forms};
use crate::cli::walls::open_runs;
use crate::cli::{Environment, ExitCode, Failure, Printer};
use crate::rollout::redact::Redactor;

/// Write a run in a form that other programs read
#[derive(Debug, Args)]
#[command(after_help = "\
Secrets are left out: tokens and keys by their form, and the values of variables such as API_KEY.

Examples:
  cwm runs export last --format traj -o run.traj.json
  cwm runs export last --format preds --instance-id astropy__astropy-12907 >> predictions.jsonl")]
pub(crate) struct ExportArguments {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,
    /// The form
    #[arg(long, value_name = "FORM", value_enum)]
    format: Form,
    /// Write to this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take this attempt; else the chosen one, and all of them for openai
    #[arg(long, value_name = "NAME")]
    attempt: Option<String>,
    /// What the run's task is called; else the run's id
    #[arg(long, value_name = "ID")]
    instance_id: Option<String>,
}

/// A form of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A trajectory in mini-swe-agent's form, one JSON document
    Traj,
    /// Conversations with messages and tools, one line for each attempt
    Openai,
    /// A prediction for SWE-bench, one line
    Preds,
}

/// Writes it.
pub(super) fn run(
    arguments: &ExportArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    // The export is a document of its own.
    printer.leave_events();
    let run = find(&open_runs(environment)?, &arguments.run)?;
    let story = Story::read(&run)?;
    let attempts = story.attempts();
    let instance = arguments.instance_id.as_deref().unwrap_or(&run.id);
    let one = choose(&story, &attempts, arguments.attempt.as_deref())?;
    let mut values = Vec::new();
    match arguments.format {
        Form::Traj => values.push(forms::trajectory(&story, one, instance)),
        Form::Preds => values.push(forms::prediction(&story, one, instance)),
        Form::Openai if arguments.attempt.is_some() => values.push(forms::conversation(one)?),
        Form::Openai => {
            for attempt in &attempts {
                values.push(forms::conversation(attempt)?);
            }
        }
    }
    let redactor = Redactor::new(&environment.all());
    let mut text = String::new();
    for value in values {
        let value = forms::redacted(value, &redactor);
        text.push_str(&match arguments.format {
            Form::Traj => serde_json::to_string_pretty(&value)?,
            Form::Openai | Form::Preds => serde_json::to_string(&value)?,
        });
        text.push('\n');
    }
    match &arguments.output {
        Some(path) => write(path, &text)?,
        None => printer.result(text)?,
    }
    Ok(ExitCode::Success)
}

/// The attempt that the user names, else the one that was chosen, else the first that came to an end, else the first.
fn choose<'a, 's>(
    story: &Story,
    attempts: &'a [AttemptStory<'s>],
    name: Option<&str>,
) -> Result<&'a AttemptStory<'s>, Failure> {
    let named = |name: &str| attempts.iter().find(|attempt| attempt.name == name);
    if let Some(name) = name {
        return named(name).ok_or_else(|| {
            let known: Vec<&str> = attempts.iter().map(|attempt| attempt.name).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            Failure::new(
                ExitCode::Usage,
                format!("The run has no attempt `{name}`; it has: {known}."),
            )
        });
    }
    let chosen = story.end().and_then(|end| end.chosen.and_then(named));
    chosen
        .or_else(|| attempts.iter().find(|attempt| attempt.candidate.is_some()))
        .or(attempts.first())
        .ok_or_else(|| {
            Failure::new(
                ExitCode::Usage,
                "No attempt of the run has begun: there is nothing to export.",
            )
        })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::new(
            ExitCode::Environment,
            format!("{} cannot be written: {error}.", path.display()),
        )
    })
}
