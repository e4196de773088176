//! What is known of all files of a tree, kept between runs in one file of the user's cache.
//!
//! A file is read again when its size or its time of change differs, and its record made anew when its content does; all else is taken
//! over. Edges between files are made anew whenever a record, or the newest commit, has changed. What was counted in tokens has a file of
//! its own.

mod bulk;
mod graph;
mod kept;
mod past;
mod record;
mod scan;
mod store;
mod strings;
mod tokens;
mod words;

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::definitions::scanned;
use super::language::language;
use super::syntax::{Outline, Reader};
use super::walk::{self, LeftOut, LeftOutCounts, Stamp, Tree};

pub(super) use kept::Kept;
pub(super) use past::Message;
pub(super) use record::FileRecord;
pub(super) use strings::{NameId, Strings};
pub(super) use tokens::{TokenCounts, TokenStore, hash};
pub(super) use words::{identifiers, parts};

use graph::Edges;
use past::{Commits, Past};
use scan::Scanned;
use strings::Interner;

/// Files are read by so many before their names are joined to the others', so that memory stays small.
const BATCH: usize = 4096;
/// A file that was changed less than this before it was read may be changed again without a new time.
const TICK_NANOSECONDS: u64 = 50_000_000;
/// Names that are no more used are dropped when there are so many times more names than at the last full reading.
const MOST_GROWTH: usize = 2;

/// A file of the index.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct IndexedFile {
    pub(super) path: String,
    pub(super) stamp: Stamp,
    /// Its content's hash.
    pub(super) content: u64,
    pub(super) record: FileRecord,
    /// Why it is of no use, although it was taken for text.
    pub(super) left_out: Option<LeftOut>,
}

/// What is known of a tree.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// In order of their paths.
    pub(super) files: Vec<IndexedFile>,
    pub(super) names: Strings,
    /// How many names there were when all files had been read at once.
    first_names: usize,
    pub(super) edges: Edges,
    commits: Commits,
    pub(super) past: Past,
    pub(super) left_out: LeftOutCounts,
}

/// What updating an index took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexWork {
    /// Files in the index.
    pub files: usize,
    /// Files of which a record was made.
    pub read: usize,
    /// Whether nothing had to be made anew.
    pub unchanged: bool,
}

impl Index {
    /// The index of a tree, made from what was kept of it. `repository` is where its history is found.
    ///
    /// # Errors
    ///
    /// When the tree's folder cannot be read.
    pub(super) fn open(
        tree: &Path,
        repository: &Path,
        kept: Option<&Kept>,
    ) -> io::Result<(Index, IndexWork)> {
        let (walked, old, head) = std::thread::scope(|scope| {
            let old = scope.spawn(|| kept.and_then(Kept::index).unwrap_or_default());
            let head = past::head(repository);
            let walked = walk::walk(tree);
            (walked, old.join().unwrap_or_default(), head)
        });
        let mut index = old;
        let walked = walked?;
        if index.names.len() > index.first_names.saturating_mul(MOST_GROWTH) {
            index = Index::default();
        }
        let work = index.update(tree, walked, head.as_deref(), repository);
        Ok((index, work))
    }

    /// Whether its parts fit together, so that what it says can be of use.
    fn is_sound(&self) -> bool {
        let in_order = self.files.is_sorted_by(|one, other| one.path < other.path);
        in_order && self.edges.is_sound(self.files.len()) && self.past.is_sound(self.files.len())
    }

    fn update(
        &mut self,
        tree: &Path,
        walked: walk::Walked,
        head: Option<&str>,
        repository: &Path,
    ) -> IndexWork {
        let old = std::mem::take(&mut self.files);
        let before = old.len();
        let mut old = old.into_iter().peekable();
        let mut files = Vec::with_capacity(walked.files.len());
        let mut to_read = Vec::new();
        let mut renumbered = false;
        for file in walked.files {
            // Both are in order of their paths.
            while old.next_if(|old| old.path < file.path).is_some() {
                renumbered = true;
            }
            match old.next_if(|old| old.path == file.path) {
                Some(old) if old.stamp == file.stamp && file.stamp.modified > 0 => files.push(old),
                old => {
                    renumbered |= old.is_none();
                    to_read.push(files.len());
                    files.push(IndexedFile {
                        path: file.path,
                        stamp: file.stamp,
                        ..old.unwrap_or_default()
                    });
                }
            }
        }
        // Files are known by their numbers, which others than before may have now.
        renumbered |= files.len() != before;
        let is_changed = self.read(tree, &mut files, &to_read);
        let read = is_changed.iter().filter(|is_changed| **is_changed).count();
        self.files = files;
        let is_later = self.commits.head.as_deref() != head;
        if is_later {
            self.commits = Commits::read(repository, head);
        }
        if is_later || renumbered {
            self.past = Past::of(&self.commits, &self.files);
        }
        if is_later || renumbered || read > 0 {
            let old = std::mem::take(&mut self.edges);
            let old = (!renumbered).then_some((old, is_changed.as_slice()));
            self.edges = graph::edges(&self.files, &self.names, &self.past, old);
        }
        let mut left_out = walked.left_out;
        for file in &self.files {
            if let Some(reason) = file.left_out {
                *left_out.entry(reason).or_default() += 1;
            }
        }
        self.left_out = left_out;
        IndexWork {
            files: self.files.len(),
            read,
            unchanged: to_read.is_empty() && !renumbered && !is_later,
        }
    }

