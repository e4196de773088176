//! Attempts that were cut short, and go on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cwm::rollout::journal::{Observer, Record};
use cwm::rollout::{AttemptOptions, Candidate, Control, Ending, RolloutError};
use cwm_runtime::source::{ScriptAnswer, ScriptModel};

use super::harness::{Bench, call, options, turn};

const EDIT: &str = "greet.py
<<<<<<< SEARCH
    return f\"Hello, {name}!\"
=======
    return f\"Hello, {name or 'world'}!\"
>>>>>>> REPLACE";

/// Turns that use every tool, shell state, an error, a loop, and so much output that some of it is taken out.
fn answers() -> Vec<ScriptAnswer> {
    vec![
        call("bash", "cd /tmp; COUNT=7; seq 1001 1330"),
        call("bash", "seq 2001 2330"),
        turn("No call here."),
        call("edit", &EDIT.replace("greet.py", "../../../../../no/greet.py")),
        call("bash", "cd - > /dev/null; echo $COUNT > count.txt; seq 3001 3330"),
        call("bash", "cat count.txt; seq 4001 4330"),
        call("bash", "cat count.txt; sed -n 330p /tmp/attempt-1-output-1.txt"),
        call("bash", "seq 100000"),
        call("bash", "tail -n 1 /run/cwm/session/output/turn-8.txt"),
        call("bash", "rm -f count.txt; ls"),
        call("bash", "rm -f count.txt; ls"),
        call("bash", "rm -f count.txt; ls"),
        call("edit", EDIT),
        call("bash", "git diff > /tmp/fix.patch"),
        call("submit", "/tmp/fix.patch"),
        turn("## Summary\n\nDone."),
    ]
}

fn small_window() -> AttemptOptions {
    let mut options = options();
    options.budget.context = 3900;
    options
}

/// A candidate without what clocks say.
fn plain(mut candidate: Candidate) -> Candidate {
    candidate.seconds = 0.0;
    candidate
}

