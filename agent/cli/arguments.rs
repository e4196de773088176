//! The command line as typed: the flags that every command has, and the commands.

use clap::{Args, Parser, Subcommand};

use crate::cli::apply::ApplyArguments;
use crate::cli::completions::CompletionsArguments;
use crate::cli::config::ConfigArguments;
use crate::cli::doctor::DoctorArguments;
use crate::cli::environment::Environment;
use crate::cli::exit_code;
use crate::cli::fix::FixArguments;
use crate::cli::generate::GenerateArguments;
use crate::cli::model::ModelArguments;
use crate::cli::pack::PackArguments;
use crate::cli::printer::{ColorChoice, Format, Settings, Verbosity};
use crate::cli::rank::RankArguments;
use crate::cli::runs::RunsArguments;
use crate::cli::sandbox::SandboxArguments;

/// A command-line coding agent that proves its patches by running tests on your own machine.
#[derive(Debug, Parser)]
#[command(name = "cwm", version, max_term_width = 100, after_long_help = exit_code::HELP)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) output: OutputArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command says, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArguments {
    /// Print results as JSON events, one a line (see docs/json-events.md)
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, overrides_with = "quiet")]
    verbose: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    #[arg(help = "When to use colours: auto, always or never [env: NO_COLOR, CLICOLOR_FORCE]")]
    color: ColorChoice,
    /// The same as --color never
    #[arg(long, global = true)]
    no_color: bool,
}

impl OutputArguments {
    /// The printer's settings that they, the environment and the streams amount to.
    pub(crate) fn settings(&self, environment: &Environment) -> Settings {
        let format = if self.json {
            Format::JsonLines
        } else {
            Format::Text
        };
        let verbosity = match (self.verbose, self.quiet) {
            (true, _) => Verbosity::Verbose,
            (false, true) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
        };
        let color = if self.no_color {
            ColorChoice::Never
        } else {
            self.color
        };
        Settings::resolve(format, verbosity, color, environment)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Fix(Box<FixArguments>),
    Pack(Box<PackArguments>),
    Sandbox(Box<SandboxArguments>),
    Apply(ApplyArguments),
    Rank(Box<RankArguments>),
    Runs(RunsArguments),
    Generate(Box<GenerateArguments>),
    Model(ModelArguments),
    Config(ConfigArguments),
    Doctor(DoctorArguments),
    Completions(CompletionsArguments),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    /// The words of a simple command for a shell.
    fn words(command: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for character in command.trim().chars() {
            match character {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(character),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_readme_shows_commands_that_there_are() {
        let readme = include_str!("../../README.md");
        // Every other part stands within a fence.
        let blocks = readme.split("\n```").skip(1).step_by(2);
        let lines = blocks.flat_map(str::lines);
        let lines = lines.map(|line| line.split("  #").next().unwrap_or_default());
        let commands: Vec<Vec<String>> = lines
            .filter(|line| line.starts_with("cwm ") || line.contains("| cwm "))
            .flat_map(|line| line.split("&&").flat_map(|part| part.split(" | ")))
            .map(words)
            .filter(|words| words.first().is_some_and(|word| word == "cwm"))
            .collect();
        assert!(commands.len() > 10, "{commands:?}");
        for command in commands {
            if let Err(error) = super::Arguments::try_parse_from(&command) {
                panic!("{command:?}: {error}");
            }
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
