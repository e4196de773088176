//! From an answer's parts to changes of files: which file is meant, which lines of it, and what stands there afterwards. All parts fit, or
//! there is no plan. Nothing is written here.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::answer::Part;
use super::matching::{self, Missed};
use super::redefine::{self, Source};
use crate::context::language;

/// Larger files are not changed.
const MOST_BYTES: u64 = 1 << 20;

/// Lines of a file that others take the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The first line, from 0.
    pub(super) start: usize,
    /// The line behind the last one.
    pub(super) end: usize,
    /// What stands there then.
    pub(super) lines: Vec<String>,
}

/// What happens to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Lines of it are replaced.
    Edit {
        /// Its lines now, without their ends.
        base: Vec<String>,
        /// What is replaced, in order, nothing twice.
        hunks: Vec<Hunk>,
    },
    /// It is new.
    Create {
        /// Its lines.
        lines: Vec<String>,
    },
}

/// What happens to which files.
pub(super) type Plan = BTreeMap<String, Change>;

/// Why an answer is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It holds no edits.
    NoEdits,
    /// It was cut off.
    CutOff,
    /// The edits change nothing.
    Unchanged,
    /// The search text is not in the file.
    NotFound {
        /// The file.
        path: String,
    },
    /// It is there several times.
    Several {
        /// The file.
        path: String,
    },
    /// Lines are left out.
    Elided {
        /// The file.
        path: String,
    },
    /// There is no such file, or it may not be changed.
    NoFile {
        /// What the model wrote.
        path: String,
    },
    /// It is not said, and not plain, which file is meant.
    WhichFile,
    /// Nothing but tests would be changed.
    Tests {
        /// One of them.
        path: String,
    },
}

impl Unusable {
    /// How the model is told: the kind that the template knows, and the file.
    pub(super) fn told(&self) -> (&'static str, &str) {
        match self {
            Unusable::NoEdits => ("no_edits", ""),
            Unusable::CutOff => ("cut_off", ""),
            Unusable::Unchanged => ("unchanged", ""),
            Unusable::NotFound { path } => ("not_found", path),
            Unusable::Several { path } => ("several", path),
            Unusable::Elided { path } => ("elided", path),
            Unusable::NoFile { path } => ("no_file", path),
            Unusable::WhichFile => ("which_file", ""),
            Unusable::Tests { path } => ("tests", path),
        }
    }
}

/// What a plan is made for.
pub(super) struct Planner<'a> {
    /// The tree as it is before the edits.
    pub(super) tree: &'a Path,
    /// Where the model sees it.
    pub(super) root: &'a Path,
    /// The files that the model was shown, and whether as a whole; the likeliest first.
    pub(super) shown: &'a [(String, bool)],
}

