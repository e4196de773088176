//! What is recorded of an attempt beside its conversation: what each message counts, and where results are kept.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;

use cwm::rollout::journal::{ElidedResult, Record, ToolUsed};
use cwm_runtime::source::{
    CallFormat, ChatMessage, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt,
    ScriptAnswer, ScriptModel, ToolDefinition, count_script_tokens,
};

use super::cases::script;
use super::harness::{Bench, Talker, call, options, turn};

fn messages(bench: &Bench, journal: &str) -> Vec<(ChatMessage, Option<usize>)> {
    let records = bench.records(journal).into_iter();
    let messages = records.filter_map(|record| match record {
        Record::Message { message, tokens, .. } => Some((message, tokens)),
        _ => None,
    });
    messages.collect()
}

#[test]
fn every_message_is_recorded_with_its_own_count() {
    let bench = Bench::shared();
    let mut model = Talker::new(script("solved"), CallFormat::Tags);
    bench.run(&model, &options(), "counted").unwrap();
    let counted = messages(&bench, "counted");
    assert_eq!(counted.len(), 13);
    for (message, tokens) in &counted {
        assert_eq!(
            *tokens,
            Some(count_script_tokens(&message.content)),
            "{}",
            message.role
        );
    }
    assert_ne!(counted[0].1, counted[1].1, "the system's and the user's");

    // What was sampled counts as it was sampled.
    model = Talker::new(script("solved"), CallFormat::Tags);
    model.tokens = true;
    bench.run(&model, &options(), "sampled").unwrap();
    let mut answers = 0;
    for (message, tokens) in messages(&bench, "sampled") {
        assert_eq!(message.sampled.is_some(), message.role == "assistant");
        if let Some(sampled) = message.sampled {
            let prefix = count_script_tokens("<think>\n");
            assert_eq!(tokens, Some(prefix + sampled.tokens.len()));
            answers += 1;
        }
    }
    assert_eq!(answers, 6);

    // A server that counts nothing leaves them open.
    model = Talker::new(script("solved"), CallFormat::Tags);
    model.counts = false;
    bench.run(&model, &options(), "uncounted").unwrap();
    assert!(
        messages(&bench, "uncounted")
            .iter()
            .all(|(_, tokens)| tokens.is_none())
    );
}

/// Files that a text names behind ` in `, as lines about cut and elided results do.
fn named_files(text: &str) -> BTreeSet<String> {
    let after = text.split(" in /").skip(1);
    let paths = after.filter_map(|rest| rest.split([' ', ']', '\n']).next());
    let paths = paths.map(|path| format!("/{}", path.trim_end_matches('.')));
    paths.filter(|path| path.ends_with(".txt")).collect()
}

/// Plays a script, and then reads every file that the conversation names.
struct Reader(ScriptModel);

impl Model for Reader {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        self.0.info()
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        self.0.count_tokens(text)
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.0.count_prompt(prompt, tools)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let mut completions = self.0.generate(request, sink)?;
        let Prompt::Chat { messages, .. } = &request.prompt else {
            panic!("{request:?}");
        };
        let contents = messages.iter().map(|message| message.content.as_str());
        let files = named_files(&contents.collect::<String>());
        let list: Vec<String> = files.into_iter().collect();
        for completion in &mut completions {
            completion.text = completion.text.replace("FILES", &list.join(" "));
        }
        Ok(completions)
    }
}

fn results(bench: &Bench, journal: &str) -> Vec<ElidedResult> {
    let records = bench.records(journal).into_iter();
    let results = records.filter_map(|record| match record {
        Record::Elision { elided, .. } => {
            assert_eq!(elided.results.len(), elided.messages.len());
            Some(elided.results)
        }
        _ => None,
    });
    results.flatten().collect()
}

fn tools(bench: &Bench, journal: &str) -> Vec<ToolUsed> {
    let records = bench.records(journal).into_iter();
    let tools = records.filter_map(|record| match record {
        Record::Tool { used, .. } => Some(used),
        _ => None,
    });
    tools.collect()
}

