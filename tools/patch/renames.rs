//! Finds which deleted file became which added one: first by equal content, then by likeness of lines.
//! The same input always gives the same pairs, and the work is bounded.

use std::collections::{BTreeMap, HashMap};

/// The least likeness, in percent, that counts as a rename.
const LEAST_SIMILARITY: u64 = 50;

/// Larger contents are compared by id only.
const MOST_BYTES: usize = 4 << 20;

/// With more pairs than this, only files of the same name are compared.
const MOST_PAIRS: usize = 20_000;

/// One file that may be one end of a rename.
pub(super) struct Candidate<'a> {
    /// Where it was or is.
    pub(super) path: &'a [u8],
    /// Its content; one without any is not paired.
    pub(super) content: &'a [u8],
}

/// A pair found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rename {
    /// Index into the deleted files.
    pub(super) old: usize,
    /// Index into the added files.
    pub(super) new: usize,
    /// 50 to 100.
    pub(super) similarity: u8,
}

/// The renames among the given files.
pub(super) fn find(deleted: &[Candidate<'_>], added: &[Candidate<'_>]) -> Vec<Rename> {
    let mut pairs = Pairs {
        old_used: vec![false; deleted.len()],
        new_used: vec![false; added.len()],
        found: vec![],
    };
    exact(deleted, added, &mut pairs);
    similar(deleted, added, &mut pairs);
    pairs.found
}

struct Pairs {
    old_used: Vec<bool>,
    new_used: Vec<bool>,
    found: Vec<Rename>,
}

impl Pairs {
    fn is_free(&self, old: usize, new: usize) -> bool {
        self.old_used.get(old) == Some(&false) && self.new_used.get(new) == Some(&false)
    }

    fn take(&mut self, rename: Rename) {
        if let (Some(old), Some(new)) = (
            self.old_used.get_mut(rename.old),
            self.new_used.get_mut(rename.new),
        ) {
            (*old, *new) = (true, true);
            self.found.push(rename);
        }
    }
}

/// Pairs files of equal content: of several, one with the same name, else the first in order of path.
fn exact(deleted: &[Candidate<'_>], added: &[Candidate<'_>], pairs: &mut Pairs) {
    let mut by_content: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (index, file) in deleted
        .iter()
        .enumerate()
        .filter(|(_, file)| !file.content.is_empty())
    {
        by_content.entry(file.content).or_default().push(index);
    }
    for same_name in [true, false] {
        for (new, file) in added.iter().enumerate() {
            let olds = by_content
                .get(file.content)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fits = |old: &&usize| {
                let same = deleted
                    .get(**old)
                    .is_some_and(|old| name(old.path) == name(file.path));
                pairs.is_free(**old, new) && (same || !same_name)
            };
            if let Some(&old) = olds.iter().find(fits) {
                pairs.take(Rename {
                    old,
                    new,
                    similarity: 100,
                });
            }
        }
    }
}

/// Pairs files by likeness, the most alike first.
fn similar(deleted: &[Candidate<'_>], added: &[Candidate<'_>], pairs: &mut Pairs) {
    let fits = |file: &Candidate<'_>| !file.content.is_empty() && file.content.len() <= MOST_BYTES;
    let open = |files: &[Candidate<'_>], used: &[bool]| -> Vec<usize> {
        let free = |index: &usize| used.get(*index) == Some(&false) && files.get(*index).is_some_and(fits);
        (0..files.len()).filter(free).collect()
    };
    let olds = open(deleted, &pairs.old_used);
    let news = open(added, &pairs.new_used);
    let only_same_name = olds.len().saturating_mul(news.len()) > MOST_PAIRS;
    let mut prints: HashMap<(bool, usize), Fingerprint> = HashMap::new();
    let mut scored = Vec::new();
    for &old in &olds {
        let Some(old_file) = deleted.get(old) else {
            continue;
        };
        for &new in &news {
            let Some(new_file) = added.get(new) else { continue };
            let (small, large) = sorted(old_file.content.len() as u64, new_file.content.len() as u64);
            let hopeless = small * 100 < large * LEAST_SIMILARITY;
            if hopeless || (only_same_name && name(old_file.path) != name(new_file.path)) {
                continue;
            }
            prints
                .entry((true, old))
                .or_insert_with(|| fingerprint(old_file.content));
            prints
                .entry((false, new))
                .or_insert_with(|| fingerprint(new_file.content));
            let (Some(left), Some(right)) = (prints.get(&(true, old)), prints.get(&(false, new))) else {
                continue;
            };
            let similarity = common(left, right) * 100 / large;
            if similarity >= LEAST_SIMILARITY {
                scored.push((
                    std::cmp::Reverse(similarity),
                    name(old_file.path) != name(new_file.path),
                    new,
                    old,
                ));
            }
        }
    }
    scored.sort_unstable();
    for (similarity, _, new, old) in scored {
        if pairs.is_free(old, new) {
            // All pieces may be shared in another order: only equal content is 100.
            let similarity = similarity.0.min(99) as u8;
            pairs.take(Rename { old, new, similarity });
        }
    }
}

fn sorted(left: u64, right: u64) -> (u64, u64) {
    (left.min(right), left.max(right))
}

/// The last part of a path.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The hashes of a content's lines (cut at 64 bytes), each with how many bytes it stands for.
type Fingerprint = HashMap<u64, u64>;

fn fingerprint(content: &[u8]) -> Fingerprint {
    let mut print = Fingerprint::new();
    for piece in content
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| line.chunks(64))
    {
        // FNV-1a: the same on every run and machine.
        let hash = piece.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        *print.entry(hash).or_default() += piece.len() as u64;
    }
    print
}

/// How many bytes two contents share.
fn common(left: &Fingerprint, right: &Fingerprint) -> u64 {
    let (few, many) = if left.len() <= right.len() {
        (left, right)
    } else {
        (right, left)
    };
    few.iter()
        .map(|(hash, bytes)| (*bytes).min(many.get(hash).copied().unwrap_or(0)))
        .sum()
}