impl Planner<'_> {
    /// The changes that an answer asks for.
    pub(super) fn plan(&self, parts: &[Part]) -> Result<Plan, Unusable> {
        let blocks = parts.iter().any(|part| matches!(part, Part::Block { .. }));
        let mut hunks: BTreeMap<String, (Vec<String>, Vec<Hunk>)> = BTreeMap::new();
        let mut plan = Plan::new();
        let mut unclosed = false;
        for part in parts {
            let found = match part {
                Part::Block { closed: false, .. } => return Err(Unusable::CutOff),
                Part::Block {
                    path,
                    search,
                    replace,
                    ..
                } => self.block(path.as_deref(), search, replace)?,
                Part::Code { .. } if blocks => continue,
                Part::Code { closed: false, .. } => {
                    unclosed = true;
                    continue;
                }
                Part::Code { path, lines, .. } => self.code(path.as_deref(), lines),
            };
            match found {
                Some((path, Change::Edit { base, hunks: more })) => {
                    hunks
                        .entry(path)
                        .or_insert_with(|| (base, Vec::new()))
                        .1
                        .extend(more);
                }
                Some((path, change)) => {
                    plan.insert(path, change);
                }
                None => {}
            }
        }
        for (path, (base, hunks)) in hunks {
            let hunks = tidied(&base, hunks).ok_or_else(|| Unusable::NotFound { path: path.clone() })?;
            if !hunks.is_empty() {
                plan.insert(path, Change::Edit { base, hunks });
            }
        }
        // A test that the answer changes would say nothing of the answer. New ones may come with it.
        let is_test = |path: &str| cwm_tools::patch::is_test_path(path.as_bytes());
        let is_kept = |path: &str, change: &Change| !matches!(change, Change::Edit { .. }) || !is_test(path);
        if let Some(path) = plan.keys().next().cloned() {
            plan.retain(|path, change| is_kept(path, change));
            if plan.is_empty() {
                return Err(Unusable::Tests { path });
            }
        }
        match (plan.is_empty(), blocks, unclosed, parts.is_empty()) {
            (false, ..) => Ok(plan),
            (true, true, ..) => Err(Unusable::Unchanged),
            (true, false, true, _) => Err(Unusable::CutOff),
            (true, false, false, true) => Err(Unusable::NoEdits),
            (true, false, false, false) => Err(Unusable::Unchanged),
        }
    }

    fn block(
        &self,
        path: Option<&str>,
        search: &[String],
        replace: &[String],
    ) -> Result<Option<(String, Change)>, Unusable> {
        let is_empty = search.iter().all(|line| line.trim().is_empty());
        if is_empty {
            return self.empty_search(path, replace);
        }
        if search == replace {
            return Ok(None);
        }
        let candidates = self.candidates(path)?;
        let mut missed: Option<(Missed, String)> = None;
        let mut found = Vec::new();
        for path in candidates {
            let Some(base) = self.read(&path) else { continue };
            match matching::find(&base, search, replace) {
                Ok(place) => found.push((path, base, place)),
                Err(why) => {
                    if let Some(change) = rewritten(&path, &base, search, replace) {
                        return Ok(Some((path, change)));
                    }
                    missed.get_or_insert((why, path));
                }
            }
        }
        if found.len() > 1 && path.is_none() {
            return Err(Unusable::WhichFile);
        }
        match (found.into_iter().next(), missed) {
            (Some((path, base, place)), _) => {
                let hunks = vec![Hunk {
                    start: place.start,
                    end: place.end,
                    lines: place.lines,
                }];
                Ok(Some((path, Change::Edit { base, hunks })))
            }
            (None, Some((Missed::Nowhere, path))) => Err(Unusable::NotFound { path }),
            (None, Some((Missed::Several(_), path))) => Err(Unusable::Several { path }),
            (None, Some((Missed::Elided, path))) => Err(Unusable::Elided { path }),
            (None, None) => Err(Unusable::NoFile {
                path: path.unwrap_or_default().to_owned(),
            }),
        }
    }

    /// A block with nothing to search for makes a file, or gives functions of one anew.
    fn empty_search(
        &self,
        path: Option<&str>,
        replace: &[String],
    ) -> Result<Option<(String, Change)>, Unusable> {
        let named = path.ok_or(Unusable::WhichFile)?;
        let refused = || Unusable::NoFile {
            path: named.to_owned(),
        };
        let clean = self.clean(named).ok_or_else(refused)?;
        if self.tree.join(&clean).symlink_metadata().is_err() {
            let lines = replace.to_vec();
            return Ok(Some((clean, Change::Create { lines })));
        }
        match self.code(Some(named), replace) {
            Some(found) => Ok(Some(found)),
            None => Err(Unusable::NotFound { path: clean }),
        }
    }

    /// A code block, as new definitions of a file or as the file anew.
    fn code(&self, path: Option<&str>, lines: &[String]) -> Option<(String, Change)> {
        let named = path.and_then(|path| self.existing(path));
        let candidates: Vec<String> = match named {
            Some(path) => vec![path],
            None => self.shown.iter().map(|(path, _)| path.clone()).collect(),
        };
        let only = candidates.len() == 1;
        let mut best: Option<(usize, String, Vec<String>)> = None;
        for path in candidates {
            let Some(base) = self.read(&path) else { continue };
            let layout = language(&path).and_then(|language| language.layout);
            let count = redefine::shared(&Source::new(&base, layout), &Source::new(lines, layout));
            if (count > 0 || only) && best.as_ref().is_none_or(|(most, ..)| count > *most) {
                best = Some((count, path, base));
            }
        }
        let (_, path, base) = best?;
        let layout = language(&path).and_then(|language| language.layout);
        let whole = self.shown.iter().any(|(shown, whole)| *shown == path && *whole);
        let hunks = redefine::hunks(&Source::new(&base, layout), &Source::new(lines, layout), whole);
        Some((path, Change::Edit { base, hunks }))
    }

    /// The files that a block may be meant for.
    fn candidates(&self, path: Option<&str>) -> Result<Vec<String>, Unusable> {
        let Some(path) = path else {
            return Ok(self.shown.iter().map(|(path, _)| path.clone()).collect());
        };
        if let Some(existing) = self.existing(path) {
            return Ok(vec![existing]);
        }
        // A sloppy name of a file that was shown; never one that leads elsewhere.
        if self.clean(path).is_some() && !self.shown.is_empty() {
            return Ok(self.shown.iter().map(|(path, _)| path.clone()).collect());
        }
        Err(Unusable::NoFile {
            path: path.to_owned(),
        })
    }

    /// The existing file that the model means by a path.
    fn existing(&self, path: &str) -> Option<String> {
        let clean = self.clean(path)?;
        if self.read(&clean).is_some() {
            return Some(clean);
        }
        let shorter = clean
            .split_once('/')
            .filter(|(first, _)| ["a", "b"].contains(first));
        if let Some((_, rest)) = shorter
            && self.read(rest).is_some()
        {
            return Some(rest.to_owned());
        }
        let ends = |long: &str, short: &str| long == short || long.ends_with(&format!("/{short}"));
        let mut like = self.shown.iter().map(|(shown, _)| shown);
        let first = like.find(|shown| ends(shown, &clean) || ends(&clean, shown))?;
        Some(first.clone())
    }

    /// A path within the tree, as the tree has it; none for one that leads out of it or into git's folder.
    fn clean(&self, path: &str) -> Option<String> {
        let slashes = path.trim().replace('\\', "/");
        let path = Path::new(&slashes);
        let relative = if path.is_absolute() {
            path.strip_prefix(self.root).ok()?
        } else {
            path
        };
        let mut parts = Vec::new();
        for part in relative.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_str()?),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        let allowed = !parts.is_empty() && !parts.iter().any(|part| part.eq_ignore_ascii_case(".git"));
        allowed.then(|| parts.join("/"))
    }

    /// A text file's lines.
    fn read(&self, path: &str) -> Option<Vec<String>> {
        read_lines(self.tree, path)
    }
}

