//! Texts that end a sample: found wherever tokens split them, and never shown in part.

/// Looks for stop strings in a text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct StopStrings {
    stops: Vec<String>,
    /// The end of the text so far that may be the beginning of a stop string.
    held: String,
}

/// What a piece of text leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// The text that is certain not to belong to a stop string.
    pub text: String,
    /// The stop string that was completed. What comes behind it is dropped.
    pub stopped: Option<String>,
}

impl StopStrings {
    /// Looks for these strings; empty ones are ignored.
    pub fn new(stops: &[String]) -> StopStrings {
        StopStrings {
            stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(),
            held: String::new(),
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) -> Scanned {
        self.held.push_str(piece);
        if let Some((start, stop)) = self.find() {
            let stopped = Some(stop.to_owned());
            self.held.truncate(start);
            return Scanned {
                text: std::mem::take(&mut self.held),
                stopped,
            };
        }
        let kept = self.held.split_off(self.certain());
        Scanned {
            text: std::mem::replace(&mut self.held, kept),
            stopped: None,
        }
    }

    /// What is held back at the end of the text.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The stop string that is completed first, and where it begins; of several that end there the longest.
    fn find(&self) -> Option<(usize, &str)> {
        let found = self
            .stops
            .iter()
            .filter_map(|stop| Some((self.held.find(stop)?, stop.as_str())));
        found.min_by_key(|(start, stop)| (start + stop.len(), *start))
    }

    /// How many bytes cannot belong to a stop string any more.
    fn certain(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = (self.held.len() + 1).saturating_sub(longest);
        let mut starts = self.held.char_indices().map(|(start, _)| start);
        starts
            .find(|start| {
                *start >= from
                    && self
                        .held
                        .get(*start..)
                        .is_some_and(|rest| self.stops.iter().any(|stop| stop.starts_with(rest)))
            })
            .unwrap_or(self.held.len())
    }
}

#[cfg(test)]
#[path = "stop_tests.rs"]
mod tests;
