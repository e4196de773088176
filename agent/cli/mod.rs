//! The command line: arguments in, an exit code out. One file a command, each a thin call into a room below;
//! the printer is the only one that writes to the process's streams.

mod apply;
mod arguments;
mod completions;
mod config;
mod doctor;
mod environment;
mod evidence;
mod exit_code;
mod failure;
mod fix;
mod generate;
mod input;
mod issue;
mod live;
mod model;
mod pack;
mod printer;
mod rank;
mod runs;
mod sandbox;
mod signals;
#[cfg(test)]
mod terminal;
mod text;
mod values;
mod view;
mod walls;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;

use clap::{CommandFactory, Parser};

pub use environment::Environment;
pub use exit_code::ExitCode;
pub use failure::{Failure, ReaderGone};
pub use printer::{ColorChoice, Format, Printer, SCHEMA, Settings, Style, Verbosity};

use arguments::{Arguments, Command};

/// Runs the command that `args` (the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => return answer_clap(&error, environment),
    };
    let mut printer = Printer::standard(arguments.output.settings(environment));
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| match &arguments.command {
        Command::Sandbox(sandbox) => sandbox::run(sandbox, environment, &mut printer),
        Command::Fix(fix) => fix::run(fix, environment, &mut printer),
        Command::Apply(apply) => apply::run(apply, &mut printer),
        Command::Pack(pack) => pack::run(pack, environment, &mut printer),
        Command::Rank(rank) => rank::run(rank, environment, &mut printer),
        Command::Runs(runs) => runs::run(runs, environment, &mut printer),
        Command::Generate(generate) => generate::run(generate, environment, &mut printer),
        Command::Model(model) => model::run(model, environment, &mut printer),
        Command::Doctor(doctor) => doctor::run(doctor, environment, &mut printer),
        Command::Config(config) => config::run(config, environment, &mut printer),
        Command::Completions(completions) => {
            completions::run(completions, Arguments::command(), &mut printer)
        }
    }));
    // The panic's own message is on stderr by then.
    let outcome = outcome.unwrap_or_else(|_| {
        Err(
            Failure::new(ExitCode::Internal, "cwm stopped at a defect of its own.")
                .with_hint("Please report it with the lines above.")
                .into(),
        )
    });
    conclude(outcome, &mut printer)
}

/// Says how the command ended, and picks the exit code.
fn conclude(outcome: anyhow::Result<ExitCode>, printer: &mut Printer) -> ExitCode {
    printer.clear_progress();
    let (code, said) = match outcome {
        Ok(code) => (code, Ok(())),
        Err(error) if error.is::<ReaderGone>() => return ExitCode::Success,
        Err(error) => {
            let code = Failure::behind(&error).map_or(ExitCode::Internal, |failure| failure.code);
            (code, printer.error(&error))
        }
    };
    match said.and_then(|()| printer.end(code)) {
        // What went wrong before matters more than that it could not be said on stdout too.
        Err(error) if code == ExitCode::Success && !error.is::<ReaderGone>() => ExitCode::Environment,
        _ => code,
    }
}

/// Prints what clap has to say: help and version on stdout, a usage error on stderr.
fn answer_clap(error: &clap::Error, environment: &Environment) -> ExitCode {
    let settings = Settings::resolve(Format::Text, Verbosity::Normal, ColorChoice::Auto, environment);
    let mut printer = Printer::standard(settings);
    let text = |color: bool| {
        let styled = error.render();
        if color {
            styled.ansi().to_string()
        } else {
            styled.to_string()
        }
    };
    if error.use_stderr() {
        printer.note(text(settings.color_messages).trim_end());
        return ExitCode::Usage;
    }
    let outcome = printer
        .result(text(settings.color_results))
        .map(|()| ExitCode::Success);
    conclude(outcome, &mut printer)
}
