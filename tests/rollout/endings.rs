//! Ends that come from elsewhere than the model's words: failures, interrupts, and changes that are too large for a patch.

use std::sync::Arc;

use cwm::rollout::journal::{Observer, Record};
use cwm::rollout::{Control, Ending, RolloutError};
use cwm_runtime::source::{CallFormat, Prompt, ScriptAnswer, ScriptModel};

use super::harness::{Bench, Talker, call, options, turn};

const EDIT: &str = "greet.py
<<<<<<< SEARCH
    return f\"Hello, {name}!\"
=======
    return f\"Hello, {name or 'world'}!\"
>>>>>>> REPLACE";

fn down() -> ScriptAnswer {
    ScriptAnswer {
        error: Some("the server is down".to_owned()),
        ..ScriptAnswer::new("")
    }
}

fn submitted() -> Vec<ScriptAnswer> {
    vec![
        call("edit", EDIT),
        call("bash", "git diff > /tmp/fix.patch"),
        call("submit", "/tmp/fix.patch"),
    ]
}

fn candidates(bench: &Bench) -> usize {
    let records = bench.records("journal");
    let candidates = records
        .iter()
        .filter(|record| matches!(record, Record::Candidate(_)));
    candidates.count()
}

#[test]
fn a_model_that_fails_behind_a_submission_takes_no_patch_away() {
    let bench = Bench::shared();
    let model = ScriptModel::new(submitted().into_iter().chain([down()]), None);
    let candidate = bench.run(&model, &options(), "journal").unwrap();
    assert_eq!(candidate.ending, Ending::Finished);
    assert!(String::from_utf8_lossy(&candidate.patch).contains("name or 'world'"));
    let conversation = bench.conversation("journal");
    assert!(
        conversation.contains("the model's last words are missing: "),
        "{conversation}"
    );
}

#[test]
fn a_model_that_fails_while_it_mends_its_submission_is_said() {
    let bench = Bench::shared();
    let rest = [call("bash", "echo wait"), down()];
    let model = ScriptModel::new(submitted().into_iter().chain(rest), None);
    let candidate = bench.run(&model, &options(), "journal").unwrap();
    assert!(
        matches!(&candidate.ending, Ending::Failed { reason } if reason.contains("the server is down")),
        "{candidate:?}"
    );
    assert!(String::from_utf8_lossy(&candidate.patch).contains("name or 'world'"));
}

#[test]
fn a_model_that_fails_behind_a_submission_of_no_use_goes_on_another_time() {
    let bench = Bench::shared();
    let answers = [
        call("bash", "echo no patch > /tmp/fix.patch"),
        call("submit", "/tmp/fix.patch"),
        down(),
    ];
    let failed = bench.run(&ScriptModel::new(answers, None), &options(), "journal");
    assert!(matches!(&failed, Err(RolloutError::Model(_))), "{failed:?}");
    assert_eq!(candidates(&bench), 0);
}

/// Stops the run a moment after the model has said that, while the patch is made.
struct StopBehind(&'static Control, &'static str);

impl Observer for StopBehind {
    fn recorded(&self, record: &Record) {
        if matches!(record, Record::Generation { generated, .. } if generated.text.contains(self.1)) {
            let control = self.0;
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(5));
                control.stop();
            });
        }
    }

    fn generated(&self, _attempt: &str, _tokens: usize) {}
}

#[test]
fn an_interrupt_while_the_patch_is_made_records_no_end() {
    let bench = Bench::shared();
    let control: &'static Control = Box::leak(Box::default());
    // So many files that the diff takes a while.
    let many = "for i in $(seq 6000); do echo $i > file-$i; done";
    let mut options = options();
    options.budget.format_errors = 1;
    let answers = [call("bash", many), turn("That was all.")];
    let observer = Arc::new(StopBehind(control, "That was all."));
    let cut = bench
        .run_controlled(
            &ScriptModel::new(answers, None),
            &options,
            "journal",
            observer,
            control,
        )
        .unwrap();
    assert_eq!(cut.ending, Ending::Interrupted);
    assert_eq!(candidates(&bench), 0);
}

#[test]
fn large_leftovers_do_not_swallow_the_fix() {
    for (leftovers, name) in [
        ("yes 0123456789 | head -c 12000000 > dump.txt", "dump.txt"),
        // More than the sandbox can answer with.
        (
            "for i in 1 2 3; do yes 0123456789 | head -c 30000000 > dump-$i.txt; done",
            "dump-1.txt",
        ),
    ] {
        let bench = Bench::shared();
        let mut options = options();
        options.budget.format_errors = 1;
        let answers = [call("edit", EDIT), call("bash", leftovers), turn("Done.")];
        let candidate = bench
            .run(&ScriptModel::new(answers, None), &options, "journal")
            .unwrap();
        assert_eq!(candidate.ending, Ending::NotSubmitted);
        let patch = String::from_utf8(candidate.patch).unwrap();
        assert!(
            patch.contains("name or 'world'") && !patch.contains("dump"),
            "{}",
            patch.len()
        );
        let conversation = bench.conversation("journal");
        assert!(conversation.contains("it leaves out "), "{conversation}");
        assert!(conversation.contains(name), "{conversation}");
    }
}

#[test]
fn a_change_that_is_too_large_itself_ends_with_a_reason() {
    let bench = Bench::shared();
    let mut options = options();
    options.budget.format_errors = 1;
    let answers = [
        call("bash", "yes 0123456789 | head -c 12000000 > greet.py"),
        turn("Done."),
    ];
    let candidate = bench
        .run(&ScriptModel::new(answers, None), &options, "journal")
        .unwrap();
    assert!(
        matches!(&candidate.ending, Ending::Failed { reason } if reason.contains("more than 8 MiB")),
        "{:?}",
        candidate.ending
    );
    assert!(candidate.patch.is_empty());
    assert_eq!(candidates(&bench), 1);
}

#[test]
fn a_call_read_from_text_is_answered_by_a_role_that_every_server_takes() {
    let bench = Bench::shared();
    let text = "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls\"}}\n</tool_call>";
    let model = Talker::new(
        [ScriptAnswer::new(text), ScriptAnswer::new("Done.")],
        CallFormat::Native,
    );
    let mut options = options();
    options.budget.format_errors = 1;
    bench.run(&model, &options, "journal").unwrap();
    let requests = model.script.requests();
    let Prompt::Chat { messages, .. } = &requests[1].prompt else {
        panic!("{requests:?}");
    };
    assert!(messages.iter().all(|message| message.role != "tool"));
    assert!(messages.last().unwrap().content.contains("greet.py"));
}
