//! Results that a model is shown in part, kept in the run's folder, where a person finds them when the sandbox is long gone.
//!
//! In: what commands print, as they print it, and results that are cut or taken out of a conversation. Out: files in `outputs/` beside the
//! journal, each on disk before a record names it, and bounded, one by one and together.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::journal::KeptFile;

/// The folder's name, in the run's.
const FOLDER: &str = "outputs";
/// The most that a file may hold.
const MOST: u64 = 64 << 20;
/// The most that an attempt's files may hold together.
const MOST_TOGETHER: u64 = 256 << 20;

/// The files of one attempt.
pub(super) struct Outputs {
    run: PathBuf,
    attempt: String,
    /// What may still be kept, in bytes.
    left: u64,
}

/// A command's output as it comes. Until it is long it stays in memory.
pub(super) struct Recorder<'a> {
    outputs: &'a mut Outputs,
    after: usize,
    beginning: Vec<u8>,
    file: Option<NamedTempFile>,
    /// How much of it was kept, and how much there was.
    written: u64,
    total: u64,
    failed: bool,
}

impl Outputs {
    /// Those of an attempt, in a run's folder.
    pub(super) fn new(run: &Path, attempt: &str) -> Outputs {
        Outputs {
            run: run.to_owned(),
            attempt: attempt.to_owned(),
            left: MOST_TOGETHER,
        }
    }

    /// Takes a command's output, which is kept when it has more bytes than that.
    pub(super) fn recorder(&mut self, after: usize) -> Recorder<'_> {
        Recorder {
            outputs: self,
            after,
            beginning: Vec::new(),
            file: None,
            written: 0,
            total: 0,
            failed: false,
        }
    }

    /// Keeps a turn's result. With `again` the turn was recorded before: a file that is there is that turn's. `None` when it cannot be
    /// kept, as on a full disk.
    pub(super) fn keep(&mut self, turn: usize, text: &str, again: bool) -> Option<KeptFile> {
        let mut recorder = self.recorder(0);
        recorder.take(text.as_bytes());
        recorder.finish(turn, again)
    }

    /// What a file holds, when it is a text of at most so many bytes.
    pub(super) fn read(&self, kept: &KeptFile, most: u64) -> Option<String> {
        let file = File::open(self.run.join(&kept.path)).ok()?;
        if file.metadata().ok()?.len() > most {
            return None;
        }
        let mut text = String::new();
        file.take(most).read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn name(&self, turn: usize) -> String {
        format!("{FOLDER}/{}-turn-{turn}.txt", self.attempt)
    }

    fn begin(&self) -> std::io::Result<NamedTempFile> {
        let folder = self.run.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        tempfile::Builder::new().prefix(".kept-").tempfile_in(folder)
    }

    /// Puts a file in its place for good.
    fn place(&self, file: NamedTempFile, name: &str) -> std::io::Result<()> {
        file.as_file().sync_data()?;
        let placed = file.persist(self.run.join(name))?;
        drop(placed);
        // Its name is to last as well.
        File::open(self.run.join(FOLDER))?.sync_all()
    }
}

impl Recorder<'_> {
    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.failed {
            return;
        }
        if self.file.is_some() {
            self.write(bytes);
            return;
        }
        self.beginning.extend_from_slice(bytes);
        if self.beginning.len() <= self.after {
            return;
        }
        let beginning = std::mem::take(&mut self.beginning);
        match self.outputs.begin() {
            Ok(file) => {
                self.file = Some(file);
                self.write(&beginning);
            }
            Err(_) => self.failed = true,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let room = MOST.min(self.outputs.left).saturating_sub(self.written);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        match file.write_all(bytes) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(_) => self.failed = true,
        }
    }

    /// The turn's file, when the output was long and something of it could be kept; `again` as in [`Outputs::keep`].
    pub(super) fn finish(self, turn: usize, again: bool) -> Option<KeptFile> {
        let name = self.outputs.name(turn);
        let mut bytes = self.written;
        let earlier = std::fs::metadata(self.outputs.run.join(&name)).ok();
        match earlier.filter(|_| again) {
            Some(earlier) => bytes = earlier.len(),
            None => {
                let file = self.file.filter(|_| self.written > 0)?;
                self.outputs.place(file, &name).ok()?;
            }
        }
        self.outputs.left = self.outputs.left.saturating_sub(bytes);
        Some(KeptFile {
            path: name,
            first_bytes: (bytes < self.total).then_some(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turns_file_is_kept_once_and_within_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(folder.path(), "attempt-1");
        let kept = outputs.keep(3, "one\ntwo\n", false).unwrap();
        assert_eq!(
            (kept.path.as_str(), kept.first_bytes),
            ("outputs/attempt-1-turn-3.txt", None)
        );
        assert_eq!(outputs.read(&kept, 100).as_deref(), Some("one\ntwo\n"));
        assert_eq!(outputs.read(&kept, 3), None);
        // What is only done again leaves what was recorded; what is new takes its place.
        outputs.keep(3, "one\nten\n", true).unwrap();
        assert_eq!(outputs.read(&kept, 100).as_deref(), Some("one\ntwo\n"));
        outputs.keep(3, "one\nten\n", false).unwrap();
        assert_eq!(outputs.read(&kept, 100).as_deref(), Some("one\nten\n"));

        outputs.left = 5;
        let part = outputs.keep(4, "0123456789", false).unwrap();
        assert_eq!(part.first_bytes, Some(5));
        assert_eq!(outputs.read(&part, 100).as_deref(), Some("01234"));
        assert_eq!(outputs.keep(5, "no room", false), None);
        let names = std::fs::read_dir(folder.path().join("outputs")).unwrap();
        assert_eq!(names.count(), 2, "no half file is left");
    }

    #[test]
    fn a_short_output_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut outputs = Outputs::new(folder.path(), "attempt-1");
        let mut recorder = outputs.recorder(10);
        recorder.take(b"0123456789");
        assert_eq!(recorder.finish(1, false), None);
        assert!(!folder.path().join("outputs").exists());
        let mut recorder = outputs.recorder(10);
        recorder.take(b"0123456789");
        recorder.take(b"a");
        let kept = recorder.finish(2, false).unwrap();
        assert_eq!(outputs.read(&kept, 100).as_deref(), Some("0123456789a"));
    }
}
