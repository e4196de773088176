//! Writes a [`Patch`] as a git diff that `git apply` takes.

use super::quote;
use super::types::{Body, Change, FilePatch, Hunk, LineKind, Patch};
use super::{binary, manifest::FileMode};

/// The remark behind a last line that has no newline.
const NO_NEWLINE: &[u8] = b"\n\\ No newline at end of file\n";

/// The whole patch.
pub(super) fn patch(patch: &Patch) -> Vec<u8> {
    let mut out = Vec::new();
    for file in &patch.files {
        header(&mut out, file);
        body(&mut out, file);
    }
    out
}

/// `diff --git` and git's extended header lines.
fn header(out: &mut Vec<u8>, file: &FilePatch) {
    let old = file
        .old_path
        .as_deref()
        .or(file.new_path.as_deref())
        .unwrap_or_default();
    let new = file
        .new_path
        .as_deref()
        .or(file.old_path.as_deref())
        .unwrap_or_default();
    named_line(out, "diff --git ", b"a/", old);
    out.pop();
    named_line(out, " ", b"b/", new);
    let mode_line = |out: &mut Vec<u8>, words: &str, mode: Option<FileMode>| {
        let mode = mode.unwrap_or(FileMode::Regular);
        out.extend_from_slice(format!("{words} {:o}\n", mode.bits()).as_bytes());
    };
    let modes_differ = file.old_mode != file.new_mode;
    match file.change {
        Change::Added => mode_line(out, "new file mode", file.new_mode),
        Change::Deleted => mode_line(out, "deleted file mode", file.old_mode),
        _ if modes_differ => {
            mode_line(out, "old mode", file.old_mode);
            mode_line(out, "new mode", file.new_mode);
        }
        _ => {}
    }
    if let Change::Renamed { similarity } | Change::Copied { similarity } = file.change {
        out.extend_from_slice(format!("similarity index {similarity}%\n").as_bytes());
        let copied = matches!(file.change, Change::Copied { .. });
        named_line(out, if copied { "copy from " } else { "rename from " }, b"", old);
        named_line(out, if copied { "copy to " } else { "rename to " }, b"", new);
    }
    if let (Some(old_id), Some(new_id)) = (&file.old_id, &file.new_id) {
        out.extend_from_slice(format!("index {old_id}..{new_id}").as_bytes());
        if let (Some(mode), false) = (file.new_mode, modes_differ) {
            out.extend_from_slice(format!(" {:o}", mode.bits()).as_bytes());
        }
        out.push(b'\n');
    }
}

/// A line that ends with a name.
fn named_line(out: &mut Vec<u8>, words: &str, prefix: &[u8], name: &[u8]) {
    out.extend_from_slice(words.as_bytes());
    quote::write(out, prefix, name);
    out.push(b'\n');
}

/// A `---` or `+++` line; a tab keeps the spaces of a name apart from a timestamp.
fn side_line(out: &mut Vec<u8>, words: &str, prefix: &[u8], name: Option<&[u8]>) {
    let Some(name) = name else {
        out.extend_from_slice(words.as_bytes());
        out.extend_from_slice(b"/dev/null\n");
        return;
    };
    named_line(out, words, prefix, name);
    if name.contains(&b' ') && !quote::needs_quotes(name) {
        out.pop();
        out.extend_from_slice(b"\t\n");
    }
}

fn body(out: &mut Vec<u8>, file: &FilePatch) {
    match &file.body {
        Body::None => {}
        Body::BinaryOmitted => {
            out.extend_from_slice(b"Binary files ");
            omitted_name(out, b"a/", file.old_path.as_deref());
            out.extend_from_slice(b" and ");
            omitted_name(out, b"b/", file.new_path.as_deref());
            out.extend_from_slice(b" differ\n");
        }
        Body::Binary { forward, reverse } => {
            out.extend_from_slice(b"GIT binary patch\n");
            binary::write(out, forward);
            if let Some(reverse) = reverse {
                binary::write(out, reverse);
            }
        }
        Body::Text(hunks) => {
            side_line(out, "--- ", b"a/", file.old_path.as_deref());
            side_line(out, "+++ ", b"b/", file.new_path.as_deref());
            hunks.iter().for_each(|hunk| write_hunk(out, hunk));
        }
    }
}

fn omitted_name(out: &mut Vec<u8>, prefix: &[u8], name: Option<&[u8]>) {
    match name {
        Some(name) => quote::write(out, prefix, name),
        None => out.extend_from_slice(b"/dev/null"),
    }
}

fn write_hunk(out: &mut Vec<u8>, hunk: &Hunk) {
    let range = |start: Option<u32>, lines: usize| match (start.unwrap_or(0), lines) {
        (start, 1) => start.to_string(),
        (start, lines) => format!("{start},{lines}"),
    };
    let old = range(hunk.old_start, hunk.old_lines());
    let new = range(hunk.new_start, hunk.new_lines());
    out.extend_from_slice(format!("@@ -{old} +{new} @@").as_bytes());
    if !hunk.section.is_empty() {
        out.push(b' ');
        out.extend_from_slice(&hunk.section);
    }
    out.push(b'\n');
    for line in &hunk.lines {
        out.push(match line.kind {
            LineKind::Context => b' ',
            LineKind::Removed => b'-',
            LineKind::Added => b'+',
        });
        out.extend_from_slice(&line.text);
        if line.text.last() != Some(&b'\n') {
            out.extend_from_slice(NO_NEWLINE);
        }
    }
}
