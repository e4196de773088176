//! A live area: some lines on a terminal that are drawn again and again in place, as bytes for the terminal.

use std::io;

use crate::cli::Style;
use crate::cli::text::{cut, plain, width};

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Characters in a row.
    pub(crate) columns: usize,
    /// Rows.
    pub(crate) rows: usize,
}

impl Screen {
    /// What is taken for one that does not say how large it is.
    pub(crate) const USUAL: Screen = Screen {
        columns: 80,
        rows: 24,
    };

    /// That of the terminal behind stderr.
    pub(crate) fn of_stderr() -> Screen {
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        size.map_or(Screen::USUAL, |size| Screen {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        })
    }
}

/// One line of a live area: texts in their styles.
pub(crate) type LiveLine = Vec<(Option<Style>, String)>;

/// What draws the area, from its beginning and back to it, over whatever stood there.
///
/// The cursor rests at the area's beginning: there it stays, before the same text, when a terminal is made narrower and breaks its lines
/// anew, so that the next drawing covers this one.
pub(crate) fn drawing(lines: &[LiveLine], screen: Screen, paint: impl Fn(Style, &str) -> String) -> String {
    // A row stays free, so that the area never scrolls its own beginning away; and the last column, because terminals differ in what they
    // do behind it.
    let most_lines = screen.rows.saturating_sub(1).max(1);
    let most_columns = screen.columns.saturating_sub(1);
    let mut text = String::from("\r");
    let mut rows = 0;
    for line in lines.iter().take(most_lines) {
        if rows > 0 {
            text.push_str("\r\n");
        }
        rows += 1;
        text.push_str(&rendered(line, most_columns, &paint));
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    if rows > 1 {
        text.push_str(&format!("\x1b[{}A", rows - 1));
    }
    text.push('\r');
    text
}

/// A line with its colours, cut to so many columns.
fn rendered(line: &LiveLine, columns: usize, paint: &impl Fn(Style, &str) -> String) -> String {
    let mut text = String::new();
    let mut left = columns;
    for (style, piece) in line {
        let piece = cut(&plain(piece), left);
        left -= width(&piece).min(left);
        match style {
            Some(style) if !piece.is_empty() => text.push_str(&paint(*style, &piece)),
            _ => text.push_str(&piece),
        }
    }
    text
}
