//! Rounds from the first answer to the candidate.

use std::sync::Arc;

use cwm::rollout::Ending;
use cwm::rollout::journal::{Journal, NoObserver};
use cwm_runtime::source::{CallFormat, ModelInfo, ScriptAnswer, ScriptModel};

use super::harness::{Scene, after, prompt};

/// A shell script with a bug, and a test of it.
const ADDING: &str = "\
printf '#!/bin/sh\\n# Adds two numbers.\\nexpr $1 - $2\\n' > add.sh; chmod +x add.sh
printf '#!/bin/sh\\nr=$(./add.sh 2 3)\\n[ \"$r\" = 5 ] || { echo \"add.sh 2 3 gave $r, not 5\"; exit 1; }\\n' > test.sh";
const ISSUE: &str = "`add.sh` subtracts: `./add.sh 2 3` prints -1.";

fn block(path: &str, search: &str, replace: &str) -> String {
    format!("{path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n")
}

#[test]
fn a_right_answer_ends_the_attempt() {
    let scene = Scene::new(ADDING, ISSUE, &["sh test.sh"]);
    let (candidate, model) =
        scene.attempt(&[&block("add.sh", "expr $1 - $2", "expr $1 + $2"), "never asked"]);
    assert_eq!(candidate.ending, Ending::Finished);
    assert_eq!(
        after(&scene, &candidate, "add.sh"),
        "#!/bin/sh\n# Adds two numbers.\nexpr $1 + $2\n"
    );
    assert_eq!((candidate.turns, model.remaining()), (1, 1));
    let asked = prompt(&model, 0);
    assert!(asked.contains("expr $1 - $2"), "the file is shown: {asked}");
    assert!(
        asked.contains("add.sh 2 3 gave -1, not 5"),
        "and what the test says: {asked}"
    );
    assert!(asked.contains("add.sh` subtracts"), "and the issue: {asked}");
}

#[test]
fn failing_output_is_shown_to_the_second_round() {
    let scene = Scene::new(ADDING, ISSUE, &["sh test.sh"]);
    let wrong = block("add.sh", "expr $1 - $2", "expr $1 \\* $2");
    let (candidate, model) = scene.attempt(&[&wrong, &block("add.sh", "expr $1 - $2", "expr $1 + $2")]);
    assert_eq!(candidate.ending, Ending::Finished);
    assert_eq!((candidate.turns, model.remaining()), (2, 0));
    assert!(
        prompt(&model, 1).contains("add.sh 2 3 gave 6, not 5"),
        "{}",
        prompt(&model, 1)
    );
    assert!(after(&scene, &candidate, "add.sh").ends_with("expr $1 + $2\n"));
}

#[test]
fn an_answer_that_cannot_be_used_is_asked_for_again() {
    let scene = Scene::new(ADDING, ISSUE, &["sh test.sh"]);
    let (candidate, model) = scene.attempt(&[
        "I think that the minus is wrong.",
        &block("add.sh", "expr $9 - $8 is not there", "x"),
        &block("add.sh", "expr $1 - $2", "expr $1 + $2"),
    ]);
    assert_eq!(candidate.ending, Ending::Finished);
    assert_eq!((candidate.turns, model.remaining()), (1, 0));
    let requests = model.requests();
    assert_eq!(requests[0].prompt, requests[1].prompt);
    assert_ne!(requests[0].sampling.seed, requests[1].sampling.seed);
    assert!(
        requests[1].sampling.temperature > 0.0,
        "greedily it would say the same"
    );
}

#[test]
fn an_answer_that_repeats_the_example_is_asked_for_without_it() {
    let mut scene = Scene::new(ADDING, ISSUE, &["sh test.sh"]);
    // The fourth attempt asks for edits, with an example of them.
    scene.options.index = 3;
    let copied = block(
        "shop.py",
        "        total += price + quantity",
        "        total += price * quantity",
    );
    let (candidate, model) = scene.attempt(&[&copied, &block("add.sh", "expr $1 - $2", "expr $1 + $2")]);
    assert_eq!(candidate.ending, Ending::Finished);
    assert_eq!((candidate.turns, model.remaining()), (1, 0));
    assert!(prompt(&model, 0).contains("total_price"), "{}", prompt(&model, 0));
    assert!(
        !prompt(&model, 1).contains("total_price"),
        "{}",
        prompt(&model, 1)
    );
    assert!(
        prompt(&model, 1).contains("expr $1 - $2"),
        "{}",
        prompt(&model, 1)
    );
}

#[test]
fn a_small_model_writes_the_function_again_when_its_repair_fails() {
    let files = "\
printf 'def mean(values):\\n    \"\"\"The mean of the values.\"\"\"\\n    return sum(values)\\n' > stats.py
printf 'import unittest\\nfrom stats import mean\\n\\n\\nclass T(unittest.TestCase):\\n    def test_mean(self):\\n        self.assertEqual(mean([2, 4]), 3)\\n' > test_stats.py";
    let scene = Scene::new(
        files,
        "`mean` in stats.py gives the sum.",
        &["python3 -m unittest -q test_stats"],
    );
    let file = |body: &str| {
        format!("```python\ndef mean(values):\n    \"\"\"The mean of the values.\"\"\"\n    {body}\n```\n")
    };
    let answers = [
        file("return sum(values) / 3"),
        "def mean(values):\n    return sum(values) / len(values)\n".to_owned(),
    ];
    let model = ScriptModel::with_info(
        answers.iter().map(|answer| ScriptAnswer::new(answer.as_str())),
        ModelInfo {
            name: "small".to_owned(),
            context: Some(8192),
            fingerprint: None,
            parameters: Some(1_500_000_000),
            calls: CallFormat::None,
        },
    );
    let journal = Journal::create(&scene.journal_path(), Arc::new(NoObserver)).unwrap();
    let candidate = scene.attempt_with(&model, &journal).unwrap();
    assert_eq!(candidate.ending, Ending::Finished, "{candidate:?}");
    assert_eq!((candidate.turns, model.remaining()), (2, 0));
    let asked = [prompt(&model, 0), prompt(&model, 1)];
    assert!(asked[0].contains("return sum(values)"), "{}", asked[0]);
    assert!(asked[1].contains("must be written again"), "{}", asked[1]);
    assert!(
        !asked[1].contains("return sum(values)"),
        "neither its bug nor its answer: {}",
        asked[1]
    );
}

#[test]
fn the_best_round_is_kept_when_all_fail() {
    let script = format!("{ADDING}\nprintf '[ -e add.sh ]\\n./add.sh 1 1 | grep -q .' > other.sh");
    let scene = Scene::new(&script, ISSUE, &["sh test.sh", "sh other.sh"]);
    let better = block("add.sh", "expr $1 - $2", "expr $1 \\* $2");
    let worse = block("add.sh", "expr $1 - $2", "exit 7");
    let (candidate, _) = scene.attempt(&[&better, &worse]);
    assert_eq!(candidate.ending, Ending::Turns);
    assert!(after(&scene, &candidate, "add.sh").ends_with("expr $1 \\* $2\n"));
    let (candidate, _) = scene.attempt(&[&worse, &better]);
    assert!(after(&scene, &candidate, "add.sh").ends_with("expr $1 \\* $2\n"));
}
