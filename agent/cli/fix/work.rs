//! Does the run on a thread of its own, while this one shows what happens and listens for Ctrl-C.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::FixArguments;
use super::choices::Choices;
use super::outcome::{self, Finished};
use super::start::{self, Beginning, Prepared};
use crate::cli::signals::Signals;
use crate::cli::view::{Update, View};
use crate::cli::{Environment, ExitCode, Failure, Printer};
use crate::rollout::journal::{Observer, Record};
use crate::rollout::{Control, Problem, Workbench};
use crate::scaling::{self, Baseline, Outcome, SolveError, ValidateError};

/// Between two looks at the clock and the signals.
const TICK: Duration = Duration::from_millis(100);

/// Passes what happens on to the thread that shows it.
struct Channel(Sender<Update>);

impl Observer for Channel {
    fn recorded(&self, record: &Record) {
        // Nobody listens any more when the run is being given up.
        let _ = self.0.send(Update::Record(Box::new(record.clone())));
    }

    fn generated(&self, attempt: &str, tokens: usize) {
        let _ = self.0.send(Update::Tokens {
            attempt: attempt.to_owned(),
            tokens,
        });
    }
}

/// Why a run ended without an outcome.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Baseline(#[from] ValidateError),
    #[error(transparent)]
    Solve(#[from] SolveError),
    #[error(transparent)]
    Journal(#[from] crate::rollout::journal::JournalError),
}

/// Runs to the end, and says what came of it.
pub(super) fn run(
    beginning: Beginning,
    arguments: &FixArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    // First of all, so that an interruption while things are prepared ends in order too.
    let signals = Signals::catch()?;
    signals.leave_at_second(true);
    let choices = Choices::of(arguments, environment);
    let (sender, updates) = mpsc::channel();
    let observer = Arc::new(Channel(sender));
    let prepared = start::prepare(beginning, &choices, arguments, environment, observer, printer)?;
    signals.leave_at_second(false);
    let control = Arc::new(Control::default());
    if let Some(time) = choices.max_time {
        control.set_deadline(Instant::now().checked_add(time));
    }
    let mut view = View::new(printer, environment)
        .limited_to(choices.max_time)
        .recalling(prepared.journal.earlier());
    let mut shown = Ok(());
    let worked = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&prepared, &choices, &control));
        loop {
            match signals.count() {
                0 => {}
                1 => {
                    control.finish();
                    view.ending(printer);
                }
                _ => control.stop(),
            }
            let finished = worker.is_finished();
            match updates.recv_timeout(TICK) {
                Ok(update) if shown.is_ok() => {
                    shown = view.take(&update, printer);
                    if shown.is_err() {
                        // Nobody reads any more: the run would go on for nothing.
                        control.stop();
                    }
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) if finished => break,
                Err(RecvTimeoutError::Timeout) => view.tick(printer),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    view.finish(printer);
    shown?;
    let id = prepared.run.id.clone();
    match worked {
        Ok((baseline, outcome)) => {
            let finished = Finished {
                prepared,
                baseline,
                outcome,
                out_of_time: control.out_of_time(),
            };
            outcome::conclude(finished, &choices, arguments, printer)
        }
        Err(WorkError::Baseline(ValidateError::Interrupted)) => {
            printer.note(format_args!("Interrupted. `cwm runs resume {id}` goes on."));
            Ok(ExitCode::Interrupted)
        }
        Err(error) => Err(Failure::new(ExitCode::Environment, format!("{error}."))
            .with_hint(format!(
                "What was done is kept: `cwm runs resume {id}` goes on when that is mended."
            ))
            .into()),
    }
}

/// The run itself.
fn work(
    prepared: &Prepared,
    choices: &Choices,
    control: &Arc<Control>,
) -> Result<(Baseline, Outcome), WorkError> {
    let baseline = baseline(prepared, choices, control)?;
    let snapshot = &prepared.copies.snapshot;
    let problem = Problem {
        issue: prepared.record.issue.clone(),
        root: snapshot.root.clone(),
        tree: snapshot.tree(),
        tests: prepared.record.tests.clone(),
        baseline: baseline.runs.clone(),
        guidance: prepared.record.guidance.clone(),
        caches: choices.caches.clone(),
        ranking: OnceLock::new(),
        pack: OnceLock::new(),
    };
    let mut plan = prepared.plan.clone();
    plan.validation.flaky.clone_from(&baseline.flaky);
    let shown = !scaling::failing_before(&baseline.runs, &baseline.flaky).is_empty();
    if shown && choices.issue_tests.is_none() {
        // The user's own tests show the issue: they decide.
        plan.issue_tests = 0;
    }
    let bench = Workbench {
        problem: &problem,
        model: &*prepared.model,
        prompts: &prepared.prompts,
        copies: &prepared.copies,
        journal: &prepared.journal,
        control,
    };
    let outcome = scaling::solve(&bench, control, &plan)?;
    Ok((baseline, outcome))
}

/// What the tests say before anything is changed: recorded, or found out now.
fn baseline(prepared: &Prepared, choices: &Choices, control: &Arc<Control>) -> Result<Baseline, WorkError> {
    let recorded = prepared.journal.earlier().iter().find_map(|record| match record {
        Record::Baseline { runs, flaky } => Some(Baseline {
            runs: runs.clone(),
            flaky: flaky.clone(),
        }),
        _ => None,
    });
    if let Some(recorded) = recorded {
        return Ok(recorded);
    }
    let found = scaling::baseline(
        &prepared.copies,
        "baseline",
        &prepared.record.tests,
        &choices.validation(),
        control,
    )?;
    prepared.journal.append(&Record::Baseline {
        runs: found.runs.clone(),
        flaky: found.flaky.clone(),
    })?;
    Ok(found)
}
