//! What of this program travels into a container: the binary itself, and, when it is dynamically linked, its loader and its libraries,
//! so that it runs in images that have another C library, or none.
//!
//! What enters is the binary's path; what leaves are files to mount and the command that starts it there. Nothing of the image is used.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where everything lies, inside.
const FOLDER: &str = "/run/cwm/bin";
/// The program header of the loader's path.
const PT_INTERP: u32 = 3;
/// Longer paths than this are not read.
const MOST_PATH: usize = 4096;
/// More program headers than this no real program has.
const MOST_HEADERS: u16 = 1024;

/// A program, made ready to travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Carried {
    /// Files of this machine, and where they appear inside.
    pub(super) files: Vec<(PathBuf, String)>,
    /// What starts the program inside.
    pub(super) command: Vec<String>,
}

impl Carried {
    /// Finds out what `program` needs.
    pub(super) fn of(program: &Path) -> io::Result<Carried> {
        let program = fs::canonicalize(program)?;
        let inside = format!("{FOLDER}/cwm");
        let Some(loader) = interpreter(&program)? else {
            return Ok(Carried {
                files: vec![(program, inside.clone())],
                command: vec![inside],
            });
        };
        let libraries = libraries(&loader, &program)?;
        let loader_inside = format!("{FOLDER}/loader");
        let mut files = vec![
            (program, inside.clone()),
            (fs::canonicalize(&loader)?, loader_inside.clone()),
        ];
        for (name, path) in libraries {
            files.push((fs::canonicalize(path)?, format!("{FOLDER}/lib/{name}")));
        }
        Ok(Carried {
            files,
            command: vec![
                loader_inside,
                "--library-path".to_owned(),
                format!("{FOLDER}/lib"),
                inside,
            ],
        })
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// The loader that an ELF program names; `None` when it is statically linked.
fn interpreter(program: &Path) -> io::Result<Option<PathBuf>> {
    let mut file = File::open(program)?;
    let mut head = [0; 64];
    file.read_exact(&mut head)
        .map_err(|_| malformed("it is too short for an ELF program"))?;
    // 64 bits, little endian: all that this program is built for.
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Err(malformed("it is not a 64-bit little-endian ELF program"));
    }
    let (table, size, count) = (
        number(&head, 32, 8)?,
        number(&head, 54, 2)?,
        number(&head, 56, 2)?,
    );
    if size < 56 || count > u64::from(MOST_HEADERS) {
        return Err(malformed("its program headers make no sense"));
    }
    for index in 0..count {
        let mut header = [0; 56];
        file.seek(SeekFrom::Start(table.saturating_add(index * size)))?;
        file.read_exact(&mut header)
            .map_err(|_| malformed("its program headers are cut off"))?;
        if number(&header, 0, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (offset, length) = (number(&header, 8, 8)?, number(&header, 32, 8)?);
        let mut path = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        file.take(length.min(MOST_PATH as u64)).read_to_end(&mut path)?;
        path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(path.len()));
        return Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(path))));
    }
    Ok(None)
}

/// A little-endian number of `length` bytes at `start`.
fn number(bytes: &[u8], start: usize, length: usize) -> io::Result<u64> {
    let field = bytes
        .get(start..start + length)
        .ok_or_else(|| malformed("its headers are cut off"))?;
    Ok(field
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// The libraries of a program, as its own loader finds them on this machine.
fn libraries(loader: &Path, program: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let output = Command::new(loader)
        .arg("--list")
        .arg(program)
        .env_clear()
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "{} cannot list its libraries: {}",
            loader.display(),
            words.trim()
        )));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| malformed("a library's path is not UTF-8"))?;
    let mut libraries = Vec::new();
    // `name => /path (address)`; the kernel's own page and the loader have no arrow or no path.
    for line in text.lines() {
        let Some((name, rest)) = line.trim().split_once(" => ") else {
            continue;
        };
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path).trim();
        if name.contains('/') || !path.starts_with('/') {
            // A loader that is named by its whole path maps to itself.
            if path.starts_with('/') || !path.contains("not found") {
                continue;
            }
            return Err(io::Error::other(format!("its library {name} is not found")));
        }
        libraries.push((name.to_owned(), PathBuf::from(path)));
    }
    Ok(libraries)
}
