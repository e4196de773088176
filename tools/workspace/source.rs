//! The user's repository, read only: where it is, what its `HEAD` and index say, which settings change how files
//! look on disk, and whether it can be copied at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{Config, ErrorCode, Repository};

use super::error::WorkspaceError;
use super::git_command;
use crate::bytes_path::{self, RepoPath};
use crate::patch::manifest::{FileMode, ObjectId};

/// One path of the user's index.
#[derive(Debug, Clone)]
pub(crate) struct IndexEntry {
    pub(crate) mode: FileMode,
    pub(crate) id: ObjectId,
    /// Sparse checkout: git does not expect the file on disk.
    pub(crate) skip: bool,
    /// Size and modification time when git last looked; `None` when not known.
    pub(crate) seen: Option<(u32, i32, u32)>,
}

/// The user's index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) entries: BTreeMap<RepoPath, IndexEntry>,
    /// Paths with unresolved conflicts.
    pub(crate) unmerged: BTreeSet<RepoPath>,
}

/// What `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    /// On a branch, by its full name.
    Branch(Vec<u8>),
    /// On a commit.
    Detached,
}

/// The user's repository.
pub(crate) struct UserRepository {
    pub(crate) library: Repository,
    /// The working tree, absolute, without symbolic links.
    pub(crate) root: PathBuf,
    /// `.git`, or that of a linked worktree.
    pub(crate) gitdir: PathBuf,
    pub(crate) head: Head,
    pub(crate) head_commit: git2::Oid,
    pub(crate) settings: Settings,
}

/// Settings that change how files look on disk.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) file_mode: bool,
    /// `core.autocrlf`, as git spells it.
    pub(crate) autocrlf: String,
    pub(crate) eol: Option<String>,
    /// Some objects may have to be fetched from a remote.
    pub(crate) partial: bool,
}

/// Partial clones carry an extension that libgit2 does not know by name; it reads what is there all the same.
fn allow_partial_clones() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the list of extensions is written once, before the first repository is opened here.
        #[allow(unsafe_code, reason = "git2 marks its global settings unsafe")]
        let result = unsafe { git2::opts::set_extensions(&["partialclone"]) };
        // If it fails, partial clones are refused when opened, with libgit2's reason.
        drop(result);
    });
}

/// Opens a repository's own folder without searching above it.
pub(crate) fn open_at(path: &Path) -> Result<Repository, git2::Error> {
    allow_partial_clones();
    let library = Repository::open(path)?;
    check_index(&library)?;
    Ok(library)
}

/// Attributes are looked up in the index too; one that libgit2 cannot read must not stop that.
fn check_index(library: &Repository) -> Result<(), git2::Error> {
    if library.index().is_err() {
        library.set_index(&mut git2::Index::new()?)?;
    }
    Ok(())
}

impl UserRepository {
    /// The repository that `path` is in.
    pub(crate) fn open(path: &Path) -> Result<UserRepository, WorkspaceError> {
        let repository = UserRepository::open_for_commits(path)?;
        check_index(&repository.library)?;
        Ok(repository)
    }

    /// The same for those who need neither its index nor attributes: a large index takes long to read.
    pub(crate) fn open_for_commits(path: &Path) -> Result<UserRepository, WorkspaceError> {
        allow_partial_clones();
        let path = std::fs::canonicalize(path).map_err(WorkspaceError::io("finding", path))?;
        let no_ceiling: [&str; 0] = [];
        let found = Repository::discover_path(&path, no_ceiling);
        let library = match found {
            Err(error) if error.code() == ErrorCode::NotFound => {
                return Err(WorkspaceError::NotARepository(path));
            }
            Err(error) => return Err(refusal(&path, &path, error)),
            Ok(gitdir) => Repository::open(&gitdir).map_err(|error| refusal(&path, &gitdir, error))?,
        };
        let Some(root) = library.workdir().filter(|_| !library.is_bare()) else {
            return Err(WorkspaceError::Bare(path));
        };
        let root = std::fs::canonicalize(root).map_err(WorkspaceError::io("finding", root))?;
        let gitdir = library.path().to_owned();
        let (head, head_commit) = read_head(&library, &root)?;
        let settings = Settings::read(&library.config()?.snapshot()?);
        Ok(UserRepository {
            library,
            root,
            gitdir,
            head,
            head_commit,
            settings,
        })
    }

    /// The folder that holds the repository's own objects.
    pub(crate) fn objects(&self) -> PathBuf {
        self.library.commondir().join("objects")
    }

    /// The commit that a revision names.
    pub(crate) fn resolve(&self, revision: &str) -> Result<git2::Oid, WorkspaceError> {
        let missing = || WorkspaceError::MissingBase {
            revision: revision.to_owned(),
            path: self.root.clone(),
        };
        let object = self.library.revparse_single(revision).map_err(|_| missing())?;
        Ok(object.peel_to_commit().map_err(|_| missing())?.id())
    }

