//! What stands before a file's hunks.

use super::super::manifest::FileMode;
use super::super::quote;
use super::super::types::{Body, Change, FilePatch};
use super::{ParseError, Reader, bare, names, shown};

/// A file's header, read.
pub(super) struct Header {
    /// The file, still without a body.
    pub(super) file: FilePatch,
    /// Whether the patch's lines got carriage returns on their way here.
    pub(super) carriage_returns: bool,
    /// Whether `---` and `+++` lines were there.
    pub(super) has_side_lines: bool,
}

/// What git's extended header lines said.
#[derive(Default)]
struct Said {
    added: bool,
    deleted: bool,
    copied: bool,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    similarity: u8,
    old_mode: Option<FileMode>,
    new_mode: Option<FileMode>,
    ids: Option<(String, String)>,
}

/// A header that begins with `diff --git`.
pub(super) fn git(reader: &mut Reader<'_>) -> Result<Header, ParseError> {
    let number = reader.number();
    let line = reader.peek().unwrap_or_default();
    let carriage_returns = line.ends_with(b"\r\n");
    let pair = names::git_pair(line.strip_prefix(b"diff --git ").unwrap_or_default());
    reader.at += 1;
    let mut said = Said::default();
    while let Some(line) = reader.peek() {
        if !extended(&mut said, bare(line), reader.number())? {
            break;
        }
        reader.at += 1;
    }
    let sides = if at_side_lines(reader) {
        Some(side_lines(reader)?)
    } else {
        None
    };
    let unknown = || ParseError::Name {
        line: number,
        text: shown(bare(line)),
    };
    if let (Some((None, _)), false) = (&sides, said.deleted) {
        said.added = true;
    }
    if let Some((_, None)) = &sides {
        said.deleted = true;
    }
    if said.added && said.deleted {
        return Err(ParseError::Header {
            line: number,
            what: "a file cannot be both new and deleted",
        });
    }
    let (old_path, new_path) = match (said.from.take(), said.to.take()) {
        (Some(from), Some(to)) => (from, to),
        _ => {
            let (old, new) = match (&pair, &sides) {
                (Some((old, new)), _) => (Some(old.as_slice()), Some(new.as_slice())),
                (None, Some((old, new))) => (old.as_deref(), new.as_deref()),
                (None, None) => return Err(unknown()),
            };
            let named = names::common(old, new);
            // When the first line leaves room for doubt, the side lines decide.
            let sided = sides
                .as_ref()
                .and_then(|(old, new)| names::common(old.as_deref(), new.as_deref()));
            let path = named.or(sided).ok_or_else(unknown)?.to_vec();
            (path.clone(), path)
        }
    };
    let renamed = old_path != new_path;
    let similarity = said.similarity;
    let change = match () {
        () if said.added => Change::Added,
        () if said.deleted => Change::Deleted,
        () if said.copied => Change::Copied { similarity },
        () if renamed => Change::Renamed { similarity },
        () => Change::Modified,
    };
    let (old_id, new_id) = said.ids.unzip();
    let file = FilePatch {
        change,
        old_path: (!said.added).then_some(old_path),
        new_path: (!said.deleted).then_some(new_path),
        old_mode: said.old_mode.filter(|_| !said.added),
        new_mode: said.new_mode.filter(|_| !said.deleted),
        old_id,
        new_id,
        body: Body::None,
    };
    Ok(Header {
        file,
        carriage_returns,
        has_side_lines: sides.is_some(),
    })
}

/// A header of `---` and `+++` lines alone.
pub(super) fn plain(reader: &mut Reader<'_>) -> Result<Header, ParseError> {
    let number = reader.number();
    let line = reader.peek().unwrap_or_default();
    let (old, new) = side_lines(reader)?;
    let Some(path) = names::common(old.as_deref(), new.as_deref()) else {
        return Err(ParseError::Name {
            line: number,
            text: shown(bare(line)),
        });
    };
    let change = match (&old, &new) {
        (None, _) => Change::Added,
        (_, None) => Change::Deleted,
        _ => Change::Modified,
    };
    let file = FilePatch {
        change,
        old_path: (change != Change::Added).then(|| path.to_vec()),
        new_path: (change != Change::Deleted).then(|| path.to_vec()),
        old_mode: None,
        new_mode: None,
        old_id: None,
        new_id: None,
        body: Body::None,
    };
    Ok(Header {
        file,
        carriage_returns: line.ends_with(b"\r\n"),
        has_side_lines: true,
    })
}

