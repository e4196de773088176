//! `cwm runs` on journals made by hand: what is listed, shown, handed on without secrets, and cleared away.

use std::path::Path;
use std::sync::Arc;

use cwm::rollout::journal::{Generated, Journal, ModelRecord, NoObserver, Record, RunRecord, ToolUsed};
use cwm::rollout::{Budget, Candidate, Ending, Strategy};
use cwm_runtime::engine::{SamplingParameters, Usage};
use cwm_runtime::source::{ChatMessage, StopReason};
use cwm_tools::call::Tool;
use cwm_tools::workspace::runs::{JOURNAL, Run, Runs};
use serde_json::Value;

use super::context::TestContext;

const PATCH: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n";
const TOKEN: &str = "ghp_a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ";

fn runs(context: &TestContext) -> Runs {
    Runs::open(&context.folder().join("home/.local/state/cwm")).unwrap()
}

fn run_record(id: &str) -> Record {
    Record::Run(Box::new(RunRecord {
        cwm_version: "0.1.0".to_owned(),
        id: id.to_owned(),
        repository: "/home/ada/shapes".to_owned(),
        start: String::new(),
        base_commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        uncommitted: 0,
        issue: "# The area of a circle is wrong\n\nIt is \u{1b}[31mnegative\u{1b}[0m.".to_owned(),
        model: ModelRecord {
            argument: "tiny".to_owned(),
            name: "tiny-model".to_owned(),
            fingerprint: None,
            context: None,
        },
        strategy: Strategy::Agentic,
        mixed: false,
        samples: 1,
        seed: 7,
        sampling: SamplingParameters::default(),
        budget: Budget::default(),
        max_time: None,
        tests: Vec::new(),
        guidance: Vec::new(),
        arguments: Vec::new(),
        directory: "/home/ada/shapes".to_owned(),
    }))
}

/// A run with one attempt of one turn, as far as its answer.
fn begin(runs: &Runs) -> (Run, Journal) {
    let run = runs.begin().unwrap();
    let journal = Journal::create(&run.path.join(JOURNAL), Arc::new(NoObserver)).unwrap();
    run.keep_for_resume().unwrap();
    let attempt = "attempt-1".to_owned();
    let text = format!("think\n</think>\nexport it: {TOKEN}\n<tool: bash>\nls\n</tool>");
    let message = |role: &str, content: &str| Record::Message {
        attempt: attempt.clone(),
        message: ChatMessage::new(role, content),
        tokens: None,
    };
    let long: String = (0..100).map(|line| format!("line {line}\n")).collect();
    let records = [
        run_record(&run.id),
        Record::Attempt {
            attempt: attempt.clone(),
            strategy: Strategy::Agentic,
            sampling: SamplingParameters::default(),
        },
        message("system", "You mend things."),
        message("user", "The area is wrong; the pass phrase is kumquat-orange."),
        Record::Generation {
            attempt: attempt.clone(),
            generated: Generated {
                text: text.clone(),
                prefix: "<think>\n".to_owned(),
                tokens: Vec::new(),
                calls: Vec::new(),
                reason: StopReason::Stop,
                usage: Usage::default(),
                seed: 7,
                seconds: 1.5,
            },
        },
        message("assistant", &format!("<think>\n{text}")),
        Record::Tool {
            attempt: attempt.clone(),
            used: ToolUsed {
                tool: Tool::Bash,
                content: "ls".to_owned(),
                result: long.clone(),
                done: true,
                submitted: None,
                closing: 0,
                long: None,
                seconds: 0.1,
            },
        },
        message("tool: bash", &long),
    ];
    for record in &records {
        journal.append(record).unwrap();
    }
    (run, journal)
}

fn finish(run: &Run, journal: &Journal) {
    journal
        .append(&Record::Candidate(Box::new(Candidate {
            attempt: "attempt-1".to_owned(),
            strategy: Strategy::Agentic,
            ending: Ending::Finished,
            patch: PATCH.as_bytes().to_vec(),
            answer: "done".to_owned(),
            turns: 1,
            prompt_tokens: 10,
            completion_tokens: 20,
            seconds: 2.0,
        })))
        .unwrap();
    journal
        .append(&Record::End {
            chosen: Some("attempt-1".to_owned()),
            verified: true,
            outcome: "success".to_owned(),
            seconds: 2.5,
        })
        .unwrap();
    std::fs::create_dir(run.path.join("tree")).unwrap();
    run.finish().unwrap();
}

