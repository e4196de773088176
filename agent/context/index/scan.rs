//! Reads one file into a record: its words, what it defines and what it imports.

use std::collections::HashMap;

use super::record::{DefinitionRecord, FileRecord, ImportRecord, WordCount};
use super::strings::{Interner, NameId};
use super::words::identifiers;
use crate::context::syntax::Outline;

/// Of a file no more different words than these are kept.
const MOST_WORDS: usize = 20_000;

/// What a thread found in a file, by the numbers of its own names.
pub(super) struct Scanned {
    words: Vec<WordCount>,
    definitions: Vec<DefinitionRecord>,
    imports: Vec<ImportRecord>,
}

/// Reads a text. Names get their numbers from `names`.
pub(super) fn scan(text: &str, outline: &Outline, names: &mut Interner) -> Scanned {
    let definitions = outline
        .definitions
        .iter()
        .filter_map(|one| {
            let container = one.full_name.strip_suffix(&one.name).unwrap_or_default();
            let line = |line: usize| u32::try_from(line).ok();
            Some(DefinitionRecord {
                name: names.id(&one.name)?,
                container: names.id(container.trim_end_matches('.'))?,
                kind: one.kind,
                start: line(one.start)?,
                body: line(one.body)?,
                end: line(one.end)?,
            })
        })
        .collect();
    let imports = outline
        .imports
        .iter()
        .filter_map(|import| {
            let taken = import.names.iter().filter_map(|name| names.id(name));
            let taken: Vec<NameId> = taken.collect();
            Some(ImportRecord {
                module: names.id(&import.module)?,
                names: taken,
            })
        })
        .collect();
    Scanned {
        words: words(text, outline, names),
        definitions,
        imports,
    }
}

fn words(text: &str, outline: &Outline, names: &mut Interner) -> Vec<WordCount> {
    let mut counts: HashMap<&str, (u32, u32)> = HashMap::new();
    let mut prose = outline.prose.iter().peekable();
    identifiers(text, |place, word| {
        while prose.next_if(|range| range.end <= place.start).is_some() {}
        let is_prose = prose.peek().is_some_and(|range| range.start <= place.start);
        if counts.len() >= MOST_WORDS && !counts.contains_key(word) {
            return;
        }
        let (code, other) = counts.entry(word).or_default();
        if is_prose {
            *other += 1;
        } else {
            *code += 1;
        }
    });
    let counted = counts.into_iter().filter_map(|(word, (code, prose))| {
        Some(WordCount {
            word: names.id(word)?,
            code,
            prose,
        })
    });
    counted.collect()
}

impl Scanned {
    /// The record, with the names' numbers in the whole index instead of the thread's own.
    pub(super) fn record(mut self, numbers: &[NameId]) -> FileRecord {
        let renumber = |id: &mut NameId| {
            *id = numbers.get(*id as usize).copied().unwrap_or(*id);
        };
        for count in &mut self.words {
            renumber(&mut count.word);
        }
        for one in &mut self.definitions {
            renumber(&mut one.name);
            renumber(&mut one.container);
        }
        for one in &mut self.imports {
            renumber(&mut one.module);
            one.names.iter_mut().for_each(renumber);
        }
        FileRecord::new(self.words, &self.definitions, &self.imports)
    }
}
