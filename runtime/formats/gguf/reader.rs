//! Reads the bytes of a GGUF file one after another, never behind their end. Source: the GGUF specification in ggml's documents.

use std::path::Path;

use crate::formats::error::{FormatError, shown};

/// Arrays within arrays within arrays; no key in use has more than one level.
const DEEPEST_ARRAY: usize = 4;

/// A place in a file. All that it hands out are parts of the file: nothing is allocated by numbers that the file claims.
pub(super) struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    position: usize,
}

/// A value of the metadata, where it lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    String(&'a str),
    Array(Array<'a>),
}

/// An array of the metadata: its elements have been walked over once and lie within the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array<'a> {
    pub(super) kind: Kind,
    pub(super) length: usize,
    bytes: &'a [u8],
}

/// The types of metadata values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    fn of(number: u32) -> Option<Kind> {
        const KINDS: [Kind; 13] = [
            Kind::U8,
            Kind::I8,
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::F32,
            Kind::Bool,
            Kind::String,
            Kind::Array,
            Kind::U64,
            Kind::I64,
            Kind::F64,
        ];
        KINDS.get(usize::try_from(number).ok()?).copied()
    }

    /// The size of types that have one.
    fn bytes(self) -> Option<usize> {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => Some(1),
            Kind::U16 | Kind::I16 => Some(2),
            Kind::U32 | Kind::I32 | Kind::F32 => Some(4),
            Kind::U64 | Kind::I64 | Kind::F64 => Some(8),
            Kind::String | Kind::Array => None,
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            path,
            bytes,
            position: 0,
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    fn damaged(&self, reason: impl Into<String>) -> FormatError {
        FormatError::damaged(self.path, reason)
    }

    /// The next bytes.
    pub(super) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], FormatError> {
        let taken = usize::try_from(count)
            .ok()
            .and_then(|count| self.position.checked_add(count))
            .and_then(|end| Some((end, self.bytes.get(self.position..end)?)));
        let Some((end, bytes)) = taken else {
            return Err(self.damaged(format!(
                "it ends within {what}: {count} bytes are needed at byte {} and {} are left",
                self.position,
                self.left()
            )));
        };
        self.position = end;
        Ok(bytes)
    }

    fn number<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FormatError> {
        let bytes = self.take(N as u64, what)?;
        Ok(bytes.first_chunk().copied().unwrap_or([0; N]))
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, FormatError> {
        self.number(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, FormatError> {
        self.number(what).map(u64::from_le_bytes)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<&'a str, FormatError> {
        let length = self.u64(what)?;
        let bytes = self.take(length, what)?;
        std::str::from_utf8(bytes).map_err(|_| {
            self.damaged(format!(
                "{what} is not UTF-8: {}",
                shown(&String::from_utf8_lossy(
                    bytes.get(..bytes.len().min(200)).unwrap_or_default()
                ))
            ))
        })
    }

    fn kind(&mut self, what: &str) -> Result<Kind, FormatError> {
        let number = self.u32(what)?;
        Kind::of(number).ok_or_else(|| self.damaged(format!("{what} has the unknown value type {number}")))
    }

    /// A value with its type before it.
    pub(super) fn value(&mut self, what: &str) -> Result<Value<'a>, FormatError> {
        let kind = self.kind(what)?;
        self.value_of(kind, what, 0)
    }

    fn value_of(&mut self, kind: Kind, what: &str, depth: usize) -> Result<Value<'a>, FormatError> {
        Ok(match kind {
            Kind::U8 => Value::Unsigned(u8::from_le_bytes(self.number(what)?).into()),
            Kind::I8 => Value::Signed(i8::from_le_bytes(self.number(what)?).into()),
            Kind::U16 => Value::Unsigned(u16::from_le_bytes(self.number(what)?).into()),
            Kind::I16 => Value::Signed(i16::from_le_bytes(self.number(what)?).into()),
            Kind::U32 => Value::Unsigned(u32::from_le_bytes(self.number(what)?).into()),
            Kind::I32 => Value::Signed(i32::from_le_bytes(self.number(what)?).into()),
            Kind::U64 => Value::Unsigned(u64::from_le_bytes(self.number(what)?)),
            Kind::I64 => Value::Signed(i64::from_le_bytes(self.number(what)?)),
            Kind::F32 => Value::Float(f32::from_le_bytes(self.number(what)?).into()),
            Kind::F64 => Value::Float(f64::from_le_bytes(self.number(what)?)),
            Kind::Bool => match u8::from_le_bytes(self.number(what)?) {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(self.damaged(format!("{what} is a truth value of {other}"))),
            },
            Kind::String => Value::String(self.string(what)?),
            Kind::Array => Value::Array(self.array(what, depth)?),
        })
    }

    fn array(&mut self, what: &str, depth: usize) -> Result<Array<'a>, FormatError> {
        if depth == DEEPEST_ARRAY {
            return Err(self.damaged(format!("{what} nests arrays deeper than {DEEPEST_ARRAY}")));
        }
        let kind = self.kind(what)?;
        let count = self.u64(what)?;
        let start = self.position;
        match kind.bytes() {
            Some(size) => {
                // A product that overflows is longer than any file.
                self.take(count.saturating_mul(size as u64), what)?;
            }
            // Each turn takes at least the eight bytes of a length, so a false count runs out of file.
            None => {
                for _ in 0..count {
                    self.value_of(kind, what, depth + 1)?;
                }
            }
        }
        let bytes = self.bytes.get(start..self.position).unwrap_or_default();
        // Elements of no bytes do not exist, so the count fits.
        let length = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Array { kind, length, bytes })
    }
}

impl<'a> Array<'a> {
    /// Its elements.
    pub(super) fn values(self, path: &'a Path) -> impl Iterator<Item = Result<Value<'a>, FormatError>> {
        let mut reader = Reader::new(path, self.bytes);
        (0..self.length).map(move |_| reader.value_of(self.kind, "an array", 1))
    }
}
