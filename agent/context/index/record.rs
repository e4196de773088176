//! What is known of one file, packed into few bytes: numbers in variable length, names by their numbers.

use serde::{Deserialize, Serialize};

use super::strings::NameId;
use crate::context::definitions::Kind;

/// A definition, by the numbers of its names. Lines from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DefinitionRecord {
    pub(crate) name: NameId,
    /// The names of what it stands in, joined by dots; the empty name at the top.
    pub(crate) container: NameId,
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) body: u32,
    pub(crate) end: u32,
}

/// How often a word stands in a file, as code and in comments and strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordCount {
    pub(crate) word: NameId,
    pub(crate) code: u32,
    pub(crate) prose: u32,
}

/// What a file names as imported: a module as it is written, and the names that are taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImportRecord {
    pub(crate) module: NameId,
    pub(crate) names: Vec<NameId>,
}

/// What is known of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    #[serde(with = "serde_bytes")]
    words: Vec<u8>,
    #[serde(with = "serde_bytes")]
    definitions: Vec<u8>,
    #[serde(with = "serde_bytes")]
    imports: Vec<u8>,
    /// All words together.
    pub(crate) length: u32,
}

impl FileRecord {
    /// Packs what a reader found. Words are sorted by their numbers.
    pub(crate) fn new(
        mut words: Vec<WordCount>,
        definitions: &[DefinitionRecord],
        imports: &[ImportRecord],
    ) -> FileRecord {
        words.sort_unstable_by_key(|count| count.word);
        let mut record = FileRecord::default();
        let mut before = 0;
        for count in &words {
            record.length = record.length.saturating_add(count.code + count.prose);
            put(&mut record.words, count.word - before);
            put(
                &mut record.words,
                (count.code.min(u32::MAX >> 1) << 1) | u32::from(count.prose > 0),
            );
            if count.prose > 0 {
                put(&mut record.words, count.prose);
            }
            before = count.word;
        }
        for one in definitions {
            let kind = match one.kind {
                Kind::Function => 0,
                Kind::Class => 1,
                Kind::Constant => 2,
                Kind::Declared => 3,
            };
            let numbers = [
                one.name,
                one.container,
                kind,
                one.start,
                one.body.max(one.start) - one.start,
                one.end.max(one.start) - one.start,
            ];
            for number in numbers {
                put(&mut record.definitions, number);
            }
        }
        for one in imports {
            put(&mut record.imports, one.module);
            put(
                &mut record.imports,
                u32::try_from(one.names.len()).unwrap_or(u32::MAX),
            );
            for name in &one.names {
                put(&mut record.imports, *name);
            }
        }
        record
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = WordCount> + '_ {
        let mut numbers = Numbers(&self.words);
        let mut word = 0;
        std::iter::from_fn(move || {
            word = u32::wrapping_add(word, numbers.take()?);
            let code = numbers.take()?;
            let prose = if code & 1 == 1 { numbers.take()? } else { 0 };
            Some(WordCount {
                word,
                code: code >> 1,
                prose,
            })
        })
    }

    pub(crate) fn definitions(&self) -> impl Iterator<Item = DefinitionRecord> + '_ {
        let mut numbers = Numbers(&self.definitions);
        std::iter::from_fn(move || {
            let (name, container) = (numbers.take()?, numbers.take()?);
            let kind = match numbers.take()? {
                0 => Kind::Function,
                1 => Kind::Class,
                2 => Kind::Constant,
                _ => Kind::Declared,
            };
            let start = numbers.take()?;
            let mut behind = || numbers.take().map(|lines| start.saturating_add(lines));
            Some(DefinitionRecord {
                name,
                container,
                kind,
                start,
                body: behind()?,
                end: behind()?,
            })
        })
    }

    pub(crate) fn imports(&self) -> impl Iterator<Item = ImportRecord> + '_ {
        let mut numbers = Numbers(&self.imports);
        std::iter::from_fn(move || {
            let module = numbers.take()?;
            let count = numbers.take()?;
            let names = (0..count).map_while(|_| numbers.take()).collect();
            Some(ImportRecord { module, names })
        })
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads what [`put`] wrote.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn take(&mut self) -> Option<u32> {
        let mut number = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back_as_they_were(
            words in proptest::collection::btree_map(any::<u32>(), (0..1_u32 << 30, 0..9_u32), 0..50),
            definitions in proptest::collection::vec((any::<u32>(), any::<u32>(), 0..4_u8, 0..1000_u32, 0..9_u32, 0..900_u32), 0..20),
            imports in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u32>(), 0..5)), 0..9),
        ) {
            let words: Vec<WordCount> = words.into_iter().map(|(word, (code, prose))| WordCount { word, code, prose }).collect();
            let definitions: Vec<DefinitionRecord> = definitions.into_iter().map(|(name, container, kind, start, body, end)| DefinitionRecord {
                name,
                container,
                kind: [Kind::Function, Kind::Class, Kind::Constant, Kind::Declared][usize::from(kind)],
                start,
                body: start + body,
                end: start + end,
            }).collect();
            let imports: Vec<ImportRecord> = imports.into_iter().map(|(module, names)| ImportRecord { module, names }).collect();
            let record = FileRecord::new(words.clone(), &definitions, &imports);
            prop_assert_eq!(record.words().collect::<Vec<_>>(), words);
            prop_assert_eq!(record.definitions().collect::<Vec<_>>(), definitions);
            prop_assert_eq!(record.imports().collect::<Vec<_>>(), imports);
        }

        #[test]
        fn damaged_records_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let record = FileRecord { words: bytes.clone(), definitions: bytes.clone(), imports: bytes, length: 0 };
            // Sums of differences may run over: what is read is a name that there is not.
            prop_assert!(record.definitions().count() + record.imports().count() < 200);
        }
    }
}
