//! What an attempt sees as `.git`: one branch (or a detached `HEAD`), an index that matches the laid-out tree,
//! settings written here, and the run's object store as its only source of objects.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::disk;
use super::error::WorkspaceError;
use super::source::{Head, UserRepository};
use crate::bytes_path::{self, RepoPath};
use crate::patch::manifest::ObjectId;

/// What a git folder is made from.
pub(crate) struct GitFolder<'a> {
    pub(crate) user: &'a UserRepository,
    /// Whether the base is (on top of) the user's `HEAD`, so that its branch may be named.
    pub(crate) on_head: bool,
    pub(crate) base: ObjectId,
    pub(crate) index: &'a [u8],
    /// Parts of the environment, never to be shown as new files.
    pub(crate) environment: &'a [RepoPath],
    /// Where the attempt finds the store's objects.
    pub(crate) objects: &'a Path,
}

impl GitFolder<'_> {
    /// Writes the folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), WorkspaceError> {
        for name in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
            disk::make_folders(&folder.join(name))?;
        }
        let alternates = [bytes_path::to_bytes(self.objects), b"\n"].concat();
        disk::write(&folder.join("objects/info/alternates"), &alternates)?;
        disk::write(&folder.join("config"), self.config().as_bytes())?;
        disk::write(&folder.join("info/exclude"), &self.exclude())?;
        disk::write(&folder.join("index"), self.index)?;
        let shallow = self.user.library.commondir().join("shallow");
        if let Ok(bytes) = std::fs::read(shallow) {
            disk::write(&folder.join("shallow"), &bytes)?;
        }
        let id = format!("{}\n", self.base);
        match &self.user.head {
            Head::Branch(name) if self.on_head && name.starts_with(b"refs/heads/") && disk::is_safe(name) => {
                let branch = bytes_path::join(folder, name);
                if let Some(parent) = branch.parent() {
                    disk::make_folders(parent)?;
                }
                disk::write(&branch, id.as_bytes())?;
                disk::write(&folder.join("HEAD"), &[b"ref: ", name.as_slice(), b"\n"].concat())
            }
            _ => disk::write(&folder.join("HEAD"), id.as_bytes()),
        }
    }

    fn config(&self) -> String {
        let settings = &self.user.settings;
        let eol = match settings.eol.as_deref() {
            Some(eol @ ("lf" | "crlf" | "native")) => format!("\teol = {eol}\n"),
            _ => String::new(),
        };
        // The copy-on-write view gives files other change times, devices and perhaps owners than the snapshot has.
        format!(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tcheckStat = minimal\n\
             \ttrustctime = false\n\tautocrlf = {autocrlf}\n{eol}\tsafecrlf = false\n\thooksPath = /dev/null\n\
             \tfsmonitor = false\n\tuntrackedCache = false\n\
             [user]\n\tname = {name}\n\temail = {email}\n\
             [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
             [commit]\n\tgpgSign = false\n[tag]\n\tgpgSign = false\n[advice]\n\tdetachedHead = false\n",
            autocrlf = settings.autocrlf,
            name = super::NAME,
            email = super::EMAIL,
        )
    }

    /// What the user ignores outside the tree, and the environment's parts.
    fn exclude(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let own = self.user.library.commondir().join("info/exclude");
        for file in global_excludes(self.user).into_iter().chain([own]) {
            if let Ok(bytes) = std::fs::read(file) {
                out.extend(bytes);
                out.push(b'\n');
            }
        }
        for path in self.environment {
            out.push(b'/');
            for &byte in path {
                match byte {
                    b'*' | b'?' | b'[' | b'\\' | b' ' => out.extend([b'\\', byte]),
                    // A pattern is one line.
                    b'\n' | b'\r' => out.push(b'?'),
                    _ => out.push(byte),
                }
            }
            out.push(b'\n');
        }
        out
    }
}

/// The user's ignore file for all repositories.
fn global_excludes(user: &UserRepository) -> Option<PathBuf> {
    let named = user
        .library
        .config()
        .and_then(|config| config.get_path("core.excludesfile"));
    if let Ok(path) = named {
        return Some(path);
    }
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value: &OsString| !value.is_empty())
            .map(PathBuf::from)
    };
    Some(
        set("XDG_CONFIG_HOME")
            .or_else(|| Some(set("HOME")?.join(".config")))?
            .join("git/ignore"),
    )
}
