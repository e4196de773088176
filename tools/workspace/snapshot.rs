//! One immutable snapshot a run: made once from the user's repository, opened again by a resumed run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::disk::{self, Copied};
use super::environment::{self, Mounted, Survey, Surveyor};
use super::error::{Note, WorkspaceError};
use super::gitdir::GitFolder;
use super::layout::{Laid, LaidOut, Layout, Want};
use super::objects::LooseObjects;
use super::source::{self, Index, Settings, UserRepository};
use super::store::{self, Packing};
use super::{STORE_INSIDE, index_file};
use crate::bytes_path::{self, RepoPath};
use crate::patch::manifest::{FileMode, Manifest, ObjectId};

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The base, as git names revisions; `HEAD` by default.
    pub base: Option<String>,
    /// Take the tracked files as the working tree has them, in a commit of their own on top of `HEAD`.
    pub uncommitted: bool,
    /// With `uncommitted`: take new files too that git does not ignore.
    pub untracked: bool,
    /// Show the environment that git ignores: virtualenvs, `node_modules`, build folders, generated files.
    pub environment: bool,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        SnapshotOptions {
            base: None,
            uncommitted: false,
            untracked: false,
            environment: true,
        }
    }
}

/// What a snapshot cost. The store is packed while the tree is laid out, so the times overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotCost {
    /// Packing the history.
    pub store: Duration,
    /// Size of the object store.
    pub store_bytes: u64,
    /// Reading the repository and laying out the tree.
    pub tree: Duration,
    /// Files and links laid out.
    pub tree_files: u64,
    /// Their bytes.
    pub tree_bytes: u64,
    /// Looking through the working tree for new files and the environment, and copying it.
    pub environment: Duration,
    /// Entries of the environment that were copied.
    pub environment_files: u64,
    /// Their bytes.
    pub environment_bytes: u64,
    /// Folders and files of the environment that attempts mount instead.
    pub environment_mounts: u64,
    /// Everything, from start to end.
    pub total: Duration,
}

/// An immutable picture of a repository, from which attempts are made.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The user's working tree, absolute: where attempts see their copy.
    pub root: PathBuf,
    /// The commit that attempts start from.
    pub base_commit: ObjectId,
    /// How many files that commit has otherwise than the user's own: uncommitted work.
    pub uncommitted: usize,
    /// What it cost to make.
    pub cost: SnapshotCost,
    /// What a person should know.
    pub notes: Vec<Note>,
    pub(super) run: PathBuf,
    pub(super) mounted: Vec<Mounted>,
}

/// How a snapshot is kept on disk. Paths are bytes: they need not be UTF-8.
#[derive(Serialize, Deserialize)]
struct Description {
    root: Vec<u8>,
    base_commit: ObjectId,
    uncommitted: usize,
    cost: SnapshotCost,
    notes: Vec<Note>,
    mounted: Vec<Mounted>,
}

/// First bytes of a description: its kind and version.
const DESCRIPTION_MAGIC: &[u8] = b"cwm-snapshot\x02";

impl Snapshot {
    /// Takes a snapshot of the repository that `repository` is in, into the folder `run`, which is empty.
    pub fn create(
        repository: &Path,
        run: &Path,
        options: &SnapshotOptions,
    ) -> Result<Snapshot, WorkspaceError> {
        Self::create_with_store_at(repository, run, options, Path::new(STORE_INSIDE))
    }

    /// As [`create`](Self::create), for attempts that find the store elsewhere than at [`STORE_INSIDE`].
    pub fn create_with_store_at(
        repository: &Path,
        run: &Path,
        options: &SnapshotOptions,
        store_inside: &Path,
    ) -> Result<Snapshot, WorkspaceError> {
        let start = Instant::now();
        let user = UserRepository::open(repository)?;
        let commit = base_commit(&user, options)?;
        let run = std::fs::canonicalize(run).map_err(WorkspaceError::io("finding", run))?;
        for name in ["tree", "gitdir", "attempts", "empty.d"] {
            disk::make_folders(&run.join(name))?;
        }
        disk::write(&run.join("empty"), b"")?;
        let store = run.join("store");
        store::make(&store)?;
        let packing = Packing {
            root: user.root.clone(),
            gitdir: user.gitdir.clone(),
            objects: user.objects(),
            store: store.clone(),
            commit,
            partial: user.settings.partial,
        };
        let (made, packed) = std::thread::scope(|scope| {
            let packing = scope.spawn(|| packing.run());
            let made = Maker {
                user: &user,
                run: &run,
                options,
                commit,
                store_inside,
            }
            .make();
            (
                made,
                packing
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            )
        });
        let (mut snapshot, packed) = (made?, packed?);
        snapshot.notes.extend(packed.notes);
        snapshot.cost.store = packed.duration;
        snapshot.cost.store_bytes = disk::usage(&store).map_err(WorkspaceError::io("measuring", &store))?;
        snapshot.cost.total = start.elapsed();
        snapshot.save()?;
        Ok(snapshot)
    }