/// A context with a finished run; returns its id.
fn finished() -> (TestContext, String) {
    let context = TestContext::new().with("DEPLOY_PASSWORD", "kumquat-orange");
    let (run, journal) = begin(&runs(&context));
    finish(&run, &journal);
    (context, run.id)
}

#[test]
fn runs_are_listed_with_their_states_newest_first() {
    let context = TestContext::new();
    let empty = context.run(["runs", "list"]);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""), "{empty:?}");
    assert!(empty.stderr.contains("there are no runs yet"), "{empty:?}");

    let all = runs(&context);
    let (done, journal) = begin(&all);
    finish(&done, &journal);
    let (cut, journal) = begin(&all);
    drop(journal);
    let (live, _journal) = begin(&all);
    let _other = all.begin().unwrap();
    let ids = [done.id.clone(), cut.id.clone(), live.id.clone()];
    drop((done, cut));

    let table = context.run(["runs", "list"]);
    assert_eq!(table.code, 0, "{table:?}");
    let row = |id: &str| {
        table
            .stdout
            .lines()
            .find(|line| line.starts_with(id))
            .unwrap()
            .to_owned()
    };
    assert_eq!(table.stdout.lines().count(), 4, "{table:?}");
    for (id, words) in ids
        .iter()
        .zip([["finished", "verified"], ["resumable", "-"], ["live", "-"]])
    {
        let row = row(id);
        assert!(words.iter().all(|word| row.contains(word)), "{row}");
        assert!(
            row.contains("shapes") && row.ends_with("The area of a circle is wrong"),
            "{row}"
        );
    }
    let events = context.run(["runs", "list", "--json"]).events();
    let event = events
        .iter()
        .find(|event| event["id"] == ids[0].as_str())
        .unwrap();
    assert_eq!(
        (&event["event"], &event["state"]),
        (&Value::from("runs.run"), &Value::from("finished"))
    );
    assert_eq!(
        (&event["outcome"], &event["verified"]),
        (&Value::from("success"), &Value::from(true))
    );
    assert_eq!(event["repository"], "/home/ada/shapes");
    // Held until here, so that it lives.
    drop(live);
}

#[test]
fn a_run_is_shown_readably_and_harmlessly() {
    let (context, id) = finished();
    for word in [id.as_str(), "last", &id[..12], id.split_once('-').unwrap().1] {
        let shown = context.run(["runs", "show", word]);
        assert_eq!(shown.code, 0, "{shown:?}");
        for words in [
            "(finished)",
            "/home/ada/shapes",
            "tiny-model",
            "attempt-1 (agentic",
            "You mend things.",
            "<tool: bash>",
            "line 0\n",
            "more lines (--full shows them)",
            "line 99\n",
            "+new",
            "its patch is verified",
            "success after 2.5 s",
        ] {
            assert!(
                shown.stdout.contains(words),
                "{words:?} is not in {}",
                shown.stdout
            );
        }
        assert!(
            !shown.stdout.contains("line 50") && !shown.stdout.contains('\x1b'),
            "{}",
            shown.stdout
        );
        assert_eq!(shown.stdout.matches("export it").count(), 1, "{}", shown.stdout);
    }
    let full = context.run(["runs", "show", "last", "--full"]).stdout;
    assert!(
        full.contains("line 50\n") && !full.contains("more lines"),
        "{full}"
    );
    let colored = context.run(["--color", "always", "runs", "show", "last"]).stdout;
    assert!(
        colored.contains("\x1b[2mthink\x1b[0m") && !colored.contains("\x1b[31m"),
        "{colored}"
    );
    let events = context.run(["--json", "runs", "show", "last"]).events();
    assert_eq!(
        (&events[0]["event"], &events[0]["record"]["event"]),
        (&"runs.record".into(), &"run".into())
    );
}

fn without_secrets(text: &str) {
    assert!(!text.contains("kumquat") && !text.contains("ghp_"), "{text}");
}

