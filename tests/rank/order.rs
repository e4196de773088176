//! Who comes first, and who is verified.

use super::{Bench, FIX, TESTS};

#[test]
fn the_right_patch_is_first_and_nothing_else_is_believed() {
    let bench = Bench::calculator();
    let patches = [
        bench.patch("breaks.diff", "sed -i 's/-/+/' calculator.sh"),
        bench.patch(
            "cheats.diff",
            "printf 'echo add is right\\n' > tests/add.sh; sed -i '1s/can/could/' calculator.sh",
        ),
        bench.patch(
            "hostile.diff",
            "git rm -q tests/*.sh; printf 'echo 2 passed in 0.01s; echo \"\\033[2J test result: ok. 2 passed\"\\n' >> calculator.sh",
        ),
        bench.patch("larger.diff", &format!("{FIX}; echo '# mended' >> calculator.sh")),
        bench.patch("nothing.diff", "sed -i '1s/can/could/' calculator.sh"),
        bench.patch("only-tests.diff", "printf 'true\\n' > tests/add.sh"),
        bench.patch("right.diff", FIX),
        bench.file("empty.diff", ""),
        bench.file("misfit.diff", "--- a/calculator.sh\n+++ b/calculator.sh\n@@ -1 +1 @@\n-no such line\n+x\n"),
        bench.file("prose.diff", "I would add the numbers.\n"),
    ];
    let best = bench.repository.root.with_file_name("best.diff");
    let words = ["-o", best.to_str().unwrap(), "--jobs", "2"];
    let words: Vec<&str> = words
        .into_iter()
        .chain(TESTS)
        .chain(patches.iter().map(|path| path.to_str().unwrap()))
        .collect();
    let told = bench.rank(&words);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let order = told.order();
    // What mends one thing and breaks another is better than what does nothing.
    assert_eq!(order[..3], ["right.diff", "larger.diff", "breaks.diff"]);
    assert!(order[3..6].contains(&"nothing.diff"), "{order:?}");
    let mut last = order[6..].to_vec();
    last.sort_unstable();
    assert_eq!(
        last,
        ["empty.diff", "misfit.diff", "only-tests.diff", "prose.diff"]
    );
    assert_eq!(order[6], "only-tests.diff");
    assert!(told.of("only-tests.diff")["refused"].is_null());
    told.assert_remark("only-tests.diff", "it changes only files that seem to be tests");

    let baseline = told.all("rank.baseline")[0];
    assert_eq!(baseline["failing"], serde_json::json!(["bash tests/add.sh"]));
    let verified: Vec<&str> = order
        .iter()
        .copied()
        .filter(|name| told.of(name)["verified"] == true)
        .collect();
    assert_eq!(verified, ["right.diff", "larger.diff"]);
    assert_eq!(told.of("right.diff")["remarks"], serde_json::json!([]));
    told.assert_remark(
        "breaks.diff",
        "conflicts with 1 test that passed before: bash tests/subtract.sh",
    );
    told.assert_remark(
        "cheats.diff",
        "what it does to test files was not applied: tests/add.sh",
    );
    told.assert_remark(
        "hostile.diff",
        "it deletes tests, which was not applied: tests/add.sh, tests/subtract.sh",
    );
    told.assert_remark(
        "nothing.diff",
        "nothing that failed before passes with it: bash tests/add.sh",
    );
    assert!(
        told.of("misfit.diff")["refused"]
            .as_str()
            .unwrap()
            .starts_with("calculator.sh: hunk 1")
    );
    assert_eq!(std::fs::read(best).unwrap(), std::fs::read(&patches[6]).unwrap());
}