    /// Opens the snapshot that a run's folder holds.
    pub fn open(run: &Path) -> Result<Snapshot, WorkspaceError> {
        let run = std::fs::canonicalize(run).map_err(WorkspaceError::io("finding", run))?;
        let path = run.join("snapshot");
        let bytes = std::fs::read(&path).map_err(WorkspaceError::io("reading", &path))?;
        let description: Description = bytes
            .strip_prefix(DESCRIPTION_MAGIC)
            .and_then(|body| postcard::from_bytes(body).ok())
            .ok_or_else(|| WorkspaceError::Damaged(run.clone()))?;
        let Description {
            root,
            base_commit,
            uncommitted,
            cost,
            notes,
            mounted,
        } = description;
        Ok(Snapshot {
            root: bytes_path::to_path(&root).to_owned(),
            base_commit,
            uncommitted,
            cost,
            notes,
            run,
            mounted,
        })
    }

    /// The laid-out tree, never to be written.
    pub fn tree(&self) -> PathBuf {
        self.run.join("tree")
    }

    /// What git ignores in the copy besides what the tree's own lists say, in the form of `.gitignore` lines: the user's own
    /// excludes, and the environment that was taken along.
    pub fn excludes(&self) -> Result<Vec<String>, WorkspaceError> {
        let path = self.run.join("gitdir/info/exclude");
        let text = std::fs::read(&path).map_err(WorkspaceError::io("reading", &path))?;
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// The manifest of the base tree, encoded.
    pub fn manifest(&self) -> PathBuf {
        self.run.join("manifest")
    }

    /// The object store.
    pub fn store(&self) -> PathBuf {
        self.run.join("store")
    }

    /// Written last and by renaming: a run that was cut short holds no snapshot.
    fn save(&self) -> Result<(), WorkspaceError> {
        let description = Description {
            root: bytes_path::to_bytes(&self.root).to_vec(),
            base_commit: self.base_commit,
            uncommitted: self.uncommitted,
            cost: self.cost.clone(),
            notes: self.notes.clone(),
            mounted: self.mounted.clone(),
        };
        let bytes = postcard::to_extend(&description, DESCRIPTION_MAGIC.to_vec())
            .map_err(|_| WorkspaceError::Damaged(self.run.clone()))?;
        let (new, path) = (self.run.join("snapshot.new"), self.run.join("snapshot"));
        disk::write(&new, &bytes)?;
        std::fs::rename(&new, &path).map_err(WorkspaceError::io("writing", &path))
    }
}

/// The user's commit that a snapshot stands on.
fn base_commit(user: &UserRepository, options: &SnapshotOptions) -> Result<git2::Oid, WorkspaceError> {
    match &options.base {
        None => Ok(user.head_commit),
        Some(revision) => match user.resolve(revision)? {
            commit if options.uncommitted && commit != user.head_commit => {
                Err(WorkspaceError::UncommittedElsewhere(revision.clone()))
            }
            commit => Ok(commit),
        },
    }
}

/// A snapshot in the making.
struct Maker<'a> {
    user: &'a UserRepository,
    run: &'a Path,
    options: &'a SnapshotOptions,
    commit: git2::Oid,
    store_inside: &'a Path,
}