    /// Reads the files of these numbers; tells of which of all the content had changed.
    fn read(&mut self, tree: &Path, files: &mut [IndexedFile], to_read: &[usize]) -> Vec<bool> {
        let is_first = self.names.len() == 0;
        let mut names = Interner::default();
        let mut is_changed = vec![false; files.len()];
        if !to_read.is_empty() {
            names = Interner::of(std::mem::take(&mut self.names));
        }
        for batch in to_read.chunks(BATCH) {
            for (own, results) in read_batch(tree, files, batch) {
                let numbers: Vec<NameId> = own.iter().filter_map(|name| names.id(name)).collect();
                for (number, result) in results {
                    let Some(file) = files.get_mut(number) else {
                        continue;
                    };
                    file.stamp = result.stamp;
                    file.content = result.content;
                    let changed = is_changed.get_mut(number);
                    match result.record {
                        Ok(None) => {}
                        Ok(Some(scanned)) => {
                            file.record = scanned.record(&numbers);
                            file.left_out = None;
                            changed.into_iter().for_each(|changed| *changed = true);
                        }
                        Err(reason) => {
                            let had_record = file.record != FileRecord::default();
                            changed.into_iter().for_each(|changed| *changed = had_record);
                            file.record = FileRecord::default();
                            file.left_out = Some(reason);
                        }
                    }
                }
            }
        }
        if !to_read.is_empty() {
            self.names = names.strings;
        }
        if is_first {
            self.first_names = self.names.len();
        }
        is_changed
    }
}

/// What reading one file gave.
struct ReadFile {
    stamp: Stamp,
    content: u64,
    /// None when the content is what it was.
    record: Result<Option<Scanned>, LeftOut>,
}

/// Reads files on several threads; each one's results go with the names that its numbers stand for.
fn read_batch(tree: &Path, files: &[IndexedFile], batch: &[usize]) -> Vec<(Strings, Vec<(usize, ReadFile)>)> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    let tree = Tree::open(tree).ok();
    let work = || {
        let mut reader = Reader::default();
        let mut names = Interner::default();
        let mut results = Vec::new();
        while let Some(&number) = batch.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(file) = files.get(number) {
                results.push((number, read_file(tree.as_ref(), file, &mut reader, &mut names)));
            }
        }
        if let Ok(mut all) = all.lock() {
            all.push((names.strings, results));
        }
    };
    let threads = walk::threads().min(batch.len().div_ceil(4)).max(1);
    if threads == 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    all.into_inner().unwrap_or_default()
}

fn read_file(
    tree: Option<&Tree<'_>>,
    file: &IndexedFile,
    reader: &mut Reader,
    names: &mut Interner,
) -> ReadFile {
    let mut stamp = file.stamp;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    if now.saturating_sub(stamp.modified) < TICK_NANOSECONDS {
        // It may change again within the same tick of the clock: it is read again next time.
        stamp.modified = 0;
    }
    let text = tree.map_or(Err(LeftOut::Unreadable), |tree| tree.read(&file.path));
    match text {
        Err(reason) => ReadFile {
            stamp,
            content: 0,
            record: Err(reason),
        },
        Ok(text) => {
            let content = hash(text.as_bytes());
            let same = content == file.content && file.left_out.is_none() && content != 0;
            let scanned = (!same).then(|| scan::scan(&text, &outline(reader, &file.path, &text), names));
            ReadFile {
                stamp,
                content,
                record: Ok(scanned),
            }
        }
    }
}

/// What a text holds: by its language's grammar, else by its layout; prose where there is neither.
fn outline(reader: &mut Reader, path: &str, text: &str) -> Outline {
    let Some(language) = language(path) else {
        return Outline {
            prose: std::iter::once(0..text.len()).collect(),
            ..Outline::default()
        };
    };
    let by_grammar = language
        .grammar
        .and_then(|grammar| reader.try_outline(text, grammar));
    by_grammar.unwrap_or_else(|| {
        let lines: Vec<&str> = text.lines().collect();
        Outline {
            definitions: language
                .layout
                .map(|layout| scanned(&lines, layout))
                .unwrap_or_default(),
            ..Outline::default()
        }
    })
}