#[test]
fn without_a_verified_patch_the_answer_is_no() {
    let bench = Bench::calculator();
    let nothing = bench.patch("nothing.diff", "sed -i '1s/can/could/' calculator.sh");
    let breaks = bench.patch("breaks.diff", "sed -i 's/-/+/' calculator.sh");
    let best = bench.repository.root.with_file_name("best.diff");
    let patches = [breaks.to_str().unwrap(), nothing.to_str().unwrap()];
    let words = [&["-o", best.to_str().unwrap()][..], &TESTS, &patches].concat();
    let told = bench.rank(&words);
    assert_eq!(
        (told.code, told.order()),
        (1, vec!["breaks.diff", "nothing.diff"])
    );
    assert!(
        !best.exists() && told.stderr.contains("no patch is verified"),
        "{}",
        told.stderr
    );
    // Where nothing fails, nothing is proven.
    let told = bench.rank(&["--test", "bash tests/subtract.sh", nothing.to_str().unwrap()]);
    assert_eq!(told.code, 1);
    assert!(
        told.stderr.contains("nothing fails without a patch"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_person_reads_a_table_and_the_reasons() {
    let bench = Bench::calculator();
    let patches = [
        bench.patch("breaks.diff", "sed -i 's/-/+/' calculator.sh"),
        bench.patch("right.diff", FIX),
        bench.patch("same.diff", FIX),
        bench.file("empty.diff", ""),
    ];
    let names = patches
        .iter()
        .map(|path| format!("../{}", path.file_name().unwrap().to_str().unwrap()));
    let names: Vec<String> = names.collect();
    let words: Vec<&str> = TESTS
        .into_iter()
        .chain(names.iter().map(String::as_str))
        .collect();
    let output = bench.spawn(&words).wait_with_output().unwrap();
    bench.assert_untouched();
    let stdout = String::from_utf8(output.stdout).unwrap();
    // Times differ.
    let lines: Vec<String> = stdout
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [rest @ .., number, "s"] if number.parse::<f64>().is_ok() => {
                    format!("{} TIME", rest.join(" "))
                }
                words => words.join(" "),
            }
        })
        .collect();
    assert_eq!(
        lines,
        [
            "place patch verified fixes breaks lines time",
            "1 ../right.diff yes 1 of 1 0 2 TIME",
            "2 ../same.diff yes 1 of 1 0 2 TIME",
            "3 ../breaks.diff no 1 of 1 1 4 TIME",
            "- ../empty.diff refused 1",
            "",
            "../right.diff",
            "2 of the patches make the same change",
            "",
            "../same.diff",
            "2 of the patches make the same change",
            "",
            "../breaks.diff",
            "conflicts with 1 test that passed before: bash tests/subtract.sh",
            "",
            "../empty.diff",
            "refused: it is empty",
        ],
        "{stdout}"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("failing without a patch: bash tests/add.sh\n"),
        "{stderr}"
    );
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'));
}

/// Without walls a test can count how often it was run.
#[test]
fn flaky_tests_are_told_and_left_out() {
    for (passes, start, where_told) in [
        ("$((n % 2)) = 1", "1", "the baseline"),
        ("$n != 1", "0", "the patch"),
    ] {
        let bench = Bench::calculator();
        let count = bench.file("count", "0");
        let count = count.to_str().unwrap();
        let counting = format!("n=$(cat {count}); echo $((n + 1)) > {count}; [ {passes} ]");
        let right = bench.patch("right.diff", FIX);
        let words = [
            "--sandbox",
            "external",
            "--test",
            &counting,
            right.to_str().unwrap(),
        ];
        let told = bench.rank(&[&TESTS[..], &words].concat());
        // Only what is flaky without it excuses a patch.
        let by_patch = where_told == "the patch";
        assert_eq!(told.code, i32::from(by_patch), "{where_told}: {}", told.stderr);
        let flaky = serde_json::json!([counting]);
        let baseline = if where_told == "the baseline" {
            flaky.clone()
        } else {
            serde_json::json!([])
        };
        assert_eq!(told.all("rank.baseline")[0]["flaky"], baseline, "{where_told}");
        assert_eq!(told.of("right.diff")["flaky"], flaky, "{where_told}");
        told.assert_remark(
            "right.diff",
            if by_patch {
                "1 test does not say the same each time with it"
            } else {
                "left out, because they do not say the same each time"
            },
        );
        // Without a second look they count.
        std::fs::write(count, start).unwrap();
        let told = bench.rank(&[&["--no-rerun"], &TESTS[..], &words].concat());
        assert_eq!((told.code, told.all("rank.patch").len()), (1, 1), "{where_told}");
    }
}
