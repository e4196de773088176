//! One member of a zip archive, which is what a wheel is: found by the central directory, stored or deflated (APPNOTE 6.3.10, sections 4.3 to
//! 4.5; no zip64, no encryption).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::DeflateDecoder;

/// A reader of a member's bytes, as they were before they were packed.
pub(super) fn member(archive: &Path, name: &str) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(archive)?;
    let (offset, entries, size) = directory(&mut file)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut directory = Vec::new();
    (&mut file).take(size).read_to_end(&mut directory)?;
    let mut rest = directory.as_slice();
    for _ in 0..entries {
        let header = take(&mut rest, 46)?;
        if number(header, 0, 4)? != 0x0201_4b50 {
            return Err(broken("its directory is damaged"));
        }
        let (name_length, extra, comment) = (
            number(header, 28, 2)?,
            number(header, 30, 2)?,
            number(header, 32, 2)?,
        );
        let found = take(&mut rest, name_length as usize)?;
        take(&mut rest, (extra + comment) as usize)?;
        if found == name.as_bytes() {
            return open(file, header);
        }
    }
    Err(broken(&format!("{name} is not in it")))
}

/// Where the central directory is, how many entries and how many bytes it has.
fn directory(file: &mut File) -> io::Result<(u64, u64, u64)> {
    const END: usize = 22;
    let length = file.seek(SeekFrom::End(0))?;
    // A comment of up to 64 KiB may follow the record.
    let tail_length = length.min(END as u64 + 0xffff);
    file.seek(SeekFrom::Start(length - tail_length))?;
    let mut tail = Vec::new();
    file.take(tail_length).read_to_end(&mut tail)?;
    let last = tail
        .len()
        .checked_sub(END)
        .ok_or_else(|| broken("it is too short for a zip archive"))?;
    let at = (0..=last)
        .rev()
        .find(|at| tail.get(*at..at + 4) == Some(b"PK\x05\x06"));
    let record = at
        .and_then(|at| tail.get(at..at + END))
        .ok_or_else(|| broken("it is not a zip archive"))?;
    Ok((
        number(record, 16, 4)?,
        number(record, 10, 2)?,
        number(record, 12, 4)?,
    ))
}

/// The member that a directory entry describes.
fn open(mut file: File, header: &[u8]) -> io::Result<Box<dyn Read>> {
    let (method, packed, unpacked) = (
        number(header, 10, 2)?,
        number(header, 20, 4)?,
        number(header, 24, 4)?,
    );
    file.seek(SeekFrom::Start(number(header, 42, 4)?))?;
    let mut local = [0_u8; 30];
    file.read_exact(&mut local)?;
    if number(&local, 0, 4)? != 0x0403_4b50 {
        return Err(broken("a member's header is damaged"));
    }
    let skipped = number(&local, 26, 2)? + number(&local, 28, 2)?;
    file.seek(SeekFrom::Current(skipped as i64))?;
    let data = file.take(packed);
    match method {
        0 => Ok(Box::new(data)),
        8 => Ok(Box::new(DeflateDecoder::new(data).take(unpacked))),
        _ => Err(broken(&format!(
            "a member is packed by method {method}, which is neither stored nor deflated"
        ))),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, after) = rest
        .split_at_checked(count)
        .ok_or_else(|| broken("its directory is cut off"))?;
    *rest = after;
    Ok(taken)
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> io::Result<u64> {
    let digits = bytes.get(at..at + size).ok_or_else(|| broken("it is cut off"))?;
    Ok(digits
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Archives that Python's own `zipfile` made.
    fn archive(folder: &Path, method: &str) -> std::path::PathBuf {
        let path = folder.join("a.whl");
        let script = format!(
            "import zipfile\nwith zipfile.ZipFile({path:?}, 'w', zipfile.{method}) as z:\n \
             z.writestr('a/one.bin', b'first')\n z.writestr('a/two.bin', bytes(range(256)) * 1000)\n z.comment = b'PK, a comment'"
        );
        let status = Command::new("python3").args(["-c", &script]).status().unwrap();
        assert!(status.success());
        path
    }

    #[test]
    fn members_of_wheels_are_read_stored_and_deflated() {
        let folder = tempfile::tempdir().unwrap();
        let expected: Vec<u8> = (0..=255_u8).collect::<Vec<_>>().repeat(1000);
        for method in ["ZIP_STORED", "ZIP_DEFLATED"] {
            let path = archive(folder.path(), method);
            let mut bytes = Vec::new();
            member(&path, "a/two.bin")
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            assert_eq!(bytes, expected, "{method}");
            let error = member(&path, "a/three.bin").map(drop).unwrap_err().to_string();
            assert_eq!(error, "a/three.bin is not in it");
        }
    }

    /// Every way to cut an archive, and every byte changed: an error or other bytes, never a panic.
    #[test]
    fn damaged_archives_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = std::fs::read(archive(folder.path(), "ZIP_DEFLATED")).unwrap();
        let path = folder.path().join("b.whl");
        let look = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            member(&path, "a/two.bin").and_then(|reader| reader.take(1 << 20).read_to_end(&mut Vec::new()))
        };
        for end in (0..whole.len() - 14).step_by(7) {
            assert!(look(&whole[..end]).is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = look(&bytes);
        }
        assert_eq!(
            look(b"").unwrap_err().to_string(),
            "it is too short for a zip archive"
        );
        assert_eq!(
            look(&[b'x'; 100]).unwrap_err().to_string(),
            "it is not a zip archive"
        );
    }
}
