//! What of a submission and of a large patch counts.

use super::*;

#[test]
fn a_submitted_file_is_known_however_its_path_is_written() {
    let root = Path::new("/home/ada/project");
    for (path, directory, expected) in [
        ("fix.patch", "/home/ada/project", Some("fix.patch")),
        (" ./fix.patch\n", "/home/ada/project/sub", Some("sub/fix.patch")),
        ("../fix.patch", "/home/ada/project/sub", Some("fix.patch")),
        ("/tmp/../home/ada/./project/a//b", "/", Some("a/b")),
        ("../fix.patch", "/home/ada/project", None),
        ("/../../tmp/fix.patch", "/", None),
    ] {
        let found = in_repository(path, root, Path::new(directory));
        assert_eq!(found, expected.map(|path| path.as_bytes().to_vec()), "{path}");
    }
}

fn added(path: &str, lines: usize) -> String {
    let body = "+0123456789\n".repeat(lines);
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n{body}"
    )
}

const FIX: &str = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n";

#[test]
fn the_largest_new_files_go_first_and_the_fix_stays() {
    let patch = format!(
        "{FIX}{}{}{}",
        added("large", 900),
        added("larger", 1000),
        added("small", 3)
    );
    let mut left_out = Vec::new();
    let whole = without_large_additions(patch.clone().into_bytes(), patch.len(), &mut left_out);
    assert_eq!((whole.unwrap(), left_out.len()), (patch.into_bytes(), 0));

    let patch = format!(
        "{FIX}{}{}{}",
        added("large", 900),
        added("larger", 1000),
        added("small", 3)
    );
    let fitted = without_large_additions(patch.into_bytes(), 2000, &mut left_out).unwrap();
    assert_eq!(left_out, ["larger", "large"]);
    assert_eq!(
        String::from_utf8(fitted).unwrap(),
        format!("{FIX}{}", added("small", 3))
    );
}

#[test]
fn a_fix_that_is_too_large_itself_is_none() {
    let patch = format!("{FIX}{}", added("new", 9)).into_bytes();
    assert_eq!(without_large_additions(patch, 20, &mut Vec::new()), None);
}
