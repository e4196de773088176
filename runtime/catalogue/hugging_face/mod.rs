//! Hugging Face's repositories, or a mirror's: files by `resolve`, resumed where an earlier transfer broke off, and the list of a
//! repository's files with their checksums by its interface.
//!
//! Redirects are followed here, because the token may go to the endpoint only, never to where it sends us.

mod transfer;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use self::transfer::{Arrival, Head, Transfer};
use super::entry::{Contents, Entry};
use super::error::CatalogueError;
use super::pull::{Progress, PullSettings, Stage, Watch, check, keep};
use super::store::Store;
use crate::retry;
use crate::source::ApiKey;

/// The longest list of files that is read.
const MOST_LIST_BYTES: usize = 8 << 20;

/// Fetches a model from its repository.
pub(super) fn fetch(
    store: &Store,
    entry: &Entry,
    settings: &PullSettings,
    watch: Watch<'_>,
) -> Result<PathBuf, CatalogueError> {
    let hub = Hub { settings, entry };
    match entry.contents {
        Contents::File { .. } => {
            let part = store.part(entry, "part");
            let had = part.metadata().map_or(0, |data| data.len());
            store.check_space(entry.size.saturating_sub(had))?;
            let url = hub.file_url(entry.repository.file.unwrap_or(entry.file_name()));
            hub.download(&url, &part, entry.size, (0, entry.size), watch)?;
            keep(store, entry, &part, &hub.place(), watch)
        }
        Contents::Folder { .. } => hub.folder(store, watch),
    }
}

/// A file of a repository.
#[derive(Debug, Deserialize)]
struct ListedFile {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    /// Large files have their SHA-256 here.
    #[serde(default)]
    lfs: Option<LargeFile>,
}

#[derive(Debug, Deserialize)]
struct LargeFile {
    oid: String,
    size: u64,
}

impl ListedFile {
    /// Weights, configuration and vocabulary; what is in folders of the repository, or would leave ours, is not.
    fn is_wanted(&self) -> bool {
        let plain = !self.path.contains(['/', '\\']) && !self.path.starts_with('.');
        let kinds = [
            ".safetensors",
            ".json",
            ".jinja",
            "tokenizer.model",
            ".txt",
            ".md",
        ];
        let named = kinds.iter().any(|kind| self.path.ends_with(kind)) || self.path.starts_with("LICENSE");
        self.kind == "file" && plain && named
    }

    fn bytes(&self) -> u64 {
        self.lfs.as_ref().map_or(self.size, |large| large.size)
    }
}

/// The repository of an entry, at the endpoint.
struct Hub<'a> {
    settings: &'a PullSettings,
    entry: &'a Entry,
}

/// How an attempt to read ended, if not well.
enum Trouble {
    /// Another attempt may help, after that wait.
    Passing(String, Option<Duration>),
    /// It may not.
    Lasting(CatalogueError),
}

