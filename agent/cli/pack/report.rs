//! What a pack holds, as a table, as an event, and explained for one file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::text::{cut, plain, width};
use crate::cli::{ExitCode, Failure, Printer, Style};
use crate::context::{Explanation, LeftOut, Level, Pack, PackedFile, Ranking};

/// Paths that an event tells of the ranking.
const MOST_RANKED: usize = 500;
/// Columns of a path in a table.
const MOST_PATH: usize = 60;
/// Parts of a file that are explained.
const MOST_PARTS: usize = 12;

/// A pack, as an event.
#[derive(Serialize)]
struct PackEvent<'a> {
    version: u32,
    budget: u32,
    tokens: usize,
    map_tokens: usize,
    text: &'a str,
    files: Vec<FileEvent<'a>>,
    ranked: Vec<&'a str>,
    left_out: &'a BTreeMap<LeftOut, usize>,
    known_files: usize,
    read_files: usize,
    index_ms: f64,
    rank_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signals: Option<Vec<Explanation>>,
}

/// A file of a pack.
#[derive(Serialize)]
struct FileEvent<'a> {
    path: &'a str,
    rank: usize,
    level: &'static str,
    tokens: usize,
    lines: &'a [(usize, usize)],
    reasons: &'a [&'static str],
}

/// Prints the event.
pub(super) fn event(
    ranking: &Ranking,
    pack: &Pack,
    budget: u32,
    signals: bool,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    printer.event(
        "pack",
        &PackEvent {
            version: 1,
            budget,
            tokens: pack.tokens,
            map_tokens: pack.map_tokens,
            text: &pack.text,
            files: pack.files.iter().map(file_event).collect(),
            ranked: ranking.paths().take(MOST_RANKED).collect(),
            left_out: ranking.left_out(),
            known_files: ranking.work.files,
            read_files: ranking.work.read,
            index_ms: ranking.times.index.as_secs_f64() * 1e3,
            rank_ms: ranking.times.rank.as_secs_f64() * 1e3,
            signals: signals.then(|| ranking.explanations()),
        },
    )
}

fn file_event(file: &PackedFile) -> FileEvent<'_> {
    FileEvent {
        path: &file.path,
        rank: file.rank,
        level: level_name(file.level),
        tokens: file.tokens,
        lines: &file.lines,
        reasons: &file.reasons,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Name => "name",
        Level::Signatures => "signatures",
        Level::Definitions => "definitions",
        Level::Whole => "whole",
    }
}

/// Prints the table, the most relevant first, and what was left out.
pub(super) fn table(ranking: &Ranking, pack: &Pack, printer: &mut Printer) -> anyhow::Result<()> {
    let shown = |file: &&PackedFile| file.level > Level::Name;
    let columns = pack.files.iter().map(|file| width(&plain(&file.path))).max();
    let columns = columns.unwrap_or(0).clamp(4, MOST_PATH);
    let mut text = String::new();
    let head = format!("{:<columns$}  {:<11}  {:>6}  why", "file", "level", "tokens");
    text.push_str(&printer.paint(Style::Strong, &head));
    text.push('\n');
    for file in pack.files.iter().filter(shown) {
        let path = cut(&plain(&file.path), columns);
        let pad = " ".repeat(columns.saturating_sub(width(&path)));
        let (level, why) = (level_name(file.level), file.reasons.join("; "));
        text.push_str(&format!("{path}{pad}  {level:<11}  {:>6}  {why}\n", file.tokens));
    }
    let named = pack.files.iter().filter(|file| file.level == Level::Name);
    let (count, tokens) = named.fold((0, 0), |(count, tokens), file| (count + 1, tokens + file.tokens));
    if count > 0 {
        text.push_str(&format!("{count} more by their names, {tokens} tokens\n"));
    }
    if pack.map_tokens > 0 {
        text.push_str(&format!("map of the repository, {} tokens\n", pack.map_tokens));
    }
    let files = ranking.work.files;
    text.push_str(&format!("{} tokens in all, of {files} files", pack.tokens));
    let left_out: Vec<String> = ranking
        .left_out()
        .iter()
        .map(|(reason, count)| format!("{count} {}", left_out_words(*reason)))
        .collect();
    if left_out.is_empty() {
        text.push('\n');
    } else {
        text.push_str(&format!("; left out: {}\n", left_out.join(", ")));
    }
    printer.result(text)
}

fn left_out_words(reason: LeftOut) -> &'static str {
    match reason {
        LeftOut::Binary => "binary",
        LeftOut::Generated => "generated",
        LeftOut::Vendored => "folders of others' work",
        LeftOut::Huge => "larger than 1 MiB",
        LeftOut::Special => "links and special files",
        LeftOut::OddName => "with odd names",
        LeftOut::Unreadable => "unreadable",
        LeftOut::TooMany => "beyond the most that are looked at",
    }
}

/// Says what speaks for a file, and for its likeliest parts.
pub(super) fn explanation(
    ranking: &Ranking,
    pack: &Pack,
    path: &str,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let path = path.trim_start_matches("./");
    let Some(found) = ranking.explain(path) else {
        let message = format!("There is no file {} among those that were ranked.", plain(path));
        return Err(Failure::new(ExitCode::Usage, message)
            .with_hint("Give its path from the repository's root; `--stats` says what is left out.")
            .into());
    };
    printer.event("pack.explanation", &found)?;
    if printer.is_json() {
        return Ok(());
    }
    let mut text = format!(
        "{}: place {} of {}, likelihood {:.3}\n",
        plain(&found.path),
        found.rank,
        ranking.work.files,
        found.likelihood
    );
    let shown = pack.files.iter().find(|file| file.path == found.path);
    match shown {
        None => text.push_str("not in the pack\n"),
        Some(file) => {
            let lines: Vec<String> = file
                .lines
                .iter()
                .map(|(first, last)| format!("{first}-{last}"))
                .collect();
            text.push_str(&format!(
                "in the pack: {}, {} tokens",
                level_name(file.level),
                file.tokens
            ));
            if !lines.is_empty() && file.level < Level::Whole {
                text.push_str(&format!(", lines {}", lines.join(" ")));
            }
            text.push('\n');
        }
    }
    for reason in &found.reasons {
        text.push_str(&format!("  {:+.2}  {}\n", reason.weight, reason.signal));
    }
    for part in found.parts.iter().take(MOST_PARTS) {
        let name = if part.name.is_empty() {
            "(outside)"
        } else {
            &part.name
        };
        text.push_str(&format!(
            "lines {}-{} {}: likelihood {:.3}\n",
            part.first,
            part.last,
            plain(name),
            part.likelihood
        ));
        for reason in &part.reasons {
            text.push_str(&format!("  {:+.2}  {}\n", reason.weight, reason.signal));
        }
    }
    printer.result(text)
}
