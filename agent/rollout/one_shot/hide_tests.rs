//! Tests of hiding a function's body.

use std::path::Path;

use super::*;
use crate::context::RankRequest;

fn hidden(path: &str, text: &str, issue: &str) -> Option<(String, (String, String))> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(path), text).unwrap();
    let ranking = Ranking::of(&RankRequest {
        tree: folder.path(),
        root: Path::new("/repository"),
        issue,
        failures: &[],
        caches: None,
    })
    .unwrap();
    let lines = text.lines().count();
    let mut files = [ShownFile {
        path: path.to_owned(),
        language: String::new(),
        text: text.trim_end().to_owned(),
        first_line: 1,
        last_line: lines,
        file_lines: lines,
        whole: true,
        is_test: false,
        hidden: false,
    }];
    let found = hide(&Prompts::built_in().unwrap(), &ranking, &mut files).unwrap()?;
    Some((files[0].text.clone(), found))
}

#[test]
fn the_body_behind_the_docstring_is_hidden() {
    let text = "class A:\n    def other(self):\n        return 1\n\n    def mean(self, b):\n        '''The mean.'''\n        c = 1\n\n        return c\n\nx = 1\n";
    let (text, found) = hidden("a.py", text, "`mean` is wrong").unwrap();
    assert_eq!(found, ("mean".to_owned(), "a.py".to_owned()));
    assert_eq!(
        text,
        "class A:\n    def other(self):\n        return 1\n\n    def mean(self, b):\n        '''The mean.'''\n        # body to be written\n\nx = 1"
    );
}

#[test]
fn what_nothing_tells_of_is_not_hidden() {
    assert_eq!(
        hidden("a.py", "def mean(b):\n    return 1\n", "`mean` is wrong"),
        None
    );
    assert_eq!(
        hidden(
            "a.py",
            "def mean(b):\n    '''The mean.'''\n    return 1\n",
            "it is wrong"
        ),
        None
    );
}

#[test]
fn braces_stay() {
    let text = "/// The mean.\npub fn mean(b: f64) -> f64 {\n    let c = b;\n    c\n}\n";
    let (text, _) = hidden("a.rs", text, "`mean` is wrong").unwrap();
    assert_eq!(
        text,
        "/// The mean.\npub fn mean(b: f64) -> f64 {\n    // body to be written\n}"
    );
}