impl Hub<'_> {
    fn endpoint(&self) -> &str {
        self.settings.endpoint.trim_end_matches('/')
    }

    /// What it is called in messages.
    fn place(&self) -> String {
        format!("{}/{}", self.endpoint(), self.entry.repository.id)
    }

    fn file_url(&self, file: &str) -> String {
        format!("{}/resolve/main/{file}", self.place())
    }

    fn trouble(&self, why: impl Into<String>) -> CatalogueError {
        CatalogueError::Source {
            place: self.place(),
            why: why.into(),
            network: false,
        }
    }

    /// What may be over when it is tried again later.
    fn passing(&self, why: String) -> CatalogueError {
        CatalogueError::Source {
            place: self.place(),
            why,
            network: true,
        }
    }

    /// Fetches the files of the repository into a folder beside, which takes its name when it is whole.
    fn folder(&self, store: &Store, watch: Watch<'_>) -> Result<PathBuf, CatalogueError> {
        let url = format!(
            "{}/api/models/{}/tree/main",
            self.endpoint(),
            self.entry.repository.id
        );
        let list = self.small(&url, watch)?;
        let files: Vec<ListedFile> = serde_json::from_slice(&list)
            .map_err(|error| self.trouble(format!("its list of files cannot be read ({error})")))?;
        let files: Vec<ListedFile> = files.into_iter().filter(ListedFile::is_wanted).collect();
        if !files.iter().any(|file| file.path.ends_with(".safetensors")) {
            return Err(self.trouble("there are no weights in it"));
        }
        let part = store.part(self.entry, "part");
        std::fs::create_dir_all(&part).map_err(CatalogueError::at(&part))?;
        let total: u64 = files.iter().map(ListedFile::bytes).sum();
        let had: u64 = files
            .iter()
            .map(|file| length(&part.join(&file.path)).max(length(&unfinished(&part, &file.path))))
            .sum();
        store.check_space(total.saturating_sub(had))?;
        let mut before = 0;
        for file in &files {
            let (path, half) = (part.join(&file.path), unfinished(&part, &file.path));
            if length(&path) != file.bytes() || file.bytes() == 0 {
                let url = self.file_url(&file.path);
                self.download(&url, &half, file.bytes(), (before, total), watch)?;
                if let Some(large) = &file.lfs {
                    check(&half, &url, large.size, &large.oid, watch)?;
                }
                std::fs::rename(&half, &path).map_err(CatalogueError::at(&path))?;
            }
            before += file.bytes();
        }
        let path = store.path(self.entry);
        std::fs::rename(&part, &path).map_err(CatalogueError::at(&path))?;
        Ok(path)
    }

    /// Fetches a file of `size` bytes into `part`, from where it ends on. `place_in` is how many bytes came before it, and how many there are
    /// in all.
    fn download(
        &self,
        url: &str,
        part: &Path,
        size: u64,
        place_in: (u64, u64),
        watch: Watch<'_>,
    ) -> Result<(), CatalogueError> {
        let (mut failures, place) = (0, self.place());
        let (before, total) = place_in;
        let mut tick = |done: u64| {
            watch(&Progress {
                stage: Stage::Fetching,
                place: &place,
                done: before + done,
                total,
            })
        };
        loop {
            let had = length(part);
            if had == size && part.exists() {
                return Ok(());
            }
            if had > size {
                std::fs::remove_file(part).map_err(CatalogueError::at(part))?;
                continue;
            }
            let trouble = match self.transfer(url, part, size, &mut tick) {
                Ok(()) => return Ok(()),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(why, wait)) => (why, wait),
            };
            let (why, asked) = trouble;
            failures = if length(part) > had { 1 } else { failures + 1 };
            if failures > self.settings.retries || asked.is_some_and(|wait| wait > retry::LONGEST_WAIT) {
                return Err(self.passing(why));
            }
            self.wait(failures, asked, &mut || tick(had))?;
        }
    }

    fn wait(
        &self,
        failures: u32,
        asked: Option<Duration>,
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), CatalogueError> {
        let own = retry::back_off(self.settings.first_wait, failures, retry::random());
        let end = Instant::now() + asked.unwrap_or(own).max(own);
        while Instant::now() < end {
            if tick().is_break() {
                return Err(CatalogueError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// One attempt to get the rest of a file.
    fn transfer(
        &self,
        url: &str,
        part: &Path,
        size: u64,
        tick: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), Trouble> {
        let mut done = length(part);
        let (transfer, head) = self.open(url, done, &mut || tick(done))?;
        let starts_there = |range: &String| range.trim().starts_with(&format!("bytes {done}-"));
        let resumed = head.status == 206 && head.content_range.as_ref().is_some_and(starts_there);
        let lasting = |error: std::io::Error| Trouble::Lasting(CatalogueError::at(part)(error));
        let mut file: File;
        if resumed {
            file = OpenOptions::new().append(true).open(part).map_err(lasting)?;
        } else if head.status == 200 {
            // A server that knows no ranges starts anew.
            file = File::create(part).map_err(lasting)?;
            done = 0;
        } else {
            drop(std::fs::remove_file(part));
            return Err(Trouble::Passing(
                format!("it sent another part of {url} than was asked for"),
                None,
            ));
        }
        loop {
            match transfer.next() {
                Arrival::Bytes(bytes) => {
                    done += bytes.len() as u64;
                    if done > size {
                        drop(std::fs::remove_file(part));
                        let why = format!("{url} is larger than the {size} bytes that it should have");
                        return Err(Trouble::Lasting(self.trouble(why)));
                    }
                    file.write_all(&bytes).map_err(lasting)?;
                }
                Arrival::End if done == size => return Ok(()),
                Arrival::End => {
                    let why = format!("the connection ended after {done} of {size} bytes");
                    return Err(Trouble::Passing(why, None));
                }
                Arrival::Broken(why) => return Err(Trouble::Passing(why, None)),
                Arrival::Head(_) | Arrival::Nothing => {}
            }
            if tick(done).is_break() {
                return Err(Trouble::Lasting(CatalogueError::Interrupted));
            }
        }
    }

    /// A small text, whole.
    fn small(&self, url: &str, watch: Watch<'_>) -> Result<Vec<u8>, CatalogueError> {
        let place = self.place();
        let mut tick = || {
            watch(&Progress {
                stage: Stage::Fetching,
                place: &place,
                done: 0,
                total: 0,
            })
        };
        let mut failures = 0;
        loop {
            let (why, asked) = match self.small_once(url, &mut tick) {
                Ok(text) => return Ok(text),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(why, asked)) => (why, asked),
            };
            failures += 1;
            if failures > self.settings.retries {
                return Err(self.passing(why));
            }
            self.wait(failures, asked, &mut tick)?;
        }
    }

    fn small_once(&self, url: &str, tick: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Vec<u8>, Trouble> {
        let (transfer, _) = self.open(url, 0, tick)?;
        let mut text = Vec::new();
        loop {
            match transfer.next() {
                Arrival::Bytes(bytes) => text.extend_from_slice(&bytes),
                Arrival::End => return Ok(text),
                Arrival::Broken(why) => return Err(Trouble::Passing(why, None)),
                Arrival::Head(_) | Arrival::Nothing => {}
            }
            if text.len() > MOST_LIST_BYTES {
                return Err(Trouble::Lasting(self.trouble("its list of files has no end")));
            }
            if tick().is_break() {
                return Err(Trouble::Lasting(CatalogueError::Interrupted));
            }
        }
    }

    /// Asks for a file and follows where it leads, until there are bytes.
    fn open(
        &self,
        url: &str,
        from: u64,
        tick: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(Transfer, Head), Trouble> {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let at_home = origin(&url).is_some() && origin(&url) == origin(self.endpoint());
            let token = self
                .settings
                .token
                .as_ref()
                .filter(|_| at_home)
                .map(ApiKey::header);
            let transfer = Transfer::start(&url, token, from, self.settings.idle_timeout);
            let head = match transfer.head(tick) {
                None => return Err(Trouble::Lasting(CatalogueError::Interrupted)),
                Some(Err(why)) => return Err(Trouble::Passing(why, None)),
                Some(Ok(head)) => head,
            };
            match (head.status, &head.location) {
                (200 | 206, _) => return Ok((transfer, head)),
                // What is there already reaches to the end or beyond it.
                (416, _) => return Ok((transfer, head)),
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    url = resolve(&url, location).ok_or_else(|| {
                        Trouble::Lasting(self.trouble("it leads to something that is no web address"))
                    })?;
                }
                _ => return Err(self.refusal(&head, &url)),
            }
        }
        Err(Trouble::Lasting(
            self.trouble("it leads from one address to the next without end"),
        ))
    }

    fn refusal(&self, head: &Head, url: &str) -> Trouble {
        let status = head.status;
        if retry::is_passing(status) {
            return Trouble::Passing(format!("it answered {status}"), head.retry_after);
        }
        let why = match (status, &self.settings.token) {
            (401 | 403, None) => format!(
                "it answered {status}: accept the terms at {} with an account of yours, and set HF_TOKEN to a token of that account",
                self.place()
            ),
            (401 | 403, Some(_)) => format!(
                "it answered {status}: the account of HF_TOKEN has no access; accept the terms at {}, and look at the token's permissions",
                self.place()
            ),
            (404, _) => format!("it has no such file ({url})"),
            _ => format!("it answered {status}"),
        };
        Trouble::Lasting(self.trouble(why))
    }
}

fn unfinished(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.part"))
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |data| data.len())
}

/// Scheme, host and port of an address, in lower case.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{host}").to_ascii_lowercase())
}

/// Where a redirect leads.
fn resolve(base: &str, location: &str) -> Option<String> {
    if location.starts_with("http://") || location.starts_with("https://") {
        // From a protected connection to an open one, nothing is followed.
        return (!base.starts_with("https://") || location.starts_with("https://"))
            .then(|| location.to_owned());
    }
    if let Some(rest) = location.strip_prefix("//") {
        return Some(format!("{}://{rest}", base.split_once("://")?.0));
    }
    location
        .starts_with('/')
        .then(|| origin(base))?
        .map(|origin| format!("{origin}{location}"))
}