/// The lines of a text file of the tree, without their ends; none when there is no such, or it leads out of the tree.
pub(super) fn read_lines(tree: &Path, path: &str) -> Option<Vec<String>> {
    let tree = tree.canonicalize().ok()?;
    let file = tree.join(path).canonicalize().ok()?;
    let metadata = file.metadata().ok()?;
    if !file.starts_with(&tree) || !metadata.is_file() || metadata.len() > MOST_BYTES {
        return None;
    }
    let text = String::from_utf8(std::fs::read(file).ok()?).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    (!text.contains('\0')).then(|| text.lines().map(str::to_owned).collect())
}

/// A block whose search text is not in the file, but which plainly writes functions of it anew.
fn rewritten(path: &str, base: &[String], search: &[String], replace: &[String]) -> Option<Change> {
    let layout = language(path).and_then(|language| language.layout);
    let (file, code) = (Source::new(base, layout), Source::new(replace, layout));
    let same = redefine::shared(&file, &code);
    if same == 0 || redefine::shared(&code, &Source::new(search, layout)) < same {
        return None;
    }
    let hunks = redefine::hunks(&file, &code, false);
    (!hunks.is_empty()).then(|| Change::Edit {
        base: base.to_vec(),
        hunks,
    })
}

/// The hunks in order, each without lines that stay; none when two of them touch the same lines.
fn tidied(base: &[String], hunks: Vec<Hunk>) -> Option<Vec<Hunk>> {
    let mut hunks: Vec<Hunk> = hunks.into_iter().map(|hunk| narrowed(base, hunk)).collect();
    hunks.retain(|hunk| hunk.start < hunk.end || !hunk.lines.is_empty());
    hunks.sort_by_key(|hunk| (hunk.start, hunk.end));
    hunks.dedup();
    let apart = hunks
        .iter()
        .zip(hunks.iter().skip(1))
        .all(|(one, next)| one.end <= next.start);
    let within = hunks
        .iter()
        .all(|hunk| hunk.start <= hunk.end && hunk.end <= base.len());
    (apart && within).then_some(hunks)
}

fn narrowed(base: &[String], hunk: Hunk) -> Hunk {
    let old = base.get(hunk.start..hunk.end).unwrap_or_default();
    let top = old
        .iter()
        .zip(&hunk.lines)
        .take_while(|(own, new)| own == new)
        .count();
    let left = old.len().min(hunk.lines.len()) - top;
    let pairs = old.iter().rev().zip(hunk.lines.iter().rev()).take(left);
    let bottom = pairs.take_while(|(own, new)| own == new).count();
    Hunk {
        start: hunk.start + top,
        end: hunk.end - bottom,
        lines: hunk
            .lines
            .get(top..hunk.lines.len() - bottom)
            .unwrap_or_default()
            .to_vec(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