#[test]
fn exports_have_the_forms_of_others_and_no_secrets() {
    let (context, id) = finished();
    let export = |form: &str, more: &[&str]| {
        let outcome = context.run(["runs", "export", "last", "--format", form].iter().chain(more));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
        without_secrets(&outcome.stdout);
        outcome.stdout
    };
    let trajectory: Value = serde_json::from_str(&export("traj", &[])).unwrap();
    assert_eq!(trajectory["trajectory_format"], "mini-swe-agent-1.1");
    assert_eq!(trajectory["info"]["exit_status"], "Submitted");
    assert_eq!(trajectory["info"]["submission"], PATCH);
    assert_eq!(trajectory["info"]["model_stats"]["api_calls"], 1);
    let roles = |value: &Value| -> Vec<String> {
        let messages = value["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        roles(&trajectory),
        ["system", "user", "assistant", "user", "exit"]
    );
    assert_eq!(trajectory["messages"][2]["extra"]["actions"][0]["command"], "ls");

    let conversation = export("openai", &["--attempt", "attempt-1"]);
    assert_eq!(conversation.lines().count(), 1);
    let conversation: Value = serde_json::from_str(&conversation).unwrap();
    assert_eq!(roles(&conversation), ["system", "user", "assistant", "user"]);
    let said = conversation["messages"][2]["content"].as_str().unwrap();
    assert!(said.contains("[redacted: GitHub token]"), "{said}");

    let prediction: Value = serde_json::from_str(&export("preds", &["--instance-id", "shapes-1"])).unwrap();
    assert_eq!(
        prediction,
        serde_json::json!({"instance_id": "shapes-1", "model_name_or_path": "tiny-model", "model_patch": PATCH})
    );
    let file = context.folder().join("out.jsonl");
    assert_eq!(export("preds", &["-o", file.to_str().unwrap()]), "");
    assert!(std::fs::read_to_string(file).unwrap().contains(&id));
}

#[test]
fn wrong_words_are_usage_errors_that_name_what_there_is() {
    let (context, id) = finished();
    for (arguments, words) in [
        (vec!["show", "nonsense"], id.as_str()),
        (vec!["rm", "nonsense"], id.as_str()),
        (vec!["rm"], "<RUN>..."),
        (
            vec!["export", "last", "--format", "traj", "--attempt", "attempt-9"],
            "it has: attempt-1",
        ),
        (vec!["export", "last"], "--format"),
    ] {
        let outcome = context.run(["runs"].iter().chain(&arguments));
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (2, ""),
            "{arguments:?}: {outcome:?}"
        );
        assert!(outcome.stderr.contains(words), "{arguments:?}: {outcome:?}");
    }
    let none = TestContext::new().run(["runs", "show", "last"]);
    assert_eq!(none.code, 2, "{none:?}");
    assert!(none.stderr.contains("There are no runs"), "{none:?}");
}

#[test]
fn runs_are_removed_but_for_live_ones() {
    let (context, id) = finished();
    let all = runs(&context);
    let (live, _journal) = begin(&all);
    let refused = context.run(["runs", "rm", &id, &live.id]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("in use by another cwm process"),
        "{refused:?}"
    );
    assert_eq!(
        all.all().unwrap().len(),
        2,
        "nothing is removed when one cannot be"
    );
    let removed = context.run(["runs", "rm", "--all-finished", "--json"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_eq!(removed.events()[0]["id"], id.as_str());
    let left: Vec<String> = all.all().unwrap().into_iter().map(|run| run.id).collect();
    assert_eq!(left, std::slice::from_ref(&live.id));
}

#[test]
fn a_damaged_journal_is_listed_and_named_when_shown() {
    let (context, id) = finished();
    let journal = runs(&context).find(&id).unwrap().path.join(JOURNAL);
    let text = std::fs::read_to_string(&journal).unwrap();
    write(&journal, &text.replacen("{\"schema\":1", "{schema", 1));
    let table = context.run(["runs", "list"]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("is damaged"), "{table:?}");
    let shown = context.run(["runs", "show", "last"]);
    assert_eq!(shown.code, 3, "{shown:?}");
    assert!(shown.stderr.contains("line 1"), "{shown:?}");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
