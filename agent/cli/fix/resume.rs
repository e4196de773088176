//! `cwm runs resume`: goes on with a run that was cut short, with the arguments that it had then, whatever is configured now.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context;
use cwm_tools::workspace::runs::Run;

use super::start::{Beginning, journal_path};
use super::{FixArguments, words, work};
use crate::cli::{Environment, ExitCode, Failure, Printer};
use crate::rollout::journal::{self, Record, RunRecord};

/// Goes on with a run. `model` takes the place of the one that it began with, a server at another address say.
pub(crate) fn resume(
    run: Run,
    model: Option<OsString>,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let record = beginning(&run.path)?;
    let mut arguments = arguments(&record)?;
    if let Some(model) = model {
        // A path is meant from here, not from where the run began.
        let path = std::path::absolute(&model).ok().filter(|path| path.exists());
        arguments.model = Some(path.map_or(model, OsString::from));
    }
    // Relative paths in the command line are meant from there.
    let directory = Path::new(&record.directory);
    std::env::set_current_dir(directory).with_context(|| {
        Failure::new(
            ExitCode::Environment,
            format!(
                "The folder {} where the run began cannot be entered.",
                directory.display()
            ),
        )
    })?;
    let beginning = Beginning::Resumed { run, record };
    work::run(beginning, &arguments, environment, printer)
}

/// The first record, which says what the run depends on.
fn beginning(run: &Path) -> anyhow::Result<Box<RunRecord>> {
    let path = journal_path(run);
    let lines =
        journal::read(&path).map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
    match lines.into_iter().next().map(|line| line.record) {
        Some(Record::Run(record)) => Ok(record),
        _ => Err(Failure::new(
            ExitCode::Environment,
            format!("The journal {} does not say how its run began.", path.display()),
        )
        .into()),
    }
}

fn arguments(record: &RunRecord) -> anyhow::Result<FixArguments> {
    words::read(&record.arguments).map_err(|_| {
        Failure::new(
            ExitCode::Environment,
            "This cwm does not understand the command line that the run began with.",
        )
        .with_hint(format!("It began with cwm {}.", record.cwm_version))
        .into()
    })
}
