//! Edits against fixtures, against a naive reference, and on files that are not plain.

use std::fs;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;

use super::*;

/// Runs every folder of `fixtures/edit`: `call.txt` on `input.txt` gives `expected.txt`, or fails as `error.txt` says.
#[test]
fn fixtures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/edit");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 45, "only {} fixtures found", names.len());
    let mut wrong = Vec::new();
    for case in &names {
        let work = tempfile::tempdir().unwrap();
        let input = fs::read(case.join("input.txt")).unwrap();
        fs::write(work.path().join("input.txt"), &input).unwrap();
        let area = FileArea::open(&[work.path().to_path_buf()], work.path().to_path_buf()).unwrap();
        let result = run(&area, &fs::read_to_string(case.join("call.txt")).unwrap());
        let after = fs::read(work.path().join("input.txt")).unwrap();
        let name = case.file_name().unwrap().to_string_lossy();
        match (
            result,
            fs::read(case.join("expected.txt")),
            fs::read_to_string(case.join("error.txt")),
        ) {
            (Ok(_), Ok(expected), Err(_)) if after == expected => {}
            (Err(error), Err(_), Ok(expected)) => {
                let root = work.path().to_string_lossy().into_owned();
                let shown = format!("{error}\n{error:#?}\n").replace(&root, "ROOT");
                if shown != expected || after != input {
                    wrong.push(format!("{name}: {shown}"));
                }
            }
            (result, ..) => {
                wrong.push(format!(
                    "{name}: {result:#?}, file {:?}",
                    String::from_utf8_lossy(&after)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn success_shows_the_change_with_eight_lines_around_it() {
    let original: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    let request = EditRequest::new("f", "line 20\nline 21\n", "new a\nnew b\nnew c\n").unwrap();
    let edited = apply(original.as_bytes(), &request).unwrap();
    assert_eq!(
        (
            edited.first_line,
            edited.removed_lines,
            edited.added_lines,
            edited.total_lines
        ),
        (20, 2, 3, 41)
    );
    assert_eq!(edited.excerpt.first(), Some(&(12, "line 12".to_owned())));
    assert_eq!(edited.excerpt.get(8), Some(&(20, "new a".to_owned())));
    assert_eq!(edited.excerpt.last(), Some(&(30, "line 29".to_owned())));

    let removal = apply(
        original.as_bytes(),
        &EditRequest::new("f", "line 20\n", "").unwrap(),
    )
    .unwrap();
    let numbers: Vec<usize> = removal.excerpt.iter().map(|line| line.0).collect();
    assert_eq!(numbers, (12..=27).collect::<Vec<_>>());
}

#[test]
fn the_number_of_dividers_tried_is_bounded() {
    let content = |dividers: usize| {
        format!(
            "f\n<<<<<<< SEARCH\na\n{}b\n>>>>>>> REPLACE",
            "=======\n".repeat(dividers)
        )
    };
    let request = EditRequest::parse(&content(32)).unwrap();
    // Only the first divider leaves a search text that is there; what follows it is the replacement.
    let edited = apply(b"x\na\nx\n", &request).unwrap();
    assert_eq!(
        edited.bytes,
        format!("x\n{}b\nx\n", "=======\n".repeat(31)).as_bytes()
    );
    assert_eq!(
        EditRequest::parse(&content(33)),
        Err(EditSyntaxError::TooManyDividers { count: 33 })
    );
}

#[test]
fn an_edit_made_in_code_is_never_ambiguous() {
    let request = EditRequest::new("f", "Title\n=======", "New\n=======\n").unwrap();
    let edited = apply(b"Title\n=======\ntext\n", &request).unwrap();
    assert_eq!(edited.bytes, b"New\n=======\ntext\n");
    assert_eq!(EditRequest::new(" ", "a", "b"), Err(EditSyntaxError::MissingPath));
    assert_eq!(
        EditRequest::new("f", " \n", "b"),
        Err(EditSyntaxError::EmptySearch)
    );
}

/// Results leave the sandbox over a socket.
#[test]
fn results_and_errors_survive_the_wire() {
    let work = tempfile::tempdir().unwrap();
    let text = "def f():\n\treturn 1\n\nx = 1\nx = 1\n";
    fs::write(work.path().join("a.py"), text).unwrap();
    let area = FileArea::open(&[work.path().to_path_buf()], work.path().to_path_buf()).unwrap();
    let call = |search: &str, replace: &str| {
        format!("a.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE")
    };
    let mut kinds = Vec::new();
    for content in [
        call("    return 1", "x"),
        call("def f():\n\treturn 3", "x"),
        call("x = 1", "y"),
        call("\treturn 1", "\treturn 1"),
        call("def f():", "def g():"),
        "a.py".to_owned(),
        "/etc/passwd\n<<<<<<< SEARCH\na\n=======\n>>>>>>> REPLACE".to_owned(),
    ] {
        let result = run(&area, &content);
        let wire = postcard::to_allocvec(&result).unwrap();
        assert_eq!(
            postcard::from_bytes::<Result<EditDone, EditError>>(&wire).unwrap(),
            result
        );
        kinds.push(result.map(|_| ()).map_err(|error| error.to_string()));
    }
    kinds.dedup();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn very_long_lines_are_cut_where_shown_but_not_in_the_file() {
    let long = "é".repeat(100_000);
    let edited = apply(
        format!("{long}\nb\n").as_bytes(),
        &EditRequest::new("f", "b\n", "c\n").unwrap(),
    )
    .unwrap();
    assert_eq!(edited.bytes, format!("{long}\nc\n").as_bytes());
    assert!(edited.excerpt[0].1.len() < 1100, "{}", edited.excerpt[0].1.len());
}

#[test]
fn large_files_cost_little() {
    // 10 MB of lines that all begin like the search text, the worst case for a naive search and for the hints.
    let line = "        self.assertEqual(value, expected)\n";
    let file = line.repeat((10 << 20) / line.len());
    let search = format!("{}something else\n", line.repeat(500));
    let begin = Instant::now();
    let failure = apply(file.as_bytes(), &EditRequest::new("f", &search, "x\n").unwrap()).unwrap_err();
    let elapsed = begin.elapsed();
    assert!(matches!(failure, EditFailure::NoMatch(_)), "{failure}");
    println!("a failed edit of a 10 MiB file took {elapsed:?}");
    // Unoptimised builds on a busy machine included; a quadratic search would take many minutes.
    assert!(elapsed.as_secs() < 30, "{elapsed:?}");
}

/// A second, plain reading of the rules on texts whose lines all end in `\n` or all in `\r\n`.
fn reference(file: &str, search: &str, replace: &str) -> Result<String, usize> {
    let ending = if file.contains("\r\n") { "\r\n" } else { "\n" };
    let lines: Vec<&str> = file.split_terminator(ending).collect();
    let wanted: Vec<&str> = search.split_terminator('\n').collect();
    let places: Vec<usize> = (0..lines.len())
        .filter(|&at| lines.get(at..at + wanted.len()) == Some(&wanted[..]))
        .collect();
    let [at] = places[..] else {
        return Err(places.len());
    };
    let mut new: Vec<&str> = lines[..at].to_vec();
    new.extend(replace.split_terminator('\n'));
    new.extend(&lines[at + wanted.len()..]);
    Ok(new.iter().map(|line| format!("{line}{ending}")).collect())
}

fn few_lines(min: usize, max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "ab", " a", "", "x y"], min..max)
        .prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn apply_equals_the_reference(
        file in few_lines(0, 14), search in few_lines(1, 4), replace in few_lines(0, 4), crlf: bool,
    ) {
        prop_assume!(!search.trim().is_empty());
        let file = if crlf { file.replace('\n', "\r\n") } else { file };
        let request = EditRequest::new("f", &search, &replace).unwrap();
        match (apply(file.as_bytes(), &request), reference(&file, &search, &replace)) {
            (Ok(edited), Ok(expected)) => prop_assert_eq!(edited.bytes, expected.as_bytes()),
            (Err(EditFailure::NoChange { .. }), Ok(expected)) => prop_assert_eq!(expected, file),
            (Err(EditFailure::NoMatch(_)), Err(0)) => {}
            (Err(EditFailure::SeveralMatches { count, .. }), Err(places)) => prop_assert_eq!(count, places),
            (result, expected) => prop_assert!(false, "{result:?} against {expected:?}"),
        }
    }

    #[test]
    fn a_call_carries_any_text_without_markers(search in few_lines(1, 5), replace in few_lines(0, 5)) {
        prop_assume!(!search.trim().is_empty());
        let content = format!("dir/f.py\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE");
        let request = EditRequest::parse(&content).unwrap();
        let splits: Vec<Split<'_>> = request.splits().collect();
        prop_assert_eq!(request.path.as_str(), "dir/f.py");
        prop_assert_eq!(splits.len(), 1);
        prop_assert_eq!((splits[0].search, splits[0].replace), (search.as_str(), replace.as_str()));
    }

    #[test]
    fn parsing_and_applying_never_panic(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<<<<<<< SEARCH".to_owned()), Just("=======".to_owned()),
                Just(">>>>>>> REPLACE".to_owned()), Just("\n".to_owned()), Just("\r\n".to_owned()),
                Just("p.txt\n".to_owned()), "\\PC{0,6}", ".{0,6}",
            ], 0..24),
        file in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let content = parts.concat();
        if let Ok(request) = EditRequest::parse(&content) {
            // Sometimes a file that holds one of the search texts, so that the edit itself is reached.
            let searches: Vec<Vec<u8>> = request.splits().map(|split| split.search.as_bytes().to_vec()).collect();
            let _ = apply(&file, &request);
            for search in searches {
                let _ = apply(&[file.as_slice(), b"\n", &search, &file].concat(), &request);
            }
        }
    }
}