impl Maker<'_> {
    fn make(&self) -> Result<Snapshot, WorkspaceError> {
        let start = Instant::now();
        let tree = self.run.join("tree");
        let committed = source::read_tree(&self.user.library, self.commit)?;
        let index = self.user.index()?;
        if let Some(first) = index.unmerged.first().filter(|_| self.options.uncommitted) {
            let first = bytes_path::display(first);
            return Err(WorkspaceError::Unmerged {
                count: index.unmerged.len(),
                first,
            });
        }
        let before_survey = Instant::now();
        let mut survey = self.survey(&committed, &index)?;
        let mut environment = before_survey.elapsed();

        let loose = LooseObjects::new(self.run.join("store/objects"));
        let (mut laid, mut notes) = self.lay_out(&tree, &committed, &index, &survey, &loose)?;
        notes.extend(self.fill_submodules(&tree, &mut laid)?);
        let uncommitted = match self.options.uncommitted {
            true => differing(&committed, &laid),
            false => 0,
        };
        let base = self.base(uncommitted, &laid, &loose)?;

        let before_copies = Instant::now();
        let copied = environment::place(&mut survey, &self.user.root, &tree)?;
        environment += before_copies.elapsed();
        notes.append(&mut survey.notes);

        self.write_records(&laid, &survey, base)?;
        let cost = self.cost(
            &laid,
            &survey,
            copied,
            start.elapsed().saturating_sub(environment),
            environment,
        );
        Ok(Snapshot {
            root: self.user.root.clone(),
            base_commit: base,
            uncommitted,
            cost,
            notes,
            run: self.run.to_owned(),
            mounted: survey.mounted,
        })
    }

    fn cost(
        &self,
        laid: &[Laid],
        survey: &Survey,
        copied: Copied,
        tree: Duration,
        environment: Duration,
    ) -> SnapshotCost {
        let on_disk = laid.iter().filter_map(|laid| laid.stat.as_ref());
        SnapshotCost {
            tree,
            tree_files: on_disk.clone().count() as u64,
            tree_bytes: on_disk.map(|stat| u64::try_from(stat.st_size).unwrap_or(0)).sum(),
            environment,
            environment_files: copied.entries,
            environment_bytes: copied.bytes,
            environment_mounts: survey.mounted.len() as u64,
            ..SnapshotCost::default()
        }
    }

    fn survey(
        &self,
        committed: &BTreeMap<RepoPath, (FileMode, ObjectId)>,
        index: &Index,
    ) -> Result<Survey, WorkspaceError> {
        let untracked = self.options.untracked && self.options.uncommitted;
        if !untracked && !self.options.environment {
            return Ok(Survey::default());
        }
        let mut known: BTreeMap<RepoPath, FileMode> = index
            .entries
            .iter()
            .map(|(path, entry)| (path.clone(), entry.mode))
            .collect();
        if !self.options.uncommitted {
            known.extend(committed.iter().map(|(path, (mode, _))| (path.clone(), *mode)));
        }
        known.extend(
            index
                .unmerged
                .iter()
                .map(|path| (path.clone(), FileMode::Regular)),
        );
        let surveyor = Surveyor {
            library: &self.user.library,
            root: &self.user.root,
            known: &known,
            environment: self.options.environment,
        };
        let mut survey = surveyor.run()?;
        if !untracked {
            survey.untracked.clear();
        }
        Ok(survey)
    }

    fn lay_out(
        &self,
        tree: &Path,
        committed: &BTreeMap<RepoPath, (FileMode, ObjectId)>,
        index: &Index,
        survey: &Survey,
        loose: &LooseObjects,
    ) -> Result<LaidOut, WorkspaceError> {
        let mut wants: Vec<(RepoPath, Want)> = Vec::new();
        if self.options.uncommitted {
            let base = |path: &RepoPath| committed.get(path).map(|(_, id)| *id);
            wants.extend(index.entries.iter().map(|(path, entry)| {
                (
                    path.clone(),
                    Want::Working {
                        entry: Some(entry.clone()),
                        base: base(path),
                    },
                )
            }));
            wants.extend(survey.untracked.iter().map(|path| {
                (
                    path.clone(),
                    Want::Working {
                        entry: None,
                        base: base(path),
                    },
                )
            }));
            wants.sort_by(|(a, _), (b, _)| a.cmp(b));
        } else {
            wants.extend(committed.iter().map(|(path, &(mode, id))| {
                let skip = index.entries.get(path).is_some_and(|entry| entry.skip);
                (path.clone(), Want::Committed { mode, id, skip })
            }));
        }
        let layout = self.layout(
            tree,
            &self.user.root,
            &self.user.gitdir,
            &self.user.settings,
            Some(loose),
        )?;
        layout.run(&wants)
    }

    fn layout<'a>(
        &'a self,
        tree: &'a Path,
        root: &'a Path,
        gitdir: &'a Path,
        settings: &'a Settings,
        store: Option<&'a LooseObjects>,
    ) -> Result<Layout<'a>, WorkspaceError> {
        let time = self.user.library.find_commit(self.commit)?.time().seconds();
        Ok(Layout {
            root,
            gitdir,
            settings,
            tree,
            staging: self.run,
            store,
            time,
        })
    }

    /// Fills the folders of submodules that the user has checked out at the recorded commits.
    fn fill_submodules(&self, tree: &Path, laid: &mut [Laid]) -> Result<Vec<Note>, WorkspaceError> {
        let mut notes = Vec::new();
        let mut waiting: Vec<(RepoPath, &mut ObjectId)> = laid
            .iter_mut()
            .filter(|laid| laid.mode == FileMode::Gitlink)
            .map(|laid| (laid.path.clone(), &mut laid.id))
            .collect();
        for (path, recorded) in &mut waiting {
            if let Some(head) = self
                .fill_submodule(tree, path, **recorded, &mut notes)?
                .filter(|_| self.options.uncommitted)
            {
                **recorded = head;
            }
        }
        Ok(notes)
    }

    /// The commit that a submodule has checked out, `None` when it is not checked out or does not fit.
    fn fill_submodule(
        &self,
        tree: &Path,
        path: &RepoPath,
        recorded: ObjectId,
        notes: &mut Vec<Note>,
    ) -> Result<Option<ObjectId>, WorkspaceError> {
        let root = disk::at(&self.user.root, path);
        let head = |root: &Path| {
            let library = source::open_at(root)
                .ok()
                .filter(|_| root.join(".git").exists())?;
            let head = library.head().ok()?.peel_to_commit().ok()?.id();
            Some((library, head))
        };
        let Some((library, head)) =
            head(&root).filter(|(_, head)| self.options.uncommitted || ObjectId::from(*head) == recorded)
        else {
            notes.push(Note::SubmoduleEmpty(bytes_path::display(path)));
            return Ok(None);
        };
        let index = source::read_index(library.path(), &root)?;
        let settings = Settings::read(&library.config()?.snapshot()?);
        let wants: Vec<(RepoPath, Want)> = match self.options.uncommitted {
            true => {
                let entries = index.entries.into_iter();
                entries
                    .map(|(path, entry)| {
                        (
                            path,
                            Want::Working {
                                entry: Some(entry),
                                base: None,
                            },
                        )
                    })
                    .collect()
            }
            false => source::read_tree(&library, head)?
                .into_iter()
                .map(|(path, (mode, id))| {
                    let skip = index.entries.get(&path).is_some_and(|entry| entry.skip);
                    (path, Want::Committed { mode, id, skip })
                })
                .collect(),
        };
        let target = disk::at(tree, path);
        let (laid, more) = self
            .layout(&target, &root, library.path(), &settings, None)?
            .run(&wants)?;
        notes.extend(more);
        // Submodules of submodules.
        for inner in laid.iter().filter(|laid| laid.mode == FileMode::Gitlink) {
            self.fill_submodule(tree, &disk::below(path, &inner.path), inner.id, notes)?;
        }
        Ok(Some(head.into()))
    }

    /// The commit of the laid-out tree: the user's own where no file differs, else one made here.
    fn base(
        &self,
        uncommitted: usize,
        laid: &[Laid],
        loose: &LooseObjects,
    ) -> Result<ObjectId, WorkspaceError> {
        let commit = ObjectId::from(self.commit);
        if uncommitted == 0 {
            return Ok(commit);
        }
        let files: Vec<_> = laid
            .iter()
            .map(|laid| (laid.path.clone(), laid.mode, laid.id))
            .collect();
        let tree = loose.tree(&files)?;
        let seconds = self.user.library.find_commit(self.commit)?.time().seconds();
        loose.commit(tree, commit, seconds)
    }

    fn write_records(&self, laid: &[Laid], survey: &Survey, base: ObjectId) -> Result<(), WorkspaceError> {
        let index = index_file::encode(laid.iter().map(|laid| index_file::Entry {
            path: &laid.path,
            mode: laid.mode,
            id: laid.id,
            stat: laid.stat.as_ref(),
            skip: laid.checkout == crate::patch::manifest::Checkout::Absent,
        }));
        let parts = survey
            .copied
            .iter()
            .map(|(path, _)| path)
            .chain(survey.mounted.iter().map(|mounted| &mounted.path));
        let environment: Vec<RepoPath> = parts.cloned().collect();
        let folder = GitFolder {
            user: self.user,
            on_head: self.commit == self.user.head_commit,
            base,
            index: &index,
            environment: &environment,
            objects: &self.store_inside.join("objects"),
        };
        folder.write(&self.run.join("gitdir"))?;
        let entries = laid
            .iter()
            .map(|laid| (laid.path.clone(), laid.recorded()))
            .collect();
        write_manifest(&self.run.join("manifest"), &Manifest { entries })
    }
}

/// How many files the laid-out tree has otherwise than the commit: changed ones, new ones, and those that are gone.
fn differing(committed: &BTreeMap<RepoPath, (FileMode, ObjectId)>, laid: &[Laid]) -> usize {
    let (mut same, mut changed) = (0, 0);
    for laid in laid {
        match committed.get(&laid.path) {
            Some(&(mode, id)) if mode == laid.mode && id == laid.id => same += 1,
            Some(_) => changed += 1,
            None => {}
        }
    }
    let (new, gone) = (laid.len() - same - changed, committed.len() - same - changed);
    changed + new + gone
}

/// Writes a manifest to a file.
pub(super) fn write_manifest(path: &Path, manifest: &Manifest) -> Result<(), WorkspaceError> {
    let bytes = manifest
        .encode()
        .map_err(|_| WorkspaceError::Damaged(path.to_owned()))?;
    disk::write(path, &bytes)
}

/// Reads a manifest from a file.
pub(super) fn read_manifest(path: &Path) -> Result<Manifest, WorkspaceError> {
    let bytes = std::fs::read(path).map_err(WorkspaceError::io("reading", path))?;
    Manifest::decode(&bytes).map_err(|_| WorkspaceError::Damaged(path.to_owned()))
}
