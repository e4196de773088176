//! Tests of answers, from their text to the files after the tools have acted. Each folder of `fixtures` is a case: the `tree` that
//! the model saw, its `answer.txt`, and what the tree is then (`expected`) or why nothing is changed (`error.txt`).

use std::fs;
use std::path::PathBuf;

use cwm_tools::call::Tool;
use cwm_tools::files::FileArea;
use cwm_tools::{create, edit};
use proptest::prelude::*;

use super::*;
use crate::rollout::one_shot::{answer, calls};

/// The files of a folder, by their paths.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// The files after an answer, or why it cannot be used.
fn answered(tree: &BTreeMap<String, String>, answer: &str) -> Result<BTreeMap<String, String>, Unusable> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in tree {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let shown: Vec<(String, bool)> = tree.keys().map(|path| (path.clone(), true)).collect();
    let planner = Planner {
        tree: folder.path(),
        root: Path::new("/repository"),
        shown: &shown,
    };
    let plan = planner.plan(&answer::parts(answer))?;
    let area = FileArea::open(&[folder.path().to_path_buf()], folder.path().to_path_buf()).unwrap();
    for call in calls::calls(&plan, str::to_owned).expect("a plan that can be called") {
        match call.tool {
            Tool::Edit => drop(edit::run(&area, &call.content).unwrap()),
            _ => drop(create::run(&area, &call.content).unwrap()),
        }
    }
    Ok(files(folder.path()))
}

#[test]
fn every_case_comes_out_as_written_down() {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("agent/rollout/one_shot/fixtures");
    let mut cases: Vec<PathBuf> = fs::read_dir(fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 60);
    let mut wrong = Vec::new();
    for case in cases {
        let answer = fs::read_to_string(case.join("answer.txt")).unwrap();
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let got = answered(&files(&case.join("tree")), &answer);
        let error = fs::read_to_string(case.join("error.txt")).ok();
        match (&got, error) {
            (Err(why), Some(error)) if format!("{why:?}\n") == error => {}
            (Ok(after), None) if *after == files(&case.join("expected")) => {}
            _ => wrong.push(format!("{name}: {got:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Edits as a careful model writes them.
fn rendered(edits: &[(String, Vec<String>, Vec<String>)]) -> String {
    let mut text = String::from("Here it is.\n\n");
    for (path, search, replace) in edits {
        text.push_str(&format!("{path}\n<<<<<<< SEARCH\n"));
        for line in search {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str("=======\n");
        for line in replace {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(">>>>>>> REPLACE\n\n");
    }
    text
}

const LINE: &str = "[a-z(){}#=<> \\t\"']{0,12}|é+|- item|    return x|def f\\(\\):|>>> f\\(1\\)|====";

proptest! {
    #[test]
    fn what_is_rendered_is_read_again(
        edits in proptest::collection::vec(
            ("[a-z]{1,8}(/[a-z]{1,8})?\\.(py|rs|txt)", proptest::collection::vec(LINE, 1..6), proptest::collection::vec(LINE, 0..6)), 1..5)
    ) {
        let read: Vec<(String, Vec<String>, Vec<String>)> = answer::parts(&rendered(&edits)).into_iter().map(|part| match part {
            Part::Block { path, search, replace, closed } => {
                assert!(closed);
                (path.unwrap_or_default(), search, replace)
            }
            Part::Code { .. } => panic!("a block is no code"),
        }).collect();
        prop_assert_eq!(read, edits);
    }

    #[test]
    fn no_answer_does_harm(
        answer in "(<<<<<<< SEARCH\n|=======\n|>>>>>>> REPLACE\n|```python\n|```\n|a\\.py\n|\\.\\./b\\.py\n|def f\\(\\):\n|    return 1\n|class A:\n|\\.\\.\\.\n|x = [0-9]\n|\n|é|import os\n|@p\n|[ -~]{0,9}){0,30}",
        text in "(def f\\(\\):\n|    return 1\n|class A:\n|    def g\\(self\\): pass\n|x = [0-9]\n|\n|=======\n|    '''\n|@p\n){0,20}",
    ) {
        let tree = BTreeMap::from([("a.py".to_owned(), text)]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.py"), &tree["a.py"]).unwrap();
        let shown = [("a.py".to_owned(), true)];
        let planner = Planner { tree: folder.path(), root: Path::new("/repository"), shown: &shown };
        if let Ok(plan) = planner.plan(&answer::parts(&answer))
            && let Some(calls) = calls::calls(&plan, str::to_owned)
        {
            let area = FileArea::open(&[folder.path().to_path_buf()], folder.path().to_path_buf()).unwrap();
            for call in calls {
                // A new file may need a folder, or stand where none can be.
                if call.tool == Tool::Edit {
                    let done = edit::run(&area, &call.content);
                    prop_assert!(done.is_ok(), "{}: {:?}", call.content, done);
                }
            }
            prop_assert!(plan.keys().all(|path| path.split('/').all(|part| part != "..")));
            // What was planned is what stands there.
            if let Some(Change::Edit { base, hunks }) = plan.get("a.py") {
                let mut lines = base.clone();
                for hunk in hunks.iter().rev() {
                    lines.splice(hunk.start..hunk.end, hunk.lines.iter().cloned());
                }
                let now = fs::read_to_string(folder.path().join("a.py")).unwrap();
                prop_assert_eq!(now.lines().collect::<Vec<_>>(), lines.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }
}