/// Inside a git header, `---` and `+++` lines count whatever follows them.
fn at_side_lines(reader: &Reader<'_>) -> bool {
    let starts = |ahead: usize, start: &[u8]| reader.ahead(ahead).is_some_and(|line| line.starts_with(start));
    starts(0, b"--- ") && starts(1, b"+++ ")
}

/// The names of both sides.
fn side_lines(reader: &mut Reader<'_>) -> Result<(names::Side, names::Side), ParseError> {
    let mut next = |marker: &[u8]| {
        let line = reader.peek().unwrap_or_default();
        let unknown = ParseError::Name {
            line: reader.number(),
            text: shown(bare(line)),
        };
        reader.at += 1;
        line.strip_prefix(marker).and_then(names::side).ok_or(unknown)
    };
    Ok((next(b"--- ")?, next(b"+++ ")?))
}

/// Reads one extended header line; `false` when it is none.
fn extended(said: &mut Said, line: &[u8], number: usize) -> Result<bool, ParseError> {
    let mode = |text: &[u8]| {
        let what = "a file mode must be one of 100644, 100755, 120000 and 160000";
        let bits = std::str::from_utf8(text)
            .ok()
            .and_then(|text| u32::from_str_radix(text.trim(), 8).ok());
        bits.and_then(FileMode::from_bits)
            .ok_or(ParseError::Header { line: number, what })
    };
    let name = |text: &[u8]| {
        let name = if text.starts_with(b"\"") {
            quote::read(text).map(|(name, _)| name)
        } else {
            Some(text.to_vec())
        };
        name.filter(|name| !name.is_empty())
            .ok_or_else(|| ParseError::Name {
                line: number,
                text: shown(text),
            })
    };
    if let Some(text) = line.strip_prefix(b"new file mode ") {
        (said.added, said.new_mode) = (true, Some(mode(text)?));
    } else if let Some(text) = line.strip_prefix(b"deleted file mode ") {
        (said.deleted, said.old_mode) = (true, Some(mode(text)?));
    } else if let Some(text) = line.strip_prefix(b"old mode ") {
        said.old_mode = Some(mode(text)?);
    } else if let Some(text) = line.strip_prefix(b"new mode ") {
        said.new_mode = Some(mode(text)?);
    } else if let Some(text) = line.strip_prefix(b"rename from ") {
        said.from = Some(name(text)?);
    } else if let Some(text) = line.strip_prefix(b"rename to ") {
        said.to = Some(name(text)?);
    } else if let Some(text) = line.strip_prefix(b"copy from ") {
        (said.copied, said.from) = (true, Some(name(text)?));
    } else if let Some(text) = line.strip_prefix(b"copy to ") {
        (said.copied, said.to) = (true, Some(name(text)?));
    } else if let Some(text) = line.strip_prefix(b"similarity index ") {
        let percent = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.trim_end_matches('%').parse::<u8>().ok());
        said.similarity = percent.unwrap_or(0).min(100);
    } else if let Some(text) = line.strip_prefix(b"index ") {
        index(said, text);
    } else {
        return Ok(line.starts_with(b"dissimilarity index "));
    }
    Ok(true)
}

/// `aaaa..bbbb` and perhaps a mode. Odd ones are passed over: a patch can do without.
fn index(said: &mut Said, text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut parts = text.split_whitespace();
    let Some((old, new)) = parts.next().and_then(|ids| ids.split_once("..")) else {
        return;
    };
    let is_id = |id: &str| (4..=40).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id(old) && is_id(new) {
        said.ids = Some((old.to_ascii_lowercase(), new.to_ascii_lowercase()));
    }
    let bits = parts.next().and_then(|mode| u32::from_str_radix(mode, 8).ok());
    if let Some(mode) = bits.and_then(FileMode::from_bits) {
        said.old_mode = said.old_mode.or(Some(mode));
        said.new_mode = said.new_mode.or(Some(mode));
    }
}
