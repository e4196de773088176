//! Choices of `cwm fix` that files may make as well.

use clap::ValueEnum;

/// How attempts work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum StrategyChoice {
    /// What suits the model: one-shot for small ones, else agentic
    #[default]
    Auto,
    /// A loop of turns in which the model uses tools
    Agentic,
    /// An answer with edits, mended by what tests say
    #[value(alias = "one_shot")]
    OneShot,
}

/// Which patches are good enough for stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum AcceptChoice {
    /// Verified ones only
    #[default]
    Verified,
    /// The best there is, verified or not
    Best,
}