    /// The index as it is now.
    pub(crate) fn index(&self) -> Result<Index, WorkspaceError> {
        read_index(&self.gitdir, &self.root)
    }
}

impl Settings {
    pub(crate) fn read(config: &Config) -> Settings {
        let partial = config.get_entry("extensions.partialclone").is_ok()
            || config
                .entries(Some(r"remote\..*\.promisor"))
                .is_ok_and(|mut entries| {
                    entries.next().is_some_and(|entry| {
                        entry.is_ok_and(|entry| entry.value().is_ok_and(|v| v != "false"))
                    })
                });
        Settings {
            file_mode: config.get_bool("core.filemode").unwrap_or(true),
            autocrlf: match config.get_string("core.autocrlf").as_deref() {
                Ok("input") => "input".to_owned(),
                _ => config.get_bool("core.autocrlf").unwrap_or(false).to_string(),
            },
            eol: config.get_string("core.eol").ok(),
            partial,
        }
    }
}

fn read_head(library: &Repository, root: &Path) -> Result<(Head, git2::Oid), WorkspaceError> {
    match library.head() {
        Ok(reference) => {
            let commit = reference.peel_to_commit()?.id();
            let head = match library.head_detached()? {
                true => Head::Detached,
                false => Head::Branch(reference.name_bytes().to_vec()),
            };
            Ok((head, commit))
        }
        Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
            Err(WorkspaceError::NoCommit(root.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Says why a repository that is there cannot be opened.
fn refusal(path: &Path, gitdir: &Path, error: git2::Error) -> WorkspaceError {
    // A linked worktree's settings are those of the repository it belongs to.
    let common = std::fs::read_to_string(gitdir.join("commondir"))
        .map_or_else(|_| gitdir.to_owned(), |common| gitdir.join(common.trim_end()));
    let format =
        Config::open(&common.join("config")).and_then(|config| config.get_string("extensions.objectformat"));
    match format.as_deref() {
        Ok("sha256") => WorkspaceError::Sha256(path.to_owned()),
        _ => WorkspaceError::Unreadable {
            path: path.to_owned(),
            source: error,
        },
    }
}

/// Reads the index of a repository whose git folder is known.
pub(crate) fn read_index(gitdir: &Path, root: &Path) -> Result<Index, WorkspaceError> {
    let path = gitdir.join("index");
    if !path.exists() {
        return Ok(Index::default());
    }
    match git2::Index::open(&path) {
        Ok(index) => Ok(from_library(&index)),
        // Split and sparse indexes are beyond libgit2, not beyond git.
        Err(_) => from_command(gitdir, root),
    }
}

fn from_library(index: &git2::Index) -> Index {
    const STAGE: u16 = 0x3000;
    const SKIP_WORKTREE: u16 = 1 << 14;
    let mut read = Index::default();
    for entry in index.iter() {
        if entry.flags & STAGE != 0 {
            read.unmerged.insert(entry.path);
            continue;
        }
        let Some(mode) = FileMode::from_bits(entry.mode) else {
            continue;
        };
        let seen = Some((entry.file_size, entry.mtime.seconds(), entry.mtime.nanoseconds()));
        let skip = entry.flags_extended & SKIP_WORKTREE != 0;
        read.entries.insert(
            entry.path,
            IndexEntry {
                mode,
                id: entry.id.into(),
                skip,
                seen,
            },
        );
    }
    read
}

/// `git ls-files` names the entries of any index that this git can read. It is given a git folder of its own with
/// copies of the index, since git renews the times of a split index's shared part when it reads one.
fn from_command(gitdir: &Path, root: &Path) -> Result<Index, WorkspaceError> {
    let failed = |message: String| WorkspaceError::Git {
        command: "ls-files".into(),
        path: root.to_owned(),
        message,
    };
    let copy = tempfile::tempdir().map_err(WorkspaceError::io("making", &std::env::temp_dir()))?;
    copy_index(gitdir, copy.path()).map_err(WorkspaceError::io("copying", &gitdir.join("index")))?;
    let library = open_at(gitdir)?;
    let list = |more: &[&str]| {
        git_command::reading(copy.path())
            .env("GIT_OBJECT_DIRECTORY", library.commondir().join("objects"))
            .env("GIT_WORK_TREE", copy.path())
            .current_dir(copy.path())
            .args(["ls-files", "-t", "--stage", "-z"])
            .args(more)
            .output()
            .map_err(|error| failed(format!("{error}; install git to read this repository's index")))
    };
    // Without `--sparse` git would expand a sparse index, and renew the times of the user's objects on the way.
    let mut output = list(&["--sparse"])?;
    if !output.status.success() && !holds(&copy.path().join("index"), b"sdir")? {
        output = list(&[])?;
    }
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mut read = Index::default();
    for record in output
        .stdout
        .split(|&byte| byte == 0)
        .filter(|record| !record.is_empty())
    {
        parse_record(record, &library, &mut read)?
            .ok_or_else(|| failed(format!("not understood: {}", bytes_path::display(record))))?;
    }
    Ok(read)
}

fn holds(path: &Path, word: &[u8]) -> Result<bool, WorkspaceError> {
    let bytes = std::fs::read(path).map_err(WorkspaceError::io("reading", path))?;
    Ok(bytes.windows(word.len()).any(|part| part == word))
}

/// An index and the shared parts beside it, in a new git folder.
fn copy_index(gitdir: &Path, copy: &Path) -> std::io::Result<()> {
    // With these git leaves a sparse index as it is.
    const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tsparseCheckout = true\n\
        \tsparseCheckoutCone = true\n[index]\n\tsparse = true\n";
    let patterns = gitdir.join("info/sparse-checkout");
    if patterns.exists() {
        std::fs::create_dir(copy.join("info"))?;
        std::fs::copy(patterns, copy.join("info/sparse-checkout"))?;
    }
    std::fs::create_dir(copy.join("refs"))?;
    std::fs::create_dir(copy.join("objects"))?;
    std::fs::write(copy.join("HEAD"), "ref: refs/heads/none\n")?;
    std::fs::write(copy.join("config"), CONFIG)?;
    for entry in std::fs::read_dir(gitdir)? {
        let name = entry?.file_name();
        if name == "index" || name.to_string_lossy().starts_with("sharedindex.") {
            std::fs::copy(gitdir.join(&name), copy.join(&name))?;
        }
    }
    Ok(())
}

/// One record of `ls-files -t --stage -z`: `H 100644 <id> 0\t<path>`. `None` when it is not understood.
fn parse_record(record: &[u8], library: &Repository, read: &mut Index) -> Result<Option<()>, WorkspaceError> {
    let Some(record) = Record::parse(record) else {
        return Ok(None);
    };
    if record.stage != "0" {
        read.unmerged.insert(record.path.to_vec());
        return Ok(Some(()));
    }
    if record.mode == 0o040_000 {
        // A folder that a sparse index keeps as one entry.
        let folder = record.path.strip_suffix(b"/").unwrap_or(record.path);
        for (path, (mode, id)) in read_folder(library, folder, record.id)? {
            read.entries.insert(
                path,
                IndexEntry {
                    mode,
                    id,
                    skip: true,
                    seen: None,
                },
            );
        }
        return Ok(Some(()));
    }
    let Some(mode) = FileMode::from_bits(record.mode) else {
        return Ok(None);
    };
    let entry = IndexEntry {
        mode,
        id: record.id.into(),
        skip: record.skip,
        seen: None,
    };
    read.entries.insert(record.path.to_vec(), entry);
    Ok(Some(()))
}

struct Record<'a> {
    skip: bool,
    mode: u32,
    id: git2::Oid,
    stage: &'a str,
    path: &'a [u8],
}

impl Record<'_> {
    fn parse(record: &[u8]) -> Option<Record<'_>> {
        let (fields, path) = record.split_at(record.iter().position(|&byte| byte == b'\t')?);
        let mut fields = std::str::from_utf8(fields).ok()?.split(' ');
        let (tag, mode, id, stage) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Record {
            skip: tag.eq_ignore_ascii_case("S"),
            mode: u32::from_str_radix(mode, 8).ok()?,
            id: git2::Oid::from_str(id).ok()?,
            stage,
            path: path.get(1..)?,
        })
    }
}

