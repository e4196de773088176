//! Names by numbers: each name is kept once, in one piece of memory.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

use super::bulk;

/// A name's number.
pub(crate) type NameId = u32;

/// Names in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Strings {
    text: String,
    /// Where each name ends.
    #[serde(with = "bulk")]
    ends: Vec<[u32; 1]>,
}

impl Strings {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name of a number; empty for a number that was never given.
    pub(crate) fn get(&self, id: NameId) -> &str {
        let id = id as usize;
        let Some(&[end]) = self.ends.get(id) else {
            return "";
        };
        let start = id
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .map_or(0, |[end]| *end);
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&[end]| {
            let name = self.text.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            name
        })
    }

    fn push(&mut self, name: &str) -> Option<NameId> {
        let end = u32::try_from(self.text.len() + name.len()).ok()?;
        let id = u32::try_from(self.ends.len()).ok()?;
        self.text.push_str(name);
        self.ends.push([end]);
        Some(id)
    }
}

/// Gives numbers to names: a table of open addressing over [`Strings`].
#[derive(Debug, Default)]
pub(crate) struct Interner {
    pub(crate) strings: Strings,
    /// A name's number plus one; 0 is free. A power of two of places.
    table: Vec<u32>,
    hasher: RandomState,
}

impl Interner {
    /// Goes on with names that were given numbers before.
    pub(crate) fn of(strings: Strings) -> Interner {
        let mut interner = Interner {
            strings,
            ..Interner::default()
        };
        interner.grow();
        interner
    }

    /// The name's number: its own, or a new one. None when there are too many.
    pub(crate) fn id(&mut self, name: &str) -> Option<NameId> {
        if (self.strings.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let place = self.place(name);
        let slot = self.table.get_mut(place)?;
        if *slot > 0 {
            return Some(*slot - 1);
        }
        let id = self.strings.push(name)?;
        *slot = id + 1;
        Some(id)
    }

    fn hash(&self, name: &str) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        usize::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// The name's place in the table, or the free one that it would take.
    fn place(&self, name: &str) -> usize {
        let mask = self.table.len().wrapping_sub(1);
        let mut place = self.hash(name) & mask;
        while let Some(&slot) = self.table.get(place)
            && slot > 0
            && self.strings.get(slot - 1) != name
        {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        let places = ((self.strings.len() + 1) * 4).next_power_of_two().max(64);
        self.table = vec![0; places];
        for id in 0..self.strings.len() {
            let id = u32::try_from(id).unwrap_or(0);
            let place = self.place(self.strings.get(id));
            if let Some(slot) = self.table.get_mut(place) {
                *slot = id + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_one_number() {
        let mut names = Interner::default();
        let ids: Vec<u32> = (0..1000)
            .map(|number| names.id(&format!("name{}", number % 300)).unwrap())
            .collect();
        assert_eq!(names.strings.len(), 300);
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(names.strings.get(*id), format!("name{}", number % 300));
        }
        let mut again = Interner::of(names.strings);
        assert_eq!(again.id("name7"), Some(7));
        assert_eq!(again.id("other"), Some(300));
        assert_eq!(again.strings.iter().last(), Some("other"));
    }
}
