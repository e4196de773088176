//! Chooses excerpts of a tree's files for a budget of tokens.

mod choose;
mod explain;
mod map;
mod render;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::definitions::Definition;
use super::index::{Index, IndexWork, Kept, TokenCounts, TokenStore};
use super::rank::{Order, RankedFile, rank};
use super::suspect::suspect;
use super::walk::LeftOutCounts;

pub use explain::{Explanation, PartExplanation, Reason};

use choose::{ChosenFile, Frame, Limits, Run, Shown, choose};
use render::TextFrame;

/// Of the budget, and at most, what the map may take.
const MAP_SHARE: usize = 20;
const MOST_MAP: usize = 1500;
/// Of the budget what names of further files may take.
const NAMES_SHARE: usize = 40;
/// Names of further files.
const MOST_NAMES: usize = 200;
/// Files that are shown at most.
const MOST_FILES: usize = 400;
/// Without signatures, files whose likelihood is less than this part of the best one's are not worth reading.
const LEAST: f64 = 0.005;
const MOST_EXCERPTED: usize = 24;
/// Rounds of taking back what is too much, where a vocabulary's counts do not add up.
const ROUNDS: usize = 8;

/// What is ranked for what.
#[derive(Debug, Clone, Copy)]
pub struct RankRequest<'a> {
    /// The tree, read only.
    pub tree: &'a Path,
    /// Where the tree is seen inside, as absolute paths of tracebacks have it; its history is read there too.
    pub root: &'a Path,
    /// What is to be mended.
    pub issue: &'a str,
    /// What failing tests printed.
    pub failures: &'a [String],
    /// The folder in which what is known of repositories is kept between runs; none to keep nothing.
    pub caches: Option<&'a Path>,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The file, relative to the tree's root.
    pub path: String,
    /// Lines of it, whole.
    pub text: String,
    /// The number of the first one, from 1.
    pub first_line: usize,
    /// Lines that the whole file has.
    pub file_lines: usize,
    /// Why it is here, for people: `is named in the issue`.
    pub reason: String,
    /// Whether it holds tests.
    pub is_test: bool,
}

/// What was chosen, as excerpts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The most telling first.
    pub excerpts: Vec<Excerpt>,
    /// Their tokens together.
    pub tokens: usize,
}

/// How much of a file a pack shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Its name.
    Name,
    /// Signatures of what it defines.
    Signatures,
    /// Definitions with their bodies.
    Definitions,
    /// All of it.
    Whole,
}

/// A file of a pack.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedFile {
    /// The file, relative to the tree's root.
    pub path: String,
    /// Its place among all files, from 1.
    pub rank: usize,
    /// How much of it is shown.
    pub level: Level,
    /// Tokens that it takes.
    pub tokens: usize,
    /// The lines that are shown, from 1: first and last.
    pub lines: Vec<(usize, usize)>,
    /// What speaks for it, the strongest first.
    pub reasons: Vec<&'static str>,
}

/// A packed prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pack {
    /// The whole text.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// Of these, what the map takes.
    pub map_tokens: usize,
    /// The files, the most relevant first.
    pub files: Vec<PackedFile>,
}

/// How a pack is made.
#[derive(Clone, Copy)]
pub struct PackOptions<'a> {
    /// The most tokens of the whole text.
    pub budget: usize,
    /// The issue as it stands at the end; none for a pack without it.
    pub issue: Option<&'a str>,
    /// What identifies the vocabulary that counts; none where that is not known, and nothing is kept of its counts.
    pub vocabulary: Option<&'a str>,
    /// Counts a text's tokens.
    pub count: &'a dyn Fn(&str) -> usize,
}

/// How long the steps took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RankTimes {
    /// Finding out what changed, and reading that.
    pub index: Duration,
    /// Ranking.
    pub rank: Duration,
}

/// A tree's files in order of how much they matter to an issue: found once, cut to any budget.
#[derive(Debug, Clone)]
pub struct Ranking {
    tree: PathBuf,
    index: Index,
    order: Order,
    /// What was counted, of which an attempt's count is another's too.
    tokens: Arc<Mutex<Option<TokenStore>>>,
    kept: Option<Kept>,
    /// What making the index took.
    pub work: IndexWork,
    /// How long it took.
    pub times: RankTimes,
}