/// Every file, link and gitlink of a commit's tree.
pub(crate) fn read_tree(
    library: &Repository,
    commit: git2::Oid,
) -> Result<BTreeMap<RepoPath, (FileMode, ObjectId)>, WorkspaceError> {
    read_folder(library, &[], library.find_commit(commit)?.tree_id())
}

/// Every file, link and gitlink of a tree that stands at a path.
fn read_folder(
    library: &Repository,
    folder: &[u8],
    tree: git2::Oid,
) -> Result<BTreeMap<RepoPath, (FileMode, ObjectId)>, WorkspaceError> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![(folder.to_vec(), tree)];
    while let Some((folder, id)) = waiting.pop() {
        let tree = library
            .find_tree(id)
            .map_err(|error| missing_or(error, id, &folder))?;
        for entry in tree.iter() {
            let path = super::disk::below(&folder, entry.name_bytes());
            if !super::disk::is_safe(&path) {
                return Err(WorkspaceError::UnsafePath(bytes_path::display(&path)));
            }
            let bits = u32::try_from(entry.filemode_raw()).unwrap_or(0);
            match FileMode::from_bits(bits) {
                Some(mode) => {
                    files.insert(path, (mode, ObjectId::from(entry.id())));
                }
                None => waiting.push((path, entry.id())),
            }
        }
    }
    Ok(files)
}

/// A missing object by its name, any other error as it is.
pub(crate) fn missing_or(error: git2::Error, id: git2::Oid, path: &[u8]) -> WorkspaceError {
    match error.code() {
        ErrorCode::NotFound => WorkspaceError::MissingObject {
            id: id.to_string(),
            path: bytes_path::display(path),
        },
        _ => error.into(),
    }
}
