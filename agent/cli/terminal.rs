//! A small terminal for tests: takes the bytes that a program writes, and shows what stands on its screen.
//!
//! It knows what the printer may send and refuses everything else, so that no text of strangers gets through to a real one.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::cli::live::Screen;
use crate::cli::text::character_width;

/// A row of cells; a wide character fills its second cell with NUL.
#[derive(Debug, Clone, Default)]
struct Row {
    cells: Vec<char>,
    /// Whether it goes on in the next row, because the text was too long for one.
    wrapped: bool,
}

/// The terminal, shared with who writes to it.
#[derive(Debug, Clone)]
pub(super) struct Terminal(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    size: Screen,
    /// All rows, those that scrolled away first.
    rows: Vec<Row>,
    row: usize,
    column: usize,
    pending: Vec<u8>,
}

impl Terminal {
    pub(super) fn new(columns: usize, rows: usize) -> Terminal {
        Terminal(Rc::new(RefCell::new(State {
            size: Screen { columns, rows },
            rows: vec![Row::default()],
            row: 0,
            column: 0,
            pending: Vec::new(),
        })))
    }

    pub(super) fn size(&self) -> Screen {
        self.0.borrow().size
    }

    /// Everything that can be read, what scrolled away too.
    pub(super) fn text(&self) -> String {
        let state = self.0.borrow();
        let shown = |row: &Row| -> String {
            let cells: String = row.cells.iter().filter(|cell| **cell != '\0').collect();
            cells.trim_end().to_owned()
        };
        let lines: Vec<String> = state.rows.iter().map(shown).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// The widest row, in cells.
    pub(super) fn widest(&self) -> usize {
        let state = self.0.borrow();
        state
            .rows
            .iter()
            .map(|row| row.cells.len())
            .max()
            .unwrap_or_default()
    }

    /// Makes it as wide as this, and breaks long lines anew as terminals do; the cursor stays at its character.
    pub(super) fn resize(&self, columns: usize) {
        let mut state = self.0.borrow_mut();
        let mut rows: Vec<Row> = Vec::new();
        let mut cursor = (0, 0);
        let mut line: Vec<char> = Vec::new();
        let mut cursor_in_line = None;
        for (index, row) in state.rows.iter().enumerate() {
            if index == state.row {
                cursor_in_line = Some(line.len() + state.column);
            }
            line.extend(&row.cells);
            if row.wrapped {
                continue;
            }
            if let Some(offset) = cursor_in_line.take() {
                cursor = (rows.len() + offset / columns, offset % columns);
            }
            let pieces: Vec<Vec<char>> = line.chunks(columns).map(<[char]>::to_vec).collect();
            let count = pieces.len().max(1);
            for piece in 0..count {
                rows.push(Row {
                    cells: pieces.get(piece).cloned().unwrap_or_default(),
                    wrapped: piece + 1 < count,
                });
            }
            line.clear();
        }
        state.rows = rows;
        (state.row, state.column) = cursor;
        state.size.columns = columns;
    }
}

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        state.pending.extend(bytes);
        let text = String::from_utf8(std::mem::take(&mut state.pending)).unwrap();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\x1b' => state.sequence(&mut characters),
                // The terminal driver puts a carriage return before a line end.
                '\n' => state.line_end(),
                '\r' => state.column = 0,
                _ => state.put(character),
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    /// The first row on the screen.
    fn top(&self) -> usize {
        self.rows.len().saturating_sub(self.size.rows)
    }

    fn line_end(&mut self) {
        self.column = 0;
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Row::default());
        }
    }

    fn put(&mut self, character: char) {
        assert!(
            !character.is_control(),
            "{character:?} would have reached the terminal"
        );
        let wide = character_width(character);
        if wide == 0 {
            return;
        }
        if self.column + wide > self.size.columns {
            self.rows[self.row].wrapped = true;
            self.line_end();
        }
        let (row, column) = (self.row, self.column);
        let cells = &mut self.rows[row].cells;
        cells.resize(cells.len().max(column + wide), ' ');
        cells[column] = character;
        if wide == 2 {
            cells[column + 1] = '\0';
        }
        self.column += wide;
    }

    fn sequence(&mut self, characters: &mut std::str::Chars<'_>) {
        assert_eq!(characters.next(), Some('['), "only these sequences are known");
        let mut number = String::new();
        let last = loop {
            match characters.next().unwrap() {
                digit @ ('0'..='9' | ';') => number.push(digit),
                last => break last,
            }
        };
        let (row, column) = (self.row, self.column);
        match (last, number.as_str()) {
            ('m', _) => {}
            ('A', count) => {
                let count: usize = count.parse().unwrap();
                assert!(row - self.top() >= count, "the cursor would leave the screen");
                self.row -= count;
            }
            ('K', "") => {
                self.rows[row].cells.truncate(column);
                self.rows[row].wrapped = false;
            }
            ('J', "") => {
                self.rows[row].cells.truncate(column);
                self.rows[row].wrapped = false;
                for below in &mut self.rows[row + 1..] {
                    *below = Row::default();
                }
            }
            other => panic!("{other:?} is not known"),
        }
    }
}