impl Ranking {
    /// Ranks the files of a tree for an issue and what failing tests printed.
    ///
    /// # Errors
    ///
    /// When the tree cannot be read at all.
    pub fn of(request: &RankRequest<'_>) -> io::Result<Ranking> {
        let started = Instant::now();
        let caches = request.caches;
        let kept = caches.map(|caches| Kept::of(caches, request.root, request.tree));
        let (index, work) = Index::open(request.tree, request.root, kept.as_ref())?;
        let indexed = started.elapsed();
        let root = request.root.to_string_lossy();
        let order = std::thread::scope(|scope| {
            if let Some(kept) = kept.as_ref().filter(|_| !work.unchanged) {
                scope.spawn(|| kept.save_index(&index));
            }
            rank(&index, request.tree, &root, request.issue, request.failures)
        });
        Ok(Ranking {
            tree: request.tree.to_owned(),
            index,
            order,
            tokens: Arc::default(),
            kept,
            work,
            times: RankTimes {
                index: indexed,
                rank: started.elapsed() - indexed,
            },
        })
    }

    /// Files that were left out, by reason.
    pub fn left_out(&self) -> &LeftOutCounts {
        &self.index.left_out
    }

    /// The paths, the likeliest first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.order.files.iter().map(|file| file.path.as_str())
    }

    /// What of it a model should read with so many tokens, as `count` counts them: passages as they are, without signatures.
    pub fn cut(&self, budget: usize, count: &dyn Fn(&str) -> usize) -> Packed {
        let mut store = TokenStore::default();
        let mut counts = store.counts(None, count);
        let mut limits = Limits {
            budget,
            signatures: false,
            least: LEAST,
            most_files: MOST_EXCERPTED,
        };
        for _ in 0..ROUNDS {
            let (chosen, _) = choose(&self.order.files, limits, &Bare, &mut counts);
            let excerpts: Vec<Excerpt> = chosen.iter().flat_map(excerpts).collect();
            let tokens = excerpts.iter().map(|excerpt| count(&excerpt.text)).sum();
            if tokens <= budget {
                return Packed { excerpts, tokens };
            }
            limits.budget = limits.budget.saturating_sub(tokens - budget);
        }
        Packed::default()
    }

    /// The whole prompt: map, files and the issue.
    pub fn pack(&self, options: &PackOptions<'_>) -> Pack {
        let mut store = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = || self.kept.as_ref().and_then(Kept::tokens).unwrap_or_default();
        let store = store.get_or_insert_with(kept);
        let mut counts = store.counts(options.vocabulary, options.count);
        let (mut room, mut packed) = (options.budget, Pack::default());
        for _ in 0..ROUNDS {
            packed = self.packed(options, room, &mut counts);
            // Sums of parts are not always the whole's count.
            packed.tokens = counts.text(&packed.text);
            if packed.tokens <= options.budget {
                break;
            }
            room = room.saturating_sub(packed.tokens - options.budget);
        }
        let is_new = self.index.keep_counts(store, counts);
        if let Some(kept) = self.kept.as_ref().filter(|_| is_new) {
            kept.save_tokens(store);
        }
        packed
    }

    fn packed(&self, options: &PackOptions<'_>, room: usize, counts: &mut TokenCounts<'_>) -> Pack {
        let issue = options
            .issue
            .map(|issue| format!("{}{}\n", render::ISSUE_HEAD, issue.trim_end()));
        let issue = issue.unwrap_or_default();
        let fixed = counts.text(&issue) + counts.text(render::FILES_HEAD);
        let left = room.saturating_sub(fixed);
        let map = self.map((left / MAP_SHARE).min(MOST_MAP), counts);
        let map_tokens = counts.text(&map);
        let room_for = |names: usize| Limits {
            budget: left.saturating_sub(map_tokens + names),
            signatures: true,
            least: 0.0,
            most_files: MOST_FILES,
        };
        let files = &self.order.files;
        let (mut chosen, used) = choose(files, room_for(left / NAMES_SHARE), &TextFrame, counts);
        let (mut names, mut named) = self.names(&chosen, left.saturating_sub(map_tokens + used), counts);
        if named.len() < MOST_NAMES && named.len() + chosen.len() >= files.len() {
            // No further file needs that room.
            let needed = named.iter().map(|file| file.tokens).sum();
            let used;
            (chosen, used) = choose(files, room_for(needed), &TextFrame, counts);
            (names, named) = self.names(&chosen, left.saturating_sub(map_tokens + used), counts);
        }
        let mut text = map;
        text.push_str(&names);
        text.push_str(render::FILES_HEAD);
        for file in chosen.iter().rev() {
            render::file(file, &TextFrame, &mut text);
        }
        text.push_str(&issue);
        let mut files: Vec<PackedFile> = chosen.iter().map(|file| self.described(file)).collect();
        files.extend(named);
        Pack {
            text,
            tokens: 0,
            map_tokens,
            files,
        }
    }

    /// The map, cut to so many tokens.
    fn map(&self, most: usize, counts: &mut TokenCounts<'_>) -> String {
        let mut lines = Vec::new();
        let mut used = counts.text(map::HEAD) + 1;
        for line in map::lines(&self.index) {
            used += counts.text(&line);
            if used > most {
                break;
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return String::new();
        }
        lines.sort();
        format!("{}{}\n", map::HEAD, lines.concat())
    }

    /// Names of the likeliest files of which nothing is shown.
    fn names(
        &self,
        chosen: &[ChosenFile<'_>],
        most: usize,
        counts: &mut TokenCounts<'_>,
    ) -> (String, Vec<PackedFile>) {
        let shown: std::collections::HashSet<usize> = chosen.iter().map(|file| file.file.number).collect();
        let mut text = render::NAMES_HEAD.to_owned();
        let mut used = counts.text(&text) + 1;
        let mut files = Vec::new();
        for (place, file) in self.order.files.iter().enumerate() {
            if shown.contains(&file.number) || files.len() >= MOST_NAMES {
                continue;
            }
            let line = format!("{}\n", file.path);
            let tokens = counts.text(&line);
            if used + tokens > most {
                break;
            }
            used += tokens;
            text.push_str(&line);
            files.push(PackedFile {
                path: file.path.clone(),
                rank: place + 1,
                level: Level::Name,
                tokens,
                lines: Vec::new(),
                reasons: strongest(file),
            });
        }
        if files.is_empty() {
            return (String::new(), files);
        }
        text.push('\n');
        (text, files)
    }

    fn described(&self, chosen: &ChosenFile<'_>) -> PackedFile {
        let rank = self
            .order
            .files
            .iter()
            .position(|file| file.number == chosen.file.number);
        let has_body = chosen.shown.contains(&Shown::Whole);
        PackedFile {
            path: chosen.file.path.clone(),
            rank: rank.unwrap_or(0) + 1,
            level: match (chosen.is_whole(), has_body) {
                (true, _) => Level::Whole,
                (false, true) => Level::Definitions,
                (false, false) => Level::Signatures,
            },
            tokens: chosen.tokens(),
            lines: chosen
                .runs()
                .into_iter()
                .map(|(first, end)| (first + 1, end))
                .collect(),
            reasons: strongest(chosen.file),
        }
    }

    /// The function that the issue is most likely about, with its file; none when no function is named.
    pub fn suspect(&self) -> Option<(String, Definition)> {
        suspect(&self.tree, &self.order)
    }
}

/// The two or three strongest reasons.
fn strongest(file: &RankedFile) -> Vec<&'static str> {
    let reasons = file.reasons().into_iter().filter(|(_, _, weight)| *weight > 0.0);
    reasons.take(3).map(|(reason, _, _)| reason).collect()
}

/// Excerpts that someone else frames.
struct Bare;

impl Frame for Bare {
    fn file(&self, _: &RankedFile, _: &super::rank::Content) -> [String; 2] {
        [String::new(), String::new()]
    }

    fn part(&self, _: Run) -> String {
        String::new()
    }
}

fn excerpts(chosen: &ChosenFile<'_>) -> Vec<Excerpt> {
    let file_lines = chosen.content.lines.count();
    let excerpt = |run: Run| Excerpt {
        path: chosen.file.path.clone(),
        text: chosen.content.part(run.0..run.1).to_owned(),
        first_line: run.0 + 1,
        file_lines,
        reason: strongest(chosen.file)
            .first()
            .copied()
            .unwrap_or("is one of few files")
            .to_owned(),
        is_test: chosen.file.is_test,
    };
    chosen.runs().into_iter().map(excerpt).collect()
}
