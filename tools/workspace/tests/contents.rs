//! Files that are on disk in another form than git stores them: line endings, large files, filters.

use super::fixture::{Fixture, write};
use super::kinds::{committed, manifest, read, tree_by_git, uncommitted, untracked};
use crate::patch::manifest::Checkout;
use crate::workspace::Note;

#[test]
fn line_endings_are_those_of_the_checkout() {
    let fixture = Fixture::new();
    fixture.git(&["config", "core.autocrlf", "true"]);
    for path in ["README", "src/lib.py"] {
        std::fs::remove_file(fixture.repo.join(path)).unwrap();
    }
    fixture.git(&["checkout", "-q", "."]);
    assert_eq!(std::fs::read(fixture.repo.join("README")).unwrap(), b"one\r\n");
    fixture.snapshot(&committed());
    assert_eq!(read(&fixture, "README"), b"one\r\n");
    let checkout = |path: &str| manifest(&fixture).entries[path.as_bytes()].checkout;
    assert_eq!(
        (checkout("README"), checkout("binary")),
        (Checkout::CarriageReturns, Checkout::Exact)
    );
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
}

#[test]
fn uncommitted_line_endings_become_what_git_would_store() {
    let fixture = Fixture::new();
    fixture.write("mixed.txt", "a\r\nb\n");
    fixture.write("returns.txt", "a\r\nb\r\n");
    fixture.write("kept.txt", "kept\r\n");
    fixture.commit("files with carriage returns");
    fixture.git(&["config", "core.autocrlf", "true"]);
    fixture.write(".gitattributes", "*.c text\n*.bat eol=crlf\n*.raw -text\n");
    fixture.write("kept.txt", "kept\r\nchanged\r\n");
    fixture.write("new.c", "int a;\r\nint b;\r\n");
    fixture.write("half.c", "int a;\r\nint b;\n");
    fixture.write("new.bat", "echo\r\n");
    fixture.write("new.raw", "raw\r\n");
    fixture.write("guessed", "text\r\n");
    fixture.write("guessed-binary", "text\r\n\0");
    fixture.write("README", "one\r\ntwo\r\n");
    let snapshot = fixture.snapshot(&untracked());
    assert_eq!(
        fixture.inside(&["rev-parse", "HEAD^{tree}"]),
        tree_by_git(&fixture, &["add", "-A"])
    );
    assert_eq!(snapshot.notes, [Note::MixedLineEndings("half.c".into())]);
    assert_eq!(read(&fixture, "new.c"), b"int a;\r\nint b;\r\n");
    assert_eq!(fixture.inside(&["status", "--porcelain"]), "");
}

/// A pointer as Git LFS writes it, its sum taken by `sha256sum`.
fn pointer(fixture: &Fixture, content: &[u8]) -> String {
    let file = fixture.folder.path().join("content");
    write(&file, content);
    let output = std::process::Command::new("sha256sum")
        .arg(&file)
        .output()
        .unwrap();
    let sum = String::from_utf8(output.stdout).unwrap();
    std::fs::remove_file(file).unwrap();
    let sum = sum.split(' ').next().unwrap().to_owned();
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{sum}\nsize {}\n",
        content.len()
    )
}

#[test]
fn large_file_content_is_laid_out_where_the_user_has_it() {
    let fixture = Fixture::new();
    let large = vec![7_u8; 20 << 20];
    fixture.write("have.bin", pointer(&fixture, b"the content"));
    fixture.write("large.bin", pointer(&fixture, &large));
    fixture.write("lack.bin", pointer(&fixture, b"elsewhere"));
    fixture.write("other.bin", pointer(&fixture, b"expected"));
    fixture.commit("pointers");
    fixture.write(".gitattributes", "*.bin filter=lfs -text\n");
    fixture.commit("attributes");
    fixture.write("have.bin", "the content");
    fixture.write("large.bin", &large);
    fixture.write("other.bin", "something else");
    fixture.snapshot(&committed());
    let checkout = |path: &str| manifest(&fixture).entries[path.as_bytes()].checkout;
    assert_eq!(read(&fixture, "have.bin"), b"the content");
    assert_eq!(read(&fixture, "large.bin"), large);
    assert_eq!(
        (checkout("have.bin"), checkout("large.bin")),
        (Checkout::LfsContent, Checkout::LfsContent)
    );
    assert_eq!(
        (checkout("lack.bin"), checkout("other.bin")),
        (Checkout::Exact, Checkout::Exact)
    );
    assert_eq!(
        read(&fixture, "other.bin"),
        pointer(&fixture, b"expected").as_bytes()
    );
}

#[test]
fn changed_large_files_are_stored_as_pointers() {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "*.bin filter=lfs -text\n");
    fixture.commit("attributes");
    fixture.write("new.bin", "new content");
    fixture.snapshot(&untracked());
    assert_eq!(
        fixture.inside(&["cat-file", "blob", "HEAD:new.bin"]),
        pointer(&fixture, b"new content").trim_end()
    );
    assert_eq!(read(&fixture, "new.bin"), b"new content");
}

#[test]
fn foreign_filters_are_not_run() {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "secret filter=scramble\n");
    fixture.write("secret", "stored form\n");
    fixture.commit("filtered");
    let trap = fixture.folder.path().join("trap");
    fixture.git(&[
        "config",
        "filter.scramble.clean",
        &format!("touch {}; cat", trap.display()),
    ]);
    fixture.write("secret", "clear form\n");
    let snapshot = fixture.snapshot(&uncommitted());
    assert_eq!(read(&fixture, "secret"), b"stored form\n");
    assert_eq!(snapshot.notes, [Note::FilteredChange("secret".into())]);
    assert!(!trap.exists());
}
