//! Many attempts of one snapshot at once, while the user goes on editing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;

use cwm_tools::isolated::{Backend, IsolatedCopy, Walls};
use cwm_tools::patch::ScanOptions;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::session::SessionOptions;
use cwm_tools::workspace::SnapshotOptions;

use super::repository::{Picture, Repository, assert_same};
use crate::cli::context::binary;

const ATTEMPTS: usize = 8;

#[test]
fn each_attempt_sees_and_changes_its_own_copy_only() {
    let repository = Repository::new(
        "for n in $(seq 0 99); do mkdir -p dir-$((n % 10)); echo base $n > dir-$((n % 10))/file-$n; done
         echo shared > shared; echo target > .gitignore; mkdir target; echo built > target/made",
    );
    let run = repository.root.with_file_name("run");
    fs::create_dir(&run).unwrap();
    let walls = Walls {
        backend: Backend::Namespaces,
        program: binary().into(),
        policy: MachineView::look(std::env::vars_os()).policy(&BTreeMap::new()),
        shown: Vec::new(),
    };
    let options = SnapshotOptions::default();
    let snapshot = walls.snapshot(&repository.root, &run, &options).unwrap();
    let before = repository.picture();

    let (opened, edited, changed) = (
        Barrier::new(ATTEMPTS + 1),
        Barrier::new(ATTEMPTS + 1),
        Barrier::new(ATTEMPTS),
    );
    let work = |number: usize| {
        let name = format!("attempt-{number}");
        let mut copy =
            IsolatedCopy::open(&snapshot, &name, &walls, Path::new(""), SessionOptions::default()).unwrap();
        let mut say = |script: &str| {
            let result = copy.session().run(script).unwrap();
            assert_eq!(result.exit_code(), Some(0), "{script}: {result:?}");
            String::from_utf8(result.output.head).unwrap()
        };
        opened.wait();
        edited.wait();
        // Between the two the user edited, added and removed files.
        assert_eq!(
            say("cat shared dir-3/file-3 target/made; ls; git status --porcelain"),
            format!(
                "shared\nbase 3\nbuilt\n{}\nshared\ntarget\n",
                (0..10).map(|n| format!("dir-{n}")).collect::<Vec<_>>().join("\n")
            )
        );
        say(&format!(
            "echo from {number} > shared; echo from {number} >> dir-{number}/file-{number}; echo {number} > new-{number}; \
             echo {number} > target/made; git commit -qam 'of {number}'"
        ));
        changed.wait();
        assert_eq!(
            say("cat shared target/made; ls | grep new-; git log --format=%s"),
            format!("from {number}\n{number}\nnew-{number}\nof {number}\nbase\n")
        );
        copy.diff(ScanOptions::default()).unwrap().patch
    };
    let mut patches = vec![Vec::new(); ATTEMPTS];
    std::thread::scope(|scope| {
        for (number, patch) in patches.iter_mut().enumerate() {
            let work = &work;
            scope.spawn(move || *patch = work(number));
        }
        opened.wait();
        repository
            .shell("echo 'of the user' > shared; echo mine > dir-3/file-3; echo own > target/made; rm dir-4/file-4; touch mine; git add mine")
            .ok();
        edited.wait();
    });

    for (number, patch) in patches.iter().enumerate() {
        let text = String::from_utf8_lossy(patch);
        let named: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("diff --git"))
            .collect();
        let mut expected = [
            format!("diff --git a/dir-{number}/file-{number} b/dir-{number}/file-{number}"),
            format!("diff --git a/new-{number} b/new-{number}"),
            "diff --git a/shared b/shared".to_owned(),
        ];
        expected.sort();
        assert_eq!(named, expected, "{text}");
        assert!(text.contains(&format!("+from {number}\n")), "{text}");
        repository.tree_after(patch);
    }
    // Besides what the user did, nothing of the repository is another.
    let own = [
        "shared",
        "dir-3/file-3",
        "target/made",
        "dir-4/file-4",
        "dir-4",
        "mine",
        ".git/index",
        ".git",
        "",
    ];
    let own: Vec<PathBuf> = own.iter().map(|name| repository.root.join(name)).collect();
    let objects = repository.root.join(".git/objects");
    let rest = |picture: Picture| {
        let kept = picture
            .into_iter()
            .filter(|(path, _)| !own.contains(path) && !path.starts_with(&objects));
        kept.collect::<Picture>()
    };
    assert_same(
        &rest(repository.picture()),
        &rest(before),
        "what the user did not edit",
    );
    assert_eq!(
        fs::read_dir(run.join("attempts")).unwrap().count(),
        0,
        "the copies are gone"
    );
}
