//! `cwm pack`: the parts of a repository that matter to an issue, as one prompt within a budget of tokens.

mod report;
mod vocabulary;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use crate::cli::config::Layers;
use crate::cli::fix::DEFAULT_MODEL;
use crate::cli::model::{Target, resolve};
use crate::cli::{Environment, ExitCode, Failure, Printer, issue};
use crate::context::{PackOptions, RankRequest, Ranking};

use vocabulary::Vocabulary;

/// The longest file of what tests printed that is read.
const MOST_FAILURES: u64 = 16 << 20;

/// Print the parts of a repository that matter to an issue, within a budget of tokens
///
/// The files are read once and known again in later runs; those that changed are read anew. What is shown are whole files, definitions
/// with their bodies, signatures and names, as much as the budget allows, the most relevant next to the issue at the end. The same
/// repository, issue and budget give the same bytes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cwm pack -m 'median() is wrong for lists of even length' --budget 8000
  cwm pack --issue issue.md --budget 32000 --stats             what is shown, and why
  cwm pack --issue issue.md --explain src/stats.py             what speaks for a file, and for its parts
  cwm pack --issue issue.md --model ./cwm --budget 100000 > prompt.md
  pytest 2>&1 | cwm pack --issue issue.md --failures -         with what failing tests print")]
pub(crate) struct PackArguments {
    /// The repository, or a folder in it
    #[arg(default_value = ".")]
    repo: PathBuf,
    /// Read the issue from a file; `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "message")]
    issue: Option<PathBuf>,
    /// The issue itself
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// What failing tests printed; `-` is stdin
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// The most tokens of all that is printed
    #[arg(short, long, value_name = "N", default_value_t = 32_000, value_parser = clap::value_parser!(u32).range(256..))]
    budget: u32,
    /// Whose tokens are counted: a name of `cwm model list`, a GGUF file, a model's folder, or a file with its vocabulary
    /// [default: the configured model]
    #[arg(long, value_name = "M")]
    model: Option<OsString>,
    /// Print a table of the files instead: how much of each is shown, its tokens and why
    #[arg(long, conflicts_with = "explain")]
    stats: bool,
    /// Say instead what speaks for a file and its parts, and how much of it is shown
    #[arg(long, value_name = "PATH")]
    explain: Option<String>,
    /// Neither read nor keep what is known of the repository
    #[arg(long)]
    no_cache: bool,
    /// With --json, the numbers that ranking is made from
    #[arg(long, hide = true)]
    signals: bool,
}

/// Packs and prints.
pub(crate) fn run(
    arguments: &PackArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let issue = issue::read(arguments.message.as_deref(), arguments.issue.as_deref())?;
    let failures = failures(arguments)?;
    let root = root(&arguments.repo)?;
    let vocabulary = vocabulary(arguments, &root, environment)?;
    let caches = environment.cache_folder().filter(|_| !arguments.no_cache);
    printer.progress("reading the repository …");
    let ranking = Ranking::of(&RankRequest {
        tree: &root,
        root: &root,
        issue: &issue,
        failures: &failures,
        caches: caches.as_deref(),
    })
    .with_context(|| {
        let message = format!("The folder {} cannot be read.", root.display());
        Failure::new(ExitCode::Environment, message)
    })?;
    let started = Instant::now();
    let pack = ranking.pack(&PackOptions {
        budget: arguments.budget as usize,
        issue: Some(&issue),
        vocabulary: vocabulary.identity().as_deref(),
        count: &|text| vocabulary.count(text),
    });
    vocabulary.check()?;
    printer.clear_progress();
    let took = started.elapsed();
    printer.detail(format_args!(
        "{} files known, {} read in {:.0} ms; ranked in {:.0} ms, packed in {:.0} ms",
        ranking.work.files,
        ranking.work.read,
        ranking.times.index.as_secs_f64() * 1e3,
        ranking.times.rank.as_secs_f64() * 1e3,
        took.as_secs_f64() * 1e3,
    ));
    if pack.files.is_empty() {
        printer.warning("no file fits the budget, or there is none that can be read");
    }
    if let Some(path) = &arguments.explain {
        report::explanation(&ranking, &pack, path, printer)?;
    } else if printer.is_json() {
        report::event(&ranking, &pack, arguments.budget, arguments.signals, printer)?;
    } else if arguments.stats {
        report::table(&ranking, &pack, printer)?;
    } else {
        printer.result(&pack.text)?;
    }
    Ok(ExitCode::Success)
}

/// The folder that is packed: the repository that a path lies in, or the folder itself where there is none.
fn root(repo: &Path) -> Result<PathBuf, Failure> {
    if let Ok(root) = cwm_tools::workspace::working_tree(repo) {
        return Ok(root);
    }
    let path = std::fs::canonicalize(repo).ok().filter(|path| path.is_dir());
    path.ok_or_else(|| {
        let message = format!("There is no folder {}.", repo.display());
        Failure::new(ExitCode::Usage, message)
    })
}

fn failures(arguments: &PackArguments) -> anyhow::Result<Vec<String>> {
    let Some(path) = &arguments.failures else {
        return Ok(Vec::new());
    };
    let name = crate::cli::input::name(path);
    let bytes = crate::cli::input::read(path, MOST_FAILURES).with_context(|| {
        let message = format!("What tests printed, in {name}, cannot be read.");
        Failure::new(ExitCode::Usage, message)
    })?;
    Ok(vec![String::from_utf8_lossy(&bytes).into_owned()])
}

fn vocabulary(
    arguments: &PackArguments,
    root: &Path,
    environment: &Environment,
) -> anyhow::Result<Vocabulary> {
    let layers = Layers::load(Some(root), environment)?;
    let model = layers.model(arguments.model.clone()).value;
    let model = model.unwrap_or_else(|| DEFAULT_MODEL.into());
    match resolve(&model, environment)? {
        Target::Path(path) => Ok(Vocabulary::of(path)),
        Target::Server(_) | Target::Script(_) => Err(Failure::new(
            ExitCode::Usage,
            format!(
                "Tokens are counted with a vocabulary of this machine, and {} has none.",
                model.to_string_lossy()
            ),
        )
        .with_hint(
            "Name its vocabulary with --model FILE: a tokenizer.json, or a GGUF file of the same family.",
        )
        .into()),
    }
}
