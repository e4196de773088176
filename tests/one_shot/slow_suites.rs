//! Where a suite takes long, the tests that failed before run first, and alone while they fail.

use cwm::rollout::Ending;
use serde_json::Value;

use super::harness::{Scene, after, prompt};
use super::resume::from_every_record_the_same;
use crate::session::harness::need;

/// A module with a bug, a test of it, one that takes a while, and one that a wrong answer breaks.
const SUITE: &str = "\
printf 'def add(a, b):\\n    return a - b\\n' > calc.py
printf '%s\\n' 'import time, unittest' 'from calc import add' 'class Calc(unittest.TestCase):' \\
  '    def test_add(self): self.assertEqual(add(2, 3), 5)' \\
  '    def test_nothing(self): self.assertEqual(add(4, 0), 4)' \\
  '    def test_slow(self): time.sleep(1)' > test_calc.py";
const ISSUE: &str = "`add` in calc.py subtracts.";
const COMMAND: &str = "python3 -m unittest";

const ADD: &str = "test_calc.Calc.test_add";
const NOTHING: &str = "test_calc.Calc.test_nothing";
const SLOW: &str = "test_calc.Calc.test_slow";

fn answer(line: &str) -> String {
    format!("calc.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    {line}\n>>>>>>> REPLACE\n")
}

/// The suite, which took so many seconds.
fn scene(seconds: f64, commands: &[&str]) -> Scene {
    need("python3", "python3");
    let mut scene = Scene::new(SUITE, ISSUE, commands);
    for run in &mut scene.problem.baseline {
        run.seconds = seconds;
    }
    scene
}

/// The tests that each round ran, one list a command, as the journal has them.
fn ran(scene: &Scene) -> Vec<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(scene.journal_path()).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let tests = records.filter(|record| record["event"] == "tests");
    let names = |run: &Value| run["tests"].as_object().unwrap().keys().cloned().collect();
    let runs = tests.map(|record| record["runs"].as_array().unwrap().iter().map(names).collect());
    runs.collect()
}

#[test]
fn a_slow_suite_runs_in_full_only_for_a_right_answer() {
    let scene = scene(30.0, &[COMMAND]);
    let (candidate, model) = scene.attempt(&[&answer("return a * b"), &answer("return a + b")]);
    assert_eq!(ran(&scene), [vec![vec![ADD]], vec![vec![ADD, NOTHING, SLOW]]]);
    assert_eq!((candidate.ending.clone(), candidate.turns), (Ending::Finished, 2));
    assert!(after(&scene, &candidate, "calc.py").ends_with("return a + b\n"));
    let told = prompt(&model, 1);
    assert!(
        told.contains("6 != 5") && !told.contains("test_nothing"),
        "{told}"
    );
}

#[test]
fn a_quick_suite_runs_in_full_always() {
    let scene = scene(1.0, &[COMMAND]);
    let (candidate, _) = scene.attempt(&[&answer("return a * b"), &answer("return a + b")]);
    let all = vec![vec![ADD, NOTHING, SLOW]];
    assert_eq!(ran(&scene), [all.clone(), all]);
    assert_eq!(candidate.ending, Ending::Finished);
}

#[test]
fn an_answer_that_mends_one_test_and_breaks_another_is_no_solution() {
    let scene = scene(30.0, &[COMMAND]);
    let (candidate, model) = scene.attempt(&[&answer("return a + b if b else 0"), &answer("return a + b")]);
    let all = vec![vec![ADD, NOTHING, SLOW]];
    assert_eq!(ran(&scene), [all.clone(), all]);
    assert_eq!((candidate.ending, candidate.turns), (Ending::Finished, 2));
    assert!(prompt(&model, 1).contains("0 != 4"), "{}", prompt(&model, 1));
}

#[test]
fn commands_run_up_to_the_last_that_tells_of_a_wrong_answer() {
    // The first makes what the second needs; the last says nothing of the issue.
    let commands = [
        "echo built > built",
        "test -e built && python3 -m unittest",
        "test -e built; sleep 1",
    ];
    let scene = scene(30.0, &commands);
    let (candidate, _) = scene.attempt(&[&answer("return a * b"), &answer("return a + b")]);
    let [built, _, last] = commands.map(str::to_owned);
    assert_eq!(
        ran(&scene),
        [
            vec![vec![built.clone()], vec![ADD.to_owned()]],
            vec![
                vec![built],
                [ADD, NOTHING, SLOW].map(str::to_owned).to_vec(),
                vec![last]
            ],
        ]
    );
    assert_eq!(candidate.ending, Ending::Finished);
}

#[test]
fn a_module_that_no_longer_loads_is_told_of_by_the_whole() {
    let scene = scene(30.0, &[COMMAND]);
    let (candidate, model) = scene.attempt(&[&answer("return a +"), &answer("return a + b")]);
    assert_eq!(candidate.ending, Ending::Finished);
    assert!(prompt(&model, 1).contains("SyntaxError"), "{}", prompt(&model, 1));
}

#[test]
fn an_attempt_on_a_slow_suite_goes_on_where_it_was() {
    from_every_record_the_same(
        &scene(30.0, &[COMMAND]),
        &[&answer("return a * b"), "nothing", &answer("return a + b")],
    );
}