fn without_notices(conversation: &str) -> String {
    let lines = conversation
        .lines()
        .filter(|line| !line.starts_with("=== (notice)"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Does something at a record.
struct Hook<F>(F);

impl<F: Fn(&Record) + Send + Sync> Observer for Hook<F> {
    fn recorded(&self, record: &Record) {
        (self.0)(record);
    }

    fn generated(&self, _attempt: &str, _tokens: usize) {}
}

/// Calls `act` when the model has answered so many times.
fn at_answer(number: usize, act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Observer> {
    let answers = AtomicUsize::new(0);
    Arc::new(Hook(move |record: &Record| {
        if matches!(record, Record::Generation { .. }) && answers.fetch_add(1, Ordering::SeqCst) + 1 == number
        {
            act();
        }
    }))
}

#[test]
fn wherever_it_is_cut_the_result_is_the_same() {
    let bench = Bench::shared();
    let model = ScriptModel::new(answers(), None);
    let whole = plain(bench.run(&model, &small_window(), "whole").unwrap());
    assert_eq!(whole.ending, Ending::Finished);
    let conversation = without_notices(&bench.conversation("whole"));
    assert!(conversation.contains("=== (taken out: "), "{conversation}");
    let requests = model.requests();

    let journal = fs::read_to_string(bench.journal_path("whole")).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    assert!(lines.last().unwrap().contains("\"event\":\"candidate\""));
    for cut in 0..lines.len() {
        let kept = &lines[..cut];
        let said = kept
            .iter()
            .filter(|line| line.contains("\"event\":\"generation\""))
            .count();
        // A process that was killed leaves half a line.
        let half = &lines[cut][..lines[cut].len() / 2];
        let name = format!("cut-{cut}");
        fs::write(bench.journal_path(&name), kept.concat() + half).unwrap();
        let model = ScriptModel::new(answers().into_iter().skip(said), None);
        let resumed = bench.run(&model, &small_window(), &name);
        let resumed = plain(resumed.unwrap_or_else(|error| panic!("cut at {cut}: {error}")));
        assert_eq!(resumed, whole, "cut at {cut}");
        assert_eq!(model.requests(), requests[said..], "cut at {cut}");
        assert_eq!(
            without_notices(&bench.conversation(&name)),
            conversation,
            "cut at {cut}"
        );
    }
}

#[test]
fn an_attempt_that_ended_is_not_made_again() {
    let bench = Bench::shared();
    let model = ScriptModel::new(answers(), None);
    let first = bench.run(&model, &small_window(), "journal").unwrap();
    let nobody = ScriptModel::new([], None);
    assert_eq!(bench.run(&nobody, &small_window(), "journal").unwrap(), first);
}

#[test]
fn what_differs_after_a_restart_is_told_once_and_remembered() {
    let mut bench = Bench::shared();
    let begun = [
        call("bash", "tr -dc a-z < /dev/urandom | head -c 20"),
        call("bash", "echo second"),
    ];
    let told = "were run again in a fresh copy";
    let rest = [
        call("edit", EDIT).expecting(told),
        call("bash", "git diff > /tmp/fix.patch"),
        call("submit", "/tmp/fix.patch"),
        turn("## Done").expecting(told),
    ];
    for (answers, ending) in [
        (begun.to_vec(), Ending::Interrupted),
        (rest[..2].to_vec(), Ending::Interrupted),
        (rest[2..].to_vec(), Ending::Finished),
    ] {
        bench.control = Control::default();
        let control: &'static Control = Box::leak(Box::default());
        let number = answers.len();
        let stop_after = if ending == Ending::Interrupted {
            number
        } else {
            usize::MAX
        };
        let model = ScriptModel::new(answers, None);
        let observer = at_answer(stop_after, move || control.finish());
        let candidate = bench
            .run_controlled(&model, &options(), "journal", observer, control)
            .unwrap();
        assert_eq!(candidate.ending, ending);
        assert_eq!(model.remaining(), 0);
    }
    let conversation = bench.conversation("journal");
    // Once for each restart, in its place.
    assert_eq!(conversation.matches(told).count(), 2, "{conversation}");
}

#[test]
fn a_journal_that_lacks_an_answer_leaves_the_prompt_its_room() {
    let bench = Bench::shared();
    let mut options = options();
    options.budget.format_errors = 1;
    let answers = [call("bash", "ls"), turn("no call")];
    bench
        .run(&ScriptModel::new(answers, None), &options, "whole")
        .unwrap();
    let journal = fs::read_to_string(bench.journal_path("whole")).unwrap();
    let lines: Vec<&str> = journal.split_inclusive('\n').collect();
    let has = |line: &&str, event: &str| line.contains(&format!("\"event\":\"{event}\""));
    let answer = lines.iter().position(|line| has(line, "generation")).unwrap();
    let tool = lines.iter().position(|line| has(line, "tool")).unwrap();
    let broken = lines[..answer].concat() + lines[tool];
    fs::write(bench.journal_path("broken"), broken).unwrap();
    options.budget.context = 3900;
    let model = ScriptModel::new([turn("no call")], None);
    bench.run(&model, &options, "broken").unwrap();
    // Room for the answer is what the prompt leaves.
    let left = model.requests()[0].max_tokens.unwrap();
    assert!(left < 3900, "{left}");
}

#[test]
fn times_and_process_numbers_that_differ_after_a_restart_are_not_told() {
    let bench = Bench::shared();
    let told = "were run again in a fresh copy";
    let control: &'static Control = Box::leak(Box::default());
    let begun = ScriptModel::new([call("bash", "date +%s.%N; echo took 0.$$ s")], None);
    let observer = at_answer(1, move || control.finish());
    let cut = bench
        .run_controlled(&begun, &options(), "journal", observer, control)
        .unwrap();
    assert_eq!(cut.ending, Ending::Interrupted);
    let mut options = options();
    options.budget.format_errors = 1;
    let rest = ScriptModel::new([turn("no call")], None);
    bench.run(&rest, &options, "journal").unwrap();
    let conversation = bench.conversation("journal");
    assert!(!conversation.contains(told), "{conversation}");
}

#[test]
fn an_interrupted_attempt_keeps_its_changes_and_goes_on() {
    let mut bench = Bench::shared();
    let control: &'static Control = Box::leak(Box::default());
    let model = ScriptModel::new(answers(), None);
    let observer = at_answer(13, || control.finish());
    let cut = bench
        .run_controlled(&model, &options(), "journal", observer, control)
        .unwrap();
    assert_eq!(cut.ending, Ending::Interrupted);
    assert!(String::from_utf8_lossy(&cut.patch).contains("+    return f\"Hello, {name or 'world'}!\""));
    bench.control = Control::default();
    let rest = bench.run(&model, &options(), "journal").unwrap();
    assert_eq!((rest.ending, rest.turns), (Ending::Finished, 16));
}

#[test]
fn a_second_interrupt_ends_a_command_at_once() {
    let bench = Bench::shared();
    let control: &'static Control = Box::leak(Box::default());
    let model = ScriptModel::new([call("edit", EDIT), call("bash", "sleep 100")], None);
    let observer = at_answer(2, || {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            control.stop();
        });
    });
    let started = Instant::now();
    let cut = bench
        .run_controlled(&model, &options(), "journal", observer, control)
        .unwrap();
    assert_eq!(cut.ending, Ending::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(50));
    // What was not done to its end is done again when the attempt goes on.
    let tools = bench
        .records("journal")
        .into_iter()
        .filter(|record| matches!(record, Record::Tool { .. }));
    assert_eq!(tools.count(), 1);
}

/// Stops the run when the model has said so many tokens.
struct StopAt(&'static Control, usize, AtomicUsize);

impl Observer for StopAt {
    fn recorded(&self, _record: &Record) {}

    fn generated(&self, _attempt: &str, tokens: usize) {
        if self.2.fetch_add(tokens, Ordering::SeqCst) + tokens >= self.1 {
            self.0.stop();
        }
    }
}

#[test]
fn a_second_interrupt_ends_an_answer_at_once() {
    let bench = Bench::shared();
    let control: &'static Control = Box::leak(Box::default());
    let model = ScriptModel::new([ScriptAnswer::new("word ".repeat(10_000))], None);
    let observer = Arc::new(StopAt(control, 100, AtomicUsize::new(0)));
    let cut = bench
        .run_controlled(&model, &options(), "journal", observer, control)
        .unwrap();
    assert_eq!(cut.ending, Ending::Interrupted);
    let answers = bench
        .records("journal")
        .into_iter()
        .filter(|record| matches!(record, Record::Generation { .. }));
    assert_eq!(answers.count(), 0);
}

#[test]
fn when_the_model_fails_the_attempt_can_go_on() {
    let bench = Bench::shared();
    let mut broken = answers();
    broken[8] = ScriptAnswer {
        error: Some("the server is down".to_owned()),
        ..ScriptAnswer::new("")
    };
    let model = ScriptModel::new(broken, None);
    let failed = bench.run(&model, &options(), "journal");
    assert!(matches!(&failed, Err(RolloutError::Model(_))), "{failed:?}");
    let rest = ScriptModel::new(answers().into_iter().skip(8), None);
    let resumed = plain(bench.run(&rest, &options(), "journal").unwrap());
    let whole = bench
        .run(&ScriptModel::new(answers(), None), &options(), "whole")
        .unwrap();
    assert_eq!(resumed, plain(whole));
}

/// Kills every process that has the repository mounted: those of the sandbox.
fn kill_sandbox(root: &str) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
        if mounts.lines().any(|line| line.split(' ').nth(4) == Some(root)) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            // It may be gone already, with the one before it.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[test]
fn a_lost_sandbox_is_made_anew_once() {
    for (losses, ending) in [(vec![3], Ending::Finished), (vec![3, 4], Ending::NoAnswer)] {
        let bench = Bench::shared();
        let root = bench.root.to_str().unwrap().to_owned();
        let answers_so_far = AtomicUsize::new(0);
        let observer = Arc::new(Hook(move |record: &Record| {
            if matches!(record, Record::Generation { .. }) {
                let number = answers_so_far.fetch_add(1, Ordering::SeqCst) + 1;
                if losses.contains(&number) {
                    kill_sandbox(&root);
                }
            }
        }));
        let model = ScriptModel::new(
            [
                call("edit", EDIT),
                call("bash", "git diff > fix.patch"),
                call("submit", "fix.patch"),
                call("submit", "fix.patch").expecting("A fresh session has started"),
                turn("## Done").expecting("name or 'world'"),
            ],
            None,
        );
        let candidate = bench
            .run_observed(&model, &options(), "journal", observer)
            .unwrap();
        if ending == Ending::Finished {
            assert_eq!(candidate.ending, ending);
            assert!(!candidate.patch.is_empty());
        } else {
            assert!(
                matches!(&candidate.ending, Ending::Failed { reason } if reason.contains("sandbox ended")),
                "{candidate:?}"
            );
            // The copy is made once more for the patch, without the calls that ended it.
            let patch = String::from_utf8_lossy(&candidate.patch);
            assert!(patch.contains("name or 'world'"), "{patch}");
        }
    }
}
