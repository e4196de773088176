//! New files, and why there is none.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;

fn area() -> (tempfile::TempDir, FileArea) {
    let folder = tempfile::tempdir().unwrap();
    let area = FileArea::open(&[folder.path().to_path_buf()], folder.path().to_path_buf()).unwrap();
    (folder, area)
}

#[test]
fn a_file_is_made_with_its_last_newline() {
    for (content, written, lines) in [
        ("a.py\nx = 1\ny = 2", "x = 1\ny = 2\n", 2),
        ("a.py\nx = 1\n", "x = 1\n", 1),
        ("a.py\nx = 1\n\n", "x = 1\n\n", 2),
        ("a.py", "", 0),
        ("a.py\n", "", 0),
        ("\n\n  a.py  \nx\r\ny\r", "x\r\ny\r\n", 2),
        ("a.py\n\n  indented", "\n  indented\n", 2),
    ] {
        let (folder, area) = area();
        assert_eq!(
            run(&area, content),
            Ok(CreateDone {
                path: "a.py".to_owned(),
                lines
            }),
            "{content:?}"
        );
        assert_eq!(
            fs::read_to_string(folder.path().join("a.py")).unwrap(),
            written,
            "{content:?}"
        );
    }
}

#[test]
fn what_exists_is_left_alone() {
    let (folder, area) = area();
    fs::write(folder.path().join("file"), "old").unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("nowhere", folder.path().join("dangling")).unwrap();
    let path = |name: &str| name.to_owned();
    assert_eq!(
        run(&area, "file\nx"),
        Err(FileError::AlreadyExists { path: path("file") }.into())
    );
    assert_eq!(
        run(&area, "dangling\nx"),
        Err(FileError::AlreadyExists {
            path: path("dangling")
        }
        .into())
    );
    assert_eq!(
        run(&area, "dir\nx"),
        Err(FileError::IsDirectory { path: path("dir") }.into())
    );
    assert_eq!(
        run(&area, "new/\nx"),
        Err(FileError::IsDirectory { path: path("new/") }.into())
    );
    let missing = FileError::ParentMissing {
        path: path("a/b/c.py"),
        parent: path("a/b"),
    };
    assert_eq!(run(&area, "a/b/c.py\nx"), Err(missing.into()));
    let not_text = FileError::NotText {
        path: path("n"),
        offset: 1,
    };
    assert_eq!(run(&area, "n\nx\0y"), Err(not_text.into()));
    assert_eq!(run(&area, " \n\n"), Err(CreateError::MissingPath));
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "old");
    assert!(!folder.path().join("nowhere").exists());
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3, "a temporary file was left behind");
}

proptest! {
    #[test]
    fn parsing_never_panics_and_keeps_the_text(content in "(\\PC|\n|\r){0,60}") {
        if let Ok(request) = CreateRequest::parse(&content) {
            let rest = request.content.strip_suffix('\n').unwrap_or(&request.content);
            prop_assert!(content.ends_with(&request.content) || content.ends_with(rest));
            prop_assert!(request.content.is_empty() || request.content.ends_with('\n'));
        } else {
            prop_assert!(content.trim().is_empty());
        }
    }
}
