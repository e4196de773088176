//! Output of all kinds and sizes comes byte for byte; of what is long, head and tail, and the whole in a file inside.

use cwm_tools::sandbox::Ending;

use super::harness::{Inside, need, peak_memory, supervisor};

#[test]
fn all_bytes_come_as_they_are() {
    need("python3", "python3");
    let mut inside = Inside::new();
    let all: Vec<u8> = (0..=255).collect();
    let done = inside.run("python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 16)'");
    assert_eq!(done.result.output.head, all.repeat(16));
    let done = inside.run("printf 'a\\0b\\0\\xff\\xfe\\xc3\\x28\\xe2\\x82\\r\\n\\t\\b\\e[31m'");
    assert_eq!(
        done.result.output.head,
        b"a\0b\0\xff\xfe\xc3\x28\xe2\x82\r\n\t\x08\x1b[31m"
    );
    let done = inside.run("printf 'no newline at the end'");
    assert_eq!(done.text, "no newline at the end");
    assert_eq!(inside.run("true").text, "");
    assert_eq!(inside.ok("printf '\\r\\n'; echo; printf '\\n\\n'"), "\r\n\n\n\n");
}

#[test]
fn both_outputs_come_in_the_order_of_writing() {
    let mut inside = Inside::new();
    let text = inside.ok("for i in {1..500}; do echo out $i; echo err $i >&2; done");
    let expected: String = (1..=500).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(text, expected);
}

#[test]
fn escape_sequences_are_just_bytes() {
    let mut inside = Inside::new();
    let done = inside
        .run("for i in {1..20000}; do printf '\\e[2J\\e[H\\e[31;1m%s\\e[0m\\e]0;t\\a\\e[c\\e[6n' $i; done");
    let expected: String = (1..=20000)
        .map(|i| format!("\x1b[2J\x1b[H\x1b[31;1m{i}\x1b[0m\x1b]0;t\x07\x1b[c\x1b[6n"))
        .collect();
    assert_eq!(done.result.output.total_bytes, expected.len() as u64);
    assert!(expected.as_bytes().starts_with(&done.result.output.head));
    assert!(expected.as_bytes().ends_with(&done.result.output.tail));
    inside.assert_usable();
}

#[test]
fn ten_megabytes_without_a_newline() {
    let mut inside = Inside::new();
    let done = inside.run("echo -n start; head -c 10000000 /dev/zero | tr '\\0' x; echo -n end");
    assert_eq!(done.result.exit_code(), Some(0));
    let output = &done.result.output;
    assert_eq!(output.total_bytes, 10_000_008);
    assert!(output.head.starts_with(b"startxxx") && output.tail.ends_with(b"xxxend"));
    assert_eq!(
        output.omitted_bytes,
        10_000_008 - (output.head.len() + output.tail.len()) as u64
    );
    assert!(output.head.len() > 100_000 && output.tail.len() > 100_000);
    let kept = done.result.kept_output.unwrap();
    assert_eq!(kept.bytes, 10_000_008);
    assert_eq!(inside.session.file_size(&kept.path).unwrap(), Some(10_000_008));
    let file = kept.path.to_str().unwrap();
    assert_eq!(inside.ok(&format!("wc -c <{file}")).trim(), "10000008");
    assert_eq!(
        inside.ok(&format!("head -c 8 {file}; tail -c 6 {file}")),
        "startxxxxxxend"
    );
    inside.assert_usable();
}

#[test]
fn short_outputs_make_no_file_and_those_of_long_ones_stay() {
    let mut inside = Inside::new();
    assert_eq!(inside.run("seq 1 1000").result.kept_output, None);
    let mut files = Vec::new();
    for number in 0..40 {
        inside.session.name_output(format!("output-{number}"));
        let done = inside.run("head -c 600000 /dev/zero");
        files.push(done.result.kept_output.unwrap().path);
    }
    let unnamed = inside.run("head -c 600000 /dev/zero").result.kept_output.unwrap();
    files.push(unnamed.path);
    for file in files {
        assert_eq!(
            inside.session.file_size(&file).unwrap(),
            Some(600_000),
            "{file:?}"
        );
    }
    let missing = std::path::Path::new("/run/cwm/session/output/nothing.txt");
    assert_eq!(inside.session.file_size(missing).unwrap(), None);
}

#[test]
fn three_hundred_megabytes_in_bounded_memory() {
    let mut inside = Inside::with_timeout(110);
    let supervisor = supervisor(&mut inside);
    let before = peak_memory(supervisor);
    let done = inside.run("yes 'a line of output' | head -c 300000000");
    assert_eq!(
        done.result.ending,
        Ending::Exited(0),
        "after {:?}, {} bytes",
        done.result.wall_time,
        done.result.output.total_bytes
    );
    assert_eq!(done.result.output.total_bytes, 300_000_000);
    // More than is kept of one command's output, and that is said.
    let kept = done.result.kept_output.unwrap();
    assert!((1 << 20..100 << 20).contains(&kept.bytes), "{kept:?}");
    assert_eq!(inside.session.file_size(&kept.path).unwrap(), Some(kept.bytes));
    let after = peak_memory(supervisor);
    eprintln!(
        "300 MB in {:?}; the supervisor's peak was {before} KiB before and {after} KiB after",
        done.result.wall_time
    );
    assert!(after < 32 << 10, "{after} KiB");
    inside.assert_usable();
}
