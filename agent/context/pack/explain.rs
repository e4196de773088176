//! What speaks for a file and its parts, for people and for those who fit the weights.

use serde::Serialize;

use super::Ranking;
use crate::context::rank::{Passage, RankedFile};

/// Files that are told of when all are asked for.
const MOST_FILES: usize = 200;

/// What speaks for a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The file, relative to the tree's root.
    pub path: String,
    /// Its place among all files, from 1.
    pub rank: usize,
    /// How likely it is that it has to be changed.
    pub likelihood: f64,
    /// What each signal adds to the log-odds, the strongest first.
    pub reasons: Vec<Reason>,
    /// Its parts, the likeliest first; none for files that are unlikely.
    pub parts: Vec<PartExplanation>,
}

/// What speaks for a part of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartExplanation {
    /// Its name, with those it stands in; empty for what has none.
    pub name: String,
    /// Its first line, from 1.
    pub first: usize,
    /// Its last line.
    pub last: usize,
    /// How likely it is that it has to be changed.
    pub likelihood: f64,
    /// What each signal adds to the log-odds, the strongest first.
    pub reasons: Vec<Reason>,
}

/// A signal, and what it adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// What it is.
    pub signal: &'static str,
    /// Its value, from about 0 to 1.
    pub value: f64,
    /// What it adds to the log-odds.
    pub weight: f64,
}

impl Ranking {
    /// What speaks for a file; none when it is not among those that were ranked.
    pub fn explain(&self, path: &str) -> Option<Explanation> {
        let files = self.order.files.iter().enumerate();
        let found = files.clone().find(|(_, file)| file.path == path);
        found.map(|(place, file)| explanation(place, file))
    }

    /// What speaks for each of the likeliest files.
    pub fn explanations(&self) -> Vec<Explanation> {
        let files = self.order.files.iter().enumerate().take(MOST_FILES);
        files.map(|(place, file)| explanation(place, file)).collect()
    }
}

fn explanation(place: usize, file: &RankedFile) -> Explanation {
    let passages = file.content.iter().flat_map(|content| &content.passages);
    let mut parts: Vec<PartExplanation> = passages.map(part).collect();
    parts.sort_by(|one, other| {
        other
            .likelihood
            .total_cmp(&one.likelihood)
            .then(one.first.cmp(&other.first))
    });
    Explanation {
        path: file.path.clone(),
        rank: place + 1,
        likelihood: file.likelihood,
        reasons: reasons(file.reasons()),
        parts,
    }
}

fn part(passage: &Passage) -> PartExplanation {
    let name = [passage.container.as_str(), passage.name.as_str()];
    let name: Vec<&str> = name.into_iter().filter(|name| !name.is_empty()).collect();
    PartExplanation {
        name: name.join("."),
        first: passage.start + 1,
        last: passage.end,
        likelihood: passage.likelihood,
        reasons: reasons(passage.reasons()),
    }
}

fn reasons(all: Vec<(&'static str, f64, f64)>) -> Vec<Reason> {
    let reason = |(signal, value, weight)| Reason {
        signal,
        value,
        weight,
    };
    all.into_iter().map(reason).collect()
}
