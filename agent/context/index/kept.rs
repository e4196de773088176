//! Where what is known of a repository is kept between runs: files in a folder of the user's cache.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::store::{self, COPY, INDEX, TOKENS};
use super::tokens::{TokenCounts, TokenStore};
use super::{Index, hash};

/// Change whenever the form does, or what stands in it; another version's files are made anew.
const INDEX_HEAD: &[u8] = b"cwm index 3\n";
const TOKENS_HEAD: &[u8] = b"cwm tokens 1\n";

/// The files of one repository.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    index: PathBuf,
    /// The other of the repository's own index and that of a copy.
    other: PathBuf,
    tokens: PathBuf,
}

impl Kept {
    /// The files in a folder of caches for a repository, or for a copy of it that `tree` is: a copy has times of its own, by which the
    /// repository's files would all seem to have changed.
    pub(crate) fn of(caches: &Path, repository: &Path, tree: &Path) -> Kept {
        let name = repository.file_name().map_or("root".into(), |name| {
            let name = name.to_string_lossy();
            name.chars()
                .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
                .take(40)
                .collect::<String>()
        });
        let place = hash(repository.as_os_str().as_encoded_bytes());
        let file = |ending| caches.join("index").join(format!("{name}-{place:016x}.{ending}"));
        let (own, other) = if tree == repository {
            (INDEX, COPY)
        } else {
            (COPY, INDEX)
        };
        Kept {
            index: file(own),
            other: file(other),
            tokens: file(TOKENS),
        }
    }

    /// What was known. Where there is nothing, the other index tells at least what files of the same contents hold.
    pub(super) fn index(&self) -> Option<Index> {
        let load = |path: &Path| store::load(path, INDEX_HEAD).filter(Index::is_sound);
        load(&self.index).or_else(|| load(&self.other))
    }

    /// Keeps what is known. Where that fails the next run reads all again: slower, and nothing else.
    pub(crate) fn save_index(&self, index: &Index) {
        let _ = store::save(index, &self.index, INDEX_HEAD);
    }

    /// What was counted.
    pub(crate) fn tokens(&self) -> Option<TokenStore> {
        store::load(&self.tokens, TOKENS_HEAD)
    }

    /// Keeps what was counted, as far as files of the index still have these contents.
    pub(crate) fn save_tokens(&self, tokens: &TokenStore) {
        let _ = store::save(tokens, &self.tokens, TOKENS_HEAD);
    }
}

impl Index {
    /// Gives what was counted back to where it came from; tells whether there is something new to keep.
    pub(crate) fn keep_counts(&self, tokens: &mut TokenStore, counts: TokenCounts<'_>) -> bool {
        let changed = counts.changed;
        if changed {
            let contents: HashSet<u64> = self.files.iter().map(|file| file.content).collect();
            tokens.keep(counts, |content| contents.contains(&content));
        } else {
            tokens.keep(counts, |_| true);
        }
        changed
    }
}
