//! Writes git's index file (versions 2 and 3), so that `git status` in an attempt trusts the laid-out files.

use rustix::fs::Stat;
use sha1::{Digest, Sha1};

use crate::patch::manifest::{FileMode, ObjectId};

/// One entry; entries are given in order of their paths' bytes.
pub(crate) struct Entry<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) mode: FileMode,
    pub(crate) id: ObjectId,
    /// The laid-out file; `None` for what is not a file or not laid out.
    pub(crate) stat: Option<&'a Stat>,
    /// Sparse checkout: not expected on disk.
    pub(crate) skip: bool,
}

/// The bytes of an index file.
pub(crate) fn encode<'a>(entries: impl ExactSizeIterator<Item = Entry<'a>> + Clone) -> Vec<u8> {
    const EXTENDED: u16 = 0x4000;
    const SKIP_WORKTREE: u16 = 0x4000;
    const LONGEST_NAME: u16 = 0x0fff;
    let version: u32 = if entries.clone().any(|entry| entry.skip) {
        3
    } else {
        2
    };
    let mut out = b"DIRC".to_vec();
    out.extend(version.to_be_bytes());
    out.extend((entries.len() as u32).to_be_bytes());
    for entry in entries {
        let start = out.len();
        for field in stat_fields(entry.stat, entry.mode) {
            out.extend(field.to_be_bytes());
        }
        out.extend(entry.id.0);
        let length = u16::try_from(entry.path.len())
            .unwrap_or(LONGEST_NAME)
            .min(LONGEST_NAME);
        out.extend((length | if entry.skip { EXTENDED } else { 0 }).to_be_bytes());
        if entry.skip {
            out.extend(SKIP_WORKTREE.to_be_bytes());
        }
        out.extend(entry.path);
        // One to eight NULs, up to a multiple of eight.
        out.resize(out.len() + 8 - (out.len() - start) % 8, 0);
    }
    let sum = Sha1::digest(&out);
    out.extend(sum);
    out
}

/// The ten numbers in front of an entry's id. Git keeps the lower 32 bits of each.
// The widths of `stat`'s fields differ between architectures, so some casts are no-ops on some of them.
#[allow(clippy::unnecessary_cast)]
fn stat_fields(stat: Option<&Stat>, mode: FileMode) -> [u32; 10] {
    match stat {
        None => [0, 0, 0, 0, 0, 0, mode.bits(), 0, 0, 0],
        Some(stat) => [
            stat.st_ctime as u32,
            stat.st_ctime_nsec as u32,
            stat.st_mtime as u32,
            stat.st_mtime_nsec as u32,
            stat.st_dev as u32,
            stat.st_ino as u32,
            mode.bits(),
            stat.st_uid as u32,
            stat.st_gid as u32,
            stat.st_size as u32,
        ],
    }
}
