//! The arguments that a run really had, flags, environment and files together, as a command line that means the same on its own: what the
//! journal keeps for `cwm runs resume`. The issue is not among them; the journal has it besides.

use std::fmt::Display;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::FixArguments;
use crate::cli::walls::{LimitArguments, WallArguments};

/// Gathers flags and their values.
#[derive(Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// A flag and its value, when there is one.
    pub(crate) fn flag(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.0.push(format!("{name}={value}"));
        }
    }

    /// A flag whose values have names.
    pub(crate) fn choice(&mut self, name: &str, value: Option<impl ValueEnum>) {
        let named = value.and_then(|value| value.to_possible_value());
        self.flag(name, named.as_ref().map(|named| named.get_name()));
    }

    /// A flag that takes a time.
    pub(crate) fn time(&mut self, name: &str, value: Option<Duration>) {
        self.flag(name, value.map(|time| time.as_secs().max(1)));
    }

    /// A flag without a value.
    fn switch(&mut self, name: &str, on: bool) {
        if on {
            self.0.push(name.to_owned());
        }
    }
}

/// What such a command line says.
pub(super) fn read(words: &[String]) -> Result<FixArguments, clap::Error> {
    /// The words, of which the first is the command's name.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fix: FixArguments,
    }
    Line::try_parse_from(words).map(|line| line.fix)
}

/// The command line behind the program's name.
pub(super) fn words(arguments: &FixArguments) -> Vec<String> {
    let mut words = Words(vec!["fix".to_owned()]);
    for test in &arguments.tests {
        words.flag("--test", Some(test));
    }
    words.flag("--model", arguments.model.as_ref().map(|model| model.display()));
    words.flag("--samples", arguments.samples);
    words.choice("--strategy", arguments.strategy);
    words.flag("--seed", arguments.seed);
    words.choice("--accept", arguments.result.accept);
    let output = arguments.result.output.as_ref();
    words.flag("--output", output.map(|path| path.display()));
    words.switch("--apply", arguments.result.apply);
    let budget = &arguments.budget;
    words.flag("--max-turns", budget.max_turns);
    words.flag("--rounds", budget.rounds);
    words.flag("--max-tokens", budget.max_tokens);
    words.flag("--pack-tokens", budget.pack_tokens);
    words.switch("--no-pack", budget.no_pack);
    words.time("--max-time", budget.max_time);
    words.time("--command-timeout", budget.command_timeout);
    words.time("--test-timeout", budget.test_timeout);
    words.time("--test-budget", budget.test_budget);
    words.flag("--parallel", budget.parallel);
    words.switch("--all-attempts", budget.all_attempts);
    words.flag("--issue-tests", budget.issue_tests);
    words.flag("--min-evidence", budget.min_evidence);
    words.flag("--temperature", budget.temperature);
    words.flag("--top-p", budget.top_p);
    words.switch("--committed-only", arguments.copy.committed_only);
    let prompts = arguments.copy.prompts.as_ref();
    words.flag("--prompts", prompts.map(|path| path.display()));
    walls(&arguments.walls, &mut words);
    limits(&arguments.limits, &mut words);
    arguments.open.words(&mut words);
    words.0.push("--".to_owned());
    words.0.push(arguments.repo.display().to_string());
    words.0
}

fn walls(walls: &WallArguments, words: &mut Words) {
    words.choice("--network", walls.network);
    words.choice("--sandbox", walls.sandbox);
    words.flag("--image", walls.image.as_ref());
    for variable in &walls.variables {
        words.flag("--env", Some(variable.display()));
    }
    for path in &walls.readable {
        words.flag("--read", Some(path.display()));
    }
}

fn limits(limits: &LimitArguments, words: &mut Words) {
    words.flag("--memory", limits.memory);
    words.flag("--processes", limits.processes);
    words.flag("--disk", limits.disk);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_mean_the_same_again() {
        let line = "fix --test=a --test=-b --model=m -n 3 --strategy one-shot --seed 7 --accept best -o=-x --apply --max-turns 5 \
            --rounds 1 --max-tokens 4096 --max-time 2h --command-timeout 5 --test-timeout 1m --test-budget 30 --parallel 2 --all-attempts --issue-tests 3 --min-evidence 70 --temperature=-1 \
            --top-p 0.5 --committed-only --prompts p --network none --sandbox namespaces --image i --env A=1 --env B --read / \
            --memory 2G --processes 9 --disk 1M --context 512 --threads 2 --kv q8 --kv-memory 1G --model-name n --timeout 90 \
            --tool-format tags --backend reference folder";
        let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let first = read(&line).unwrap();
        let said = words(&first);
        let second = read(&said).unwrap();
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!(said, words(&second));
    }
}
