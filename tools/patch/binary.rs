//! The contents of a `GIT binary patch`: zlib streams in git's base 85, and git's deltas.

use std::io::{Read, Write};

use super::types::{BinaryHunk, BinaryKind};

/// Git's alphabet for base 85.
const ALPHABET: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Bytes that stand in one line of base 85.
const BYTES_A_LINE: usize = 52;

/// The largest content that a binary patch may unpack to.
const MOST_BYTES: u64 = 512 << 20;

/// Why a binary patch cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// The zlib stream is damaged or not as long as said.
    #[error("its compressed data is damaged or not of the stated size")]
    Deflated,
    /// Larger than is taken.
    #[error("it unpacks to {0} bytes, more than the {MOST_BYTES} that are taken")]
    TooLarge(u64),
    /// The delta's instructions do not fit the old content.
    #[error("its delta does not fit the file's present content")]
    Delta,
}

/// A literal hunk of the given content.
pub(super) fn literal(content: &[u8]) -> BinaryHunk {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // Writing into memory cannot fail.
    let deflated = encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    BinaryHunk {
        kind: BinaryKind::Literal,
        size: content.len() as u64,
        deflated,
    }
}

/// Writes a hunk with the blank line that ends it.
pub(super) fn write(out: &mut Vec<u8>, hunk: &BinaryHunk) {
    let kind = match hunk.kind {
        BinaryKind::Literal => "literal",
        BinaryKind::Delta => "delta",
    };
    out.extend_from_slice(format!("{kind} {}\n", hunk.size).as_bytes());
    for line in hunk.deflated.chunks(BYTES_A_LINE) {
        let length = line.len() as u8;
        out.push(if length <= 26 {
            b'A' + length - 1
        } else {
            b'a' + length - 27
        });
        for group in line.chunks(4) {
            let mut word = [0; 4];
            word.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
            let mut value = u32::from_be_bytes(word);
            let mut digits = [0; 5];
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET.get((value % 85) as usize).copied().unwrap_or_default();
                value /= 85;
            }
            out.extend_from_slice(&digits);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// Decodes one line (without its newline) onto `out`; `None` when it is no line of base 85.
pub(super) fn read_line(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&first, digits) = line.split_first()?;
    let length = match first {
        b'A'..=b'Z' => usize::from(first - b'A') + 1,
        b'a'..=b'z' => usize::from(first - b'a') + 27,
        _ => return None,
    };
    if digits.len() != length.div_ceil(4) * 5 {
        return None;
    }
    let end = out.len() + length;
    for group in digits.chunks_exact(5) {
        let mut value = 0u32;
        for digit in group {
            let digit = ALPHABET.iter().position(|known| known == digit)?;
            value = value.checked_mul(85)?.checked_add(digit as u32)?;
        }
        out.extend_from_slice(&value.to_be_bytes());
    }
    out.truncate(end);
    Some(())
}

/// The content that a hunk makes of `old`.
pub(super) fn unpack(hunk: &BinaryHunk, old: &[u8]) -> Result<Vec<u8>, BinaryError> {
    if hunk.size > MOST_BYTES {
        return Err(BinaryError::TooLarge(hunk.size));
    }
    let mut content = Vec::new();
    // One byte more than stated shows a stream that is too long.
    flate2::read::ZlibDecoder::new(hunk.deflated.as_slice())
        .take(hunk.size + 1)
        .read_to_end(&mut content)
        .map_err(|_| BinaryError::Deflated)?;
    if content.len() as u64 != hunk.size {
        return Err(BinaryError::Deflated);
    }
    match hunk.kind {
        BinaryKind::Literal => Ok(content),
        BinaryKind::Delta => delta(&content, old),
    }
}

/// Carries out a git delta: sizes of both sides, then copies from `old` and insertions.
fn delta(mut instructions: &[u8], old: &[u8]) -> Result<Vec<u8>, BinaryError> {
    let old_size = delta_size(&mut instructions)?;
    let new_size = delta_size(&mut instructions)?;
    if new_size > MOST_BYTES {
        return Err(BinaryError::TooLarge(new_size));
    }
    if old_size != old.len() as u64 {
        return Err(BinaryError::Delta);
    }
    let mut new = Vec::new();
    while let Some((&code, rest)) = instructions.split_first() {
        instructions = rest;
        let piece = if code & 0x80 != 0 {
            let offset = delta_number(&mut instructions, code & 0x0f, 4)?;
            let size = delta_number(&mut instructions, (code >> 4) & 0x07, 3)?;
            let size = if size == 0 { 0x10000 } else { size };
            old.get(offset..offset.saturating_add(size))
                .ok_or(BinaryError::Delta)?
        } else if code != 0 {
            let (piece, rest) = instructions
                .split_at_checked(code.into())
                .ok_or(BinaryError::Delta)?;
            instructions = rest;
            piece
        } else {
            return Err(BinaryError::Delta);
        };
        if (new.len() + piece.len()) as u64 > new_size {
            return Err(BinaryError::Delta);
        }
        new.extend_from_slice(piece);
    }
    if new.len() as u64 == new_size {
        Ok(new)
    } else {
        Err(BinaryError::Delta)
    }
}

/// A size: seven bits a byte, the lowest first.
fn delta_size(instructions: &mut &[u8]) -> Result<u64, BinaryError> {
    let mut size = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = instructions.split_first().ok_or(BinaryError::Delta)?;
        *instructions = rest;
        size |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
    Err(BinaryError::Delta)
}

/// A little-endian number of which only the bytes named in `present` are there.
fn delta_number(instructions: &mut &[u8], present: u8, bytes: u32) -> Result<usize, BinaryError> {
    let mut number = 0usize;
    for byte_at in 0..bytes {
        if present & (1 << byte_at) != 0 {
            let (&byte, rest) = instructions.split_first().ok_or(BinaryError::Delta)?;
            *instructions = rest;
            number |= usize::from(byte) << (8 * byte_at);
        }
    }
    Ok(number)
}
