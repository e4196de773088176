//! Reading an edit call's content.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::create::split_path;

const SEARCH: &str = "<<<<<<< SEARCH";
const DIVIDER: &str = "=======";
const REPLACE: &str = ">>>>>>> REPLACE";

/// Divider lines that are tried; each costs a pass over the file.
const MAX_DIVIDERS: usize = 32;

/// An edit call's content, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRequest {
    /// The file to edit.
    pub path: String,
    /// The text between the outer markers.
    block: String,
    /// The `=======` lines in it that may divide it; at least one.
    dividers: Vec<Divider>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Divider {
    /// Where the line begins in the block, and where the one behind it does.
    start: usize,
    end: usize,
    /// Its number in the call's content.
    line: usize,
}

/// One way to divide a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split<'a> {
    /// The lines to find.
    pub search: &'a str,
    /// The lines to put there.
    pub replace: &'a str,
    /// The divider's line number in the call's content.
    pub divider_line: usize,
}

/// How an edit call's content departs from its form.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum EditSyntaxError {
    /// No path on the first line.
    #[error("the first line must be the path of the file to edit")]
    MissingPath,
    /// No opening marker.
    #[error("the line `<<<<<<< SEARCH` is missing")]
    MissingSearch,
    /// No `=======` line.
    #[error("the line `=======` between the search text and the replacement is missing")]
    MissingDivider,
    /// No closing marker.
    #[error("the line `>>>>>>> REPLACE` is missing")]
    MissingReplace,
    /// More than one block.
    #[error("a call holds exactly one block; this one has {searches} SEARCH and {replaces} REPLACE lines")]
    SeveralBlocks {
        /// How many lines are the opening marker.
        searches: usize,
        /// How many lines are the closing marker.
        replaces: usize,
    },
    /// Text that belongs to no part.
    #[error("line {line} stands outside of the block: only the path may precede it, and nothing follow")]
    TextOutside {
        /// Its number in the call's content.
        line: usize,
    },
    /// Nothing to search for.
    #[error("the search text is empty or blank")]
    EmptySearch,
    /// More `=======` lines than are tried.
    #[error("the block holds {count} `=======` lines; at most {MAX_DIVIDERS} are tried as the divider")]
    TooManyDividers {
        /// How many there are.
        count: usize,
    },
}

impl EditRequest {
    /// An edit of one search text and replacement, of whole lines each, divided beyond doubt.
    pub fn new(path: &str, search: &str, replace: &str) -> Result<EditRequest, EditSyntaxError> {
        if path.trim().is_empty() {
            return Err(EditSyntaxError::MissingPath);
        }
        if search.trim().is_empty() {
            return Err(EditSyntaxError::EmptySearch);
        }
        let newline = if search.ends_with('\n') { "" } else { "\n" };
        let start = search.len() + newline.len();
        let block = format!("{search}{newline}{DIVIDER}\n{replace}");
        let divider = Divider {
            start,
            end: start + DIVIDER.len() + 1,
            line: search.lines().count() + 3,
        };
        Ok(EditRequest {
            path: path.trim().to_owned(),
            block,
            dividers: vec![divider],
        })
    }

    /// Reads a call's content.
    pub fn parse(content: &str) -> Result<EditRequest, EditSyntaxError> {
        let (path, rest) = split_path(content).ok_or(EditSyntaxError::MissingPath)?;
        if [SEARCH, DIVIDER, REPLACE].contains(&path) {
            return Err(EditSyntaxError::MissingPath);
        }
        let lines_before = content.len() - rest.len();
        let first_number = content
            .get(..lines_before)
            .unwrap_or_default()
            .matches('\n')
            .count()
            + 1;
        Scan::of(rest, first_number).request(path, rest)
    }

    /// The ways to divide the block that leave something to search for; at least one.
    pub fn splits(&self) -> impl Iterator<Item = Split<'_>> {
        self.dividers.iter().map(|divider| Split {
            search: self.block.get(..divider.start).unwrap_or_default(),
            replace: self.block.get(divider.end..).unwrap_or_default(),
            divider_line: divider.line,
        })
    }
}

/// Where the markers stand in the text behind the path.
#[derive(Default)]
struct Scan {
    searches: Vec<Divider>,
    dividers: Vec<Divider>,
    replaces: Vec<Divider>,
    /// Lines that are neither a marker nor blank: where they begin, and their number.
    first_text: Option<(usize, usize)>,
    last_text: Option<(usize, usize)>,
}

impl Scan {
    fn of(text: &str, first_number: usize) -> Scan {
        let mut scan = Scan::default();
        let mut start = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let end = start + line.len();
            let mark = Divider {
                start,
                end,
                line: first_number + index,
            };
            if line.trim_end() == SEARCH {
                scan.searches.push(mark);
            } else if line.trim_end() == REPLACE {
                scan.replaces.push(mark);
            } else if line.trim_end_matches(['\r', '\n']) == DIVIDER {
                scan.dividers.push(mark);
            }
            let is_outer = [SEARCH, REPLACE].contains(&line.trim_end());
            if !is_outer && !line.trim().is_empty() {
                scan.first_text.get_or_insert((start, mark.line));
                scan.last_text = Some((start, mark.line));
            }
            start = end;
        }
        scan
    }

    fn request(self, path: &str, text: &str) -> Result<EditRequest, EditSyntaxError> {
        let (open, close) = match (self.searches.as_slice(), self.replaces.as_slice()) {
            ([], _) => return Err(EditSyntaxError::MissingSearch),
            ([_], []) => return Err(EditSyntaxError::MissingReplace),
            ([open], [close]) if open.end <= close.start => (*open, *close),
            ([open], [_]) => return Err(EditSyntaxError::TextOutside { line: open.line }),
            (searches, replaces) => {
                let (searches, replaces) = (searches.len(), replaces.len());
                return Err(EditSyntaxError::SeveralBlocks { searches, replaces });
            }
        };
        match (self.first_text, self.last_text) {
            (Some((start, line)), _) if start < open.start => {
                return Err(EditSyntaxError::TextOutside { line });
            }
            (_, Some((start, line))) if start > close.start => {
                return Err(EditSyntaxError::TextOutside { line });
            }
            _ => {}
        }
        if self.dividers.is_empty() {
            return Err(EditSyntaxError::MissingDivider);
        }
        let block = text.get(open.end..close.start).unwrap_or_default();
        let dividers: Vec<Divider> = self
            .dividers
            .into_iter()
            .map(|mark| Divider {
                start: mark.start - open.end,
                end: mark.end - open.end,
                line: mark.line,
            })
            .filter(|mark| {
                block
                    .get(..mark.start)
                    .is_some_and(|search| !search.trim().is_empty())
            })
            .collect();
        match dividers.len() {
            0 => Err(EditSyntaxError::EmptySearch),
            count if count > MAX_DIVIDERS => Err(EditSyntaxError::TooManyDividers { count }),
            _ => Ok(EditRequest {
                path: path.to_owned(),
                block: block.to_owned(),
                dividers,
            }),
        }
    }
}
