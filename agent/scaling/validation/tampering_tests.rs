//! What a patch does that keeps tests from proving anything.

use cwm_tools::patch::parse;

use super::*;

/// What speaks against a diff in a tree of these files.
fn told(files: &[(&str, &str)], diff: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    against(&parse(diff.as_bytes()).unwrap(), folder.path(), &["make test"])
}

const LIBRARY: &str = "fn f() -> u8 {\n    1\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    fn one() {}\n    fn two() {}\n    #[test]\n    fn is_two() {\n        assert_eq!(f(), 2);\n    }\n}\n";

#[test]
fn a_patch_of_its_own_inline_tests_proves_nothing() {
    let files = [
        ("src/lib.rs", LIBRARY),
        ("a.py", "\"\"\"\n>>> f()\n1\n\"\"\"\nx = 1\n"),
    ];
    for (diff, inline) in [
        (
            "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,3 +1,3 @@\n fn f() -> u8 {\n-    1\n+    2\n }\n",
            None,
        ),
        // The place and the context of the hunk do not show that it is a test.
        (
            "--- a/src/lib.rs\n+++ b/src/lib.rs\n@@ -1,1 +1,1 @@\n-        assert_eq!(f(), 2);\n+        assert_eq!(f(), 1);\n",
            Some("src/lib.rs"),
        ),
        (
            "--- a/a.py\n+++ b/a.py\n@@ -2,2 +2,2 @@\n >>> f()\n-1\n+2\n",
            Some("a.py"),
        ),
        ("--- a/a.py\n+++ b/a.py\n@@ -5 +5 @@\n-x = 1\n+x = 2\n", None),
        (
            "--- /dev/null\n+++ b/src/test_a.rs\n@@ -0,0 +1,2 @@\n+#[cfg(test)]\n+mod a {}\n",
            None,
        ),
    ] {
        let expected: Vec<String> = inline
            .iter()
            .map(|name| {
                format!("it changes tests that stand within its files, so that they prove nothing: {name}")
            })
            .collect();
        assert_eq!(told(&files, diff), expected, "{diff}");
    }
}

#[test]
fn what_cannot_be_read_or_changes_the_runner_proves_nothing() {
    let misfit = "--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n-none\n+x\n";
    assert_eq!(
        told(&[("a.rs", "fn f() {}\n")], misfit),
        ["what it does to tests within its files cannot be told"]
    );
    let shadow = "--- /dev/null\n+++ b/pytest.py\n@@ -0,0 +1 @@\n+x = 1\n--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-test: a\n+test:\n";
    assert_eq!(
        told(&[("Makefile", "test: a\n")], shadow),
        ["it changes how the tests are run, so that they prove nothing: pytest.py, Makefile"]
    );
}

#[test]
fn binary_changes_are_told_by_their_paths_alone() {
    let binary = |path: &str| {
        format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
        )
    };
    assert!(told(&[], &binary("a.png")).is_empty());
    assert_eq!(told(&[], &binary("a.rs")), [UNTOLD]);
    assert_eq!(told(&[], &binary("pytest.so")), [UNTOLD]);
}

#[test]
fn nothing_outside_of_the_tree_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(folder.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink("..", tree.join("up")).unwrap();
    assert!(read(&tree, b"up/secret").is_err());
    assert!(read(&tree, b"../secret").is_err());
    assert!(read(&tree, b"none/at/all").unwrap().is_none());
    assert_eq!(read(&tree, b"up").unwrap().unwrap().mode, FileMode::Symlink);
}