#[test]
fn every_file_that_the_model_is_told_of_can_be_read() {
    const LONG: usize = 36;
    let bench = Bench::shared();
    // Longer than a session passes on, and a result of its own in each turn.
    let long = |number: usize| format!("yes 'output {number}' | head -c 600000");
    let mut answers: Vec<ScriptAnswer> = (1..=LONG).map(|number| call("bash", &long(number))).collect();
    // The model itself removes one before its result is taken out of the window.
    answers[2] = call("bash", "yes 'output 3' | head -c 600000; sleep 0.1");
    answers[3] = call(
        "bash",
        "rm -f /run/cwm/session/output/turn-3.txt; yes 'output 4' | head -c 600000",
    );
    let check = "for file in FILES; do tail -c 1 \"$file\" > /dev/null && wc -c \"$file\"; done > sizes.txt 2>&1; wc -l < sizes.txt; grep -vc '^6[0-9]* ' sizes.txt";
    answers.extend([call("bash", check), turn("no call")]);
    let mut options = options();
    options.budget.result_tokens = 150;
    options.budget.format_errors = 1;
    options.budget.context = 9000;
    let model = Reader(ScriptModel::new(answers, None));
    let candidate = bench.run(&model, &options, "journal").unwrap();
    assert_eq!(candidate.turns, LONG + 2);

    let conversation = bench.conversation("journal");
    assert!(conversation.contains("=== (taken out: "), "{conversation}");
    let tools = tools(&bench, "journal");
    let check = tools.last().unwrap();
    // Each was named, is there, and is whole.
    assert_eq!(check.result, format!("{LONG}\n0\n"), "{}", check.content);
    assert!(
        check.content.contains("/tmp/attempt-1-output-3.txt"),
        "{}",
        check.content
    );

    // The same stands in the run's folder, which outlives the sandbox.
    let run = bench.journal_path("journal");
    let run = run.parent().unwrap();
    for (number, used) in (1..=LONG).zip(&tools) {
        let long = used.long.as_ref().unwrap();
        assert_eq!((long.bytes, long.inside.is_some()), (600_000, true));
        let outside = long.outside.as_ref().unwrap();
        assert_eq!(
            (outside.path.clone(), outside.first_bytes),
            (format!("outputs/attempt-1-turn-{number}.txt"), None)
        );
        let kept = fs::read_to_string(run.join(&outside.path)).unwrap();
        assert_eq!(kept.len(), 600_000);
        assert!(kept.starts_with(&format!("output {number}\n")));
        assert!(used.result.get(long.gap..).unwrap().starts_with("[... "));
    }
    let results = results(&bench, "journal");
    assert!(results.len() > 10, "{results:?}");
    for result in results {
        assert!(result.inside.is_some(), "{result:?}");
        let outside = run.join(result.outside.unwrap().path);
        assert_eq!(fs::metadata(outside).unwrap().len(), 600_000);
    }
}

#[test]
fn results_that_were_whole_in_the_window_are_kept_when_they_are_taken_out() {
    let bench = Bench::shared();
    let mut answers: Vec<_> = (1..=12)
        .map(|number| call("bash", &format!("seq {number}001 {number}330")))
        .collect();
    answers.push(turn("no call"));
    let mut options = options();
    options.budget.format_errors = 1;
    options.budget.context = 4000;
    bench
        .run(&ScriptModel::new(answers, None), &options, "journal")
        .unwrap();
    let results = results(&bench, "journal");
    assert!(!results.is_empty());
    let run = bench.journal_path("journal");
    for result in results {
        // Two messages open the conversation, and each turn adds two.
        let number = (result.message - 1) / 2;
        assert_eq!(
            result.inside.unwrap().path,
            format!("/tmp/attempt-1-output-{number}.txt")
        );
        let outside = run.parent().unwrap().join(result.outside.unwrap().path);
        let kept = fs::read_to_string(outside).unwrap();
        assert!(kept.starts_with(&format!("{number}001\n")) && kept.ends_with(&format!("{number}330\n")));
    }
}

#[test]
fn what_is_left_out_of_a_long_output_is_counted_as_a_whole() {
    let bench = Bench::shared();
    let mut options = options();
    options.budget.result_tokens = 200;
    options.budget.format_errors = 1;
    let answers = [
        call("bash", "yes 123456789 | head -c 3000000; exit 3"),
        turn("no call"),
    ];
    let model = ScriptModel::new(answers, None);
    bench.run(&model, &options, "journal").unwrap();
    let shown = messages(&bench, "journal")[3].0.content.clone();
    assert!(shown.starts_with("<output>\n123456789\n"), "{shown}");
    // What is shown and what is said to be left out make three megabytes.
    let lines = shown.lines().filter(|line| *line == "123456789").count();
    let said = format!(
        "\n[... {} lines ({} bytes) left out here; the whole output is in /run/cwm/session/output/turn-1.txt ...]\n[The shell exited with code 3.]\n",
        300_000 - lines,
        3_000_000 - lines * 10
    );
    assert!(shown.contains(&said), "{shown}\n{said}");
}
