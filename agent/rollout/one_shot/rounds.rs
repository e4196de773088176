//! The rounds of an attempt: ask, read, apply, test, and show what fails.

use std::time::Instant;

use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::source::{ChatMessage, ModelError, StopReason};
use cwm_tools::call::Tool;
use cwm_tools::isolated::IsolatedCopy;
use cwm_tools::patch::ScanOptions;
use cwm_tools::shell_word::quoted;

use super::answer::{self, Part};
use super::calls::{self, Call};
use super::failures::{self, Judgement};
use super::ladder;
use super::plan::{Change, Plan, Planner, Unusable};
use super::prompt::{self, Question, Window};
use super::say::{Stop, out_of_time, request, say};
use super::testing;
use crate::rollout::journal::{AttemptLog, Generated, JournalError, Record, ToolUsed};
use crate::rollout::tokens::message_tokens;
use crate::rollout::types::{AttemptOptions, Candidate, Ending, RolloutError, Strategy, Workbench};
use crate::rollout::whole_issue;
use crate::suite::TestRun;

/// How often an answer that cannot be used is asked for again, in each round.
const RETRIES: usize = 2;

/// How often a question that does not fit the model's window is put anew, shorter.
const MOST_REFUSALS: usize = 3;

/// Asks for edits until the tests pass, or the rounds are used up.
///
/// # Errors
///
/// When the model or the sandbox fail for good before anything could be tested, or the journal does. Whatever the model does wrong ends
/// in a candidate.
pub fn attempt(bench: &Workbench<'_>, options: &AttemptOptions) -> Result<Candidate, RolloutError> {
    let mut log = AttemptLog::new(bench.journal, &options.name);
    if let Some(candidate) = log.candidate() {
        return Ok(candidate.clone());
    }
    log.note(Record::Attempt {
        attempt: options.name.clone(),
        strategy: Strategy::OneShot,
        sampling: options.sampling.clone(),
    })?;
    let mut attempt = Attempt {
        bench,
        options,
        window: Window::of(bench, &options.budget)?,
        sampling: options.sampling.clone(),
        log,
        started: Instant::now(),
        copy: None,
        tried: Vec::new(),
        best: None,
        candidate: Candidate {
            attempt: options.name.clone(),
            strategy: Strategy::OneShot,
            ending: Ending::NoAnswer,
            patch: Vec::new(),
            answer: String::new(),
            turns: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            seconds: 0.0,
        },
    };
    let ending = match attempt.rounds() {
        Ok(ending) | Err(Stop::Ended(ending)) => ending,
        // What is there already counts, unless it is the journal that fails: then nothing can be kept.
        Err(Stop::Failed(error)) => match (&attempt.best, error) {
            (None, error) | (_, error @ RolloutError::Journal(_)) => return Err(error),
            (Some(_), error) => Ending::Failed {
                reason: error.to_string(),
            },
        },
    };
    attempt.finish(ending)
}

/// What became of a round.
enum Outcome {
    /// Nothing fails any more, or there is nothing to test with.
    Solved,
    /// An answer was applied, and these tests fail.
    Failing(ChatMessage, Vec<TestRun>),
    /// No answer could be used; the last one, and why not.
    Unusable(ChatMessage, Unusable),
    /// The model repeats the example instead of answering.
    Copied,
}

/// The best round so far.
struct Best {
    judgement: Judgement,
    patch: Vec<u8>,
    answer: String,
}

struct Attempt<'a> {
    bench: &'a Workbench<'a>,
    options: &'a AttemptOptions,
    window: Window<'a>,
    /// How tokens are chosen in the first try.
    sampling: SamplingParameters,
    log: AttemptLog<'a>,
    started: Instant,
    /// A copy that nothing has been changed in.
    copy: Option<IsolatedCopy>,
    /// What was applied before: it need not be tested again.
    tried: Vec<Plan>,
    best: Option<Best>,
    candidate: Candidate,
}

impl Attempt<'_> {
    fn rounds(&mut self) -> Result<Ending, Stop> {
        let mut question = self.question()?;
        let mut messages = question.messages.clone();
        let (mut round, mut refused) = (0, 0);
        while round < self.options.budget.rounds.max(1) {
            self.candidate.turns = round + 1;
            let outcome = match self.round(round, &question, &messages) {
                Err(Stop::Failed(error)) if refused < MOST_REFUSALS => {
                    refused += 1;
                    self.shrink(error)?;
                    question = self.question()?;
                    messages = question.messages.clone();
                    continue;
                }
                other => other?,
            };
            let (said, failing, unusable) = match outcome {
                Outcome::Solved => return Ok(Ending::Finished),
                Outcome::Failing(said, runs) => (said, failures::output(self.bench.problem, &runs), None),
                Outcome::Unusable(said, why) => (said, String::new(), Some(why)),
                Outcome::Copied => {
                    question = question.without_example();
                    messages = question.messages.clone();
                    continue;
                }
            };
            round += 1;
            if round >= self.options.budget.rounds {
                break;
            }
            if let Some(other) = self.anew(&question)? {
                question = other;
                messages = question.messages.clone();
            } else {
                messages = self.feedback(&question, said, &failing, unusable.as_ref())?;
            }
        }
        Ok(match self.best {
            Some(_) => Ending::Turns,
            None => Ending::NoAnswer,
        })
    }

    /// What is asked, as the window allows.
    fn question(&mut self) -> Result<Question, Stop> {
        let ask = ladder::ask(self.options.index);
        let question = prompt::question(self.window, &self.options.budget, ask)?;
        whole_issue::check(self.bench, &question.messages)?;
        for message in &question.messages {
            self.note(message)?;
        }
        // A form that does not suit gives way to another one: greedily, two samples would then say the same.
        if self.options.index > 0 && self.sampling.temperature == 0.0 {
            let first = prompt::question(self.window, &self.options.budget, ladder::ask(0))?;
            if first.messages == question.messages && first.prefix == question.prefix {
                self.sampling = ladder::warmer(&self.sampling);
            }
        }
        Ok(question)
    }

    /// Another question in place of what failed, for a model that gains more by it; none where its form does not suit what is shown.
    fn anew(&mut self, question: &Question) -> Result<Option<Question>, Stop> {
        let Some(ask) = ladder::ask_anew(question.ask).filter(|_| self.window.small) else {
            return Ok(None);
        };
        let other = prompt::question(self.window, &self.options.budget, ask)?;
        if other.ask.format != ask.format {
            return Ok(None);
        }
        for message in &other.messages {
            self.note(message)?;
        }
        Ok(Some(other))
    }

    /// Makes the window smaller when that is what the model wants; else the error stays.
    fn shrink(&mut self, error: RolloutError) -> Result<(), Stop> {
        let allowed = match &error {
            RolloutError::Model(ModelError::PromptTooLong { context, .. }) => Some(*context),
            RolloutError::Model(ModelError::ServerContext { allowed, .. }) => *allowed,
            _ => return Err(Stop::Failed(error)),
        };
        let half = self.window.context / 2;
        self.window.context = allowed.map_or(half, |allowed| allowed.min(half));
        Ok(())
    }

    /// Asks until an answer can be used, applies it and runs the tests.
    fn round(
        &mut self,
        round: usize,
        question: &Question,
        messages: &[ChatMessage],
    ) -> Result<Outcome, Stop> {
        let mut again = 0;
        loop {
            let sampling = ladder::sampling(&self.sampling, round, again);
            let generated = self.generate(question, messages, sampling)?;
            let said = generated.message();
            let why = match self.plan(question, &generated) {
                Ok(plan) => match self.apply(&plan)? {
                    Some((mut copy, patch)) => return self.test(&mut copy, patch, said),
                    None => Unusable::NotFound {
                        path: plan.keys().next().cloned().unwrap_or_default(),
                    },
                },
                Err(_) if question.is_example(&said.content) => return Ok(Outcome::Copied),
                Err(why) => why,
            };
            if again == RETRIES {
                self.candidate.answer = said.content.clone();
                return Ok(Outcome::Unusable(said, why));
            }
            again += 1;
        }
    }

    /// What an answer changes, when it is usable and was not tried before.
    fn plan(&mut self, question: &Question, generated: &Generated) -> Result<Plan, Unusable> {
        let text = format!("{}{}", generated.prefix, generated.text);
        let mut parts = answer::parts(&text);
        if generated.reason == StopReason::Stop {
            // It ended where the model, or a stop text, ended it.
            for part in &mut parts {
                let (Part::Block { closed, .. } | Part::Code { closed, .. }) = part;
                *closed = true;
            }
        }
        let planner = Planner {
            tree: &self.bench.problem.tree,
            root: &self.bench.problem.root,
            shown: &question.shown,
        };
        let plan = planner.plan(&parts)?;
        let (function, path) = &question.rewrite;
        if !function.is_empty() && !answer::defines(&parts, function, path) {
            return Err(Unusable::NoEdits);
        }
        if self.tried.contains(&plan) {
            return Err(Unusable::Unchanged);
        }
        self.tried.push(plan.clone());
        Ok(plan)
    }

    /// Carries a plan out in a fresh copy; none when a tool refuses a part of it or nothing is changed. The patch is taken before tests
    /// run, so that nothing of theirs is in it.
    fn apply(&mut self, plan: &Plan) -> Result<Option<(IsolatedCopy, Vec<u8>)>, Stop> {
        let up = "../".repeat(self.bench.copies.start.components().count());
        let Some(calls) = calls::calls(plan, |path| format!("{up}{path}")) else {
            return Ok(None);
        };
        let mut copy = match self.copy.take() {
            Some(copy) => copy,
            None => self.bench.copies.open(&self.options.name)?,
        };
        for folder in self.missing_folders(plan) {
            let content = format!("mkdir -p -- {}", quoted(&format!("{up}{folder}")));
            self.tool(
                &mut copy,
                &Call {
                    tool: Tool::Bash,
                    content,
                },
            )?;
        }
        for call in &calls {
            if !self.tool(&mut copy, call)? {
                return Ok(None);
            }
        }
        let patch = copy.diff(ScanOptions::default())?.patch;
        if patch.is_empty() {
            return Ok(None);
        }
        Ok(Some((copy, patch)))
    }

    /// Folders that new files need.
    fn missing_folders(&self, plan: &Plan) -> Vec<String> {
        let new = plan
            .iter()
            .filter(|(_, change)| matches!(change, Change::Create { .. }));
        let mut folders: Vec<String> = new
            .filter_map(|(path, _)| Some(path.rsplit_once('/')?.0.to_owned()))
            .filter(|folder| !self.bench.problem.tree.join(folder).is_dir())
            .collect();
        folders.dedup();
        folders
    }

    fn tool(&mut self, copy: &mut IsolatedCopy, call: &Call) -> Result<bool, Stop> {
        let prompts = self.bench.prompts;
        let used = self.log.tool(|| -> Result<ToolUsed, RolloutError> {
            let started = Instant::now();
            let session = copy.session();
            let (result, done) = match call.tool {
                Tool::Create => {
                    let result = session.create(&call.content)?;
                    (prompts.create_result(&result)?, result.is_ok())
                }
                Tool::Edit => {
                    let result = session.edit(&call.content)?;
                    (prompts.edit_result(&result)?, result.is_ok())
                }
                Tool::Bash | Tool::Submit => {
                    let result = session.run(&call.content)?;
                    (String::new(), result.exit_code() == Some(0))
                }
            };
            Ok(ToolUsed {
                seconds: started.elapsed().as_secs_f64(),
                ..ToolUsed::new(call.tool, &call.content, result, done)
            })
        })?;
        Ok(used.done)
    }

    /// Runs the tests on what was applied, and keeps it if it is the best so far.
    fn test(&mut self, copy: &mut IsolatedCopy, patch: Vec<u8>, said: ChatMessage) -> Result<Outcome, Stop> {
        let problem = self.bench.problem;
        let (bench, budget) = (self.bench, &self.options.budget);
        let runs = self.log.tests(|| testing::run(bench, budget, copy.session()))?;
        let (judgement, solved) = failures::judge(problem, &runs);
        if self.best.as_ref().is_none_or(|best| judgement < best.judgement) {
            self.best = Some(Best {
                judgement,
                patch,
                answer: said.content.clone(),
            });
        }
        Ok(if solved || problem.tests.is_empty() {
            Outcome::Solved
        } else {
            Outcome::Failing(said, runs)
        })
    }

    /// The conversation of the next round: the question, the last answer, and what is wrong with it. When that does not fit, the
    /// question alone, which other seeds answer otherwise.
    fn feedback(
        &mut self,
        question: &Question,
        said: ChatMessage,
        failing: &str,
        unusable: Option<&Unusable>,
    ) -> Result<Vec<ChatMessage>, Stop> {
        let (kind, path) = unusable.map_or(("failed", ""), Unusable::told);
        let mut messages = question.messages.clone();
        messages.push(said);
        let room = self.window.context.saturating_sub(question.answer);
        let mut most = self.options.budget.result_tokens.min(room / 4);
        while most > 0 {
            let failing = prompt::fitted(self.window, failing, most)?;
            let told = self
                .bench
                .prompts
                .one_shot_feedback(kind, path, &failing, question.ask)?;
            messages.push(ChatMessage::new("user", told));
            if self.window.count_all(&messages, &question.prefix) < room {
                for message in messages.iter().skip(question.messages.len()) {
                    self.note(message)?;
                }
                return Ok(messages);
            }
            messages.pop();
            most = if failing.is_empty() { 0 } else { most / 2 };
        }
        Ok(question.messages.clone())
    }

    fn generate(
        &mut self,
        question: &Question,
        messages: &[ChatMessage],
        sampling: SamplingParameters,
    ) -> Result<Generated, Stop> {
        if !self.log.replaying() {
            self.go_on()?;
        }
        let bench = self.bench;
        let (options, started) = (self.options, self.started);
        let request = request(question, messages, sampling);
        let generated = self.log.generation(|| say(bench, options, started, &request))?;
        self.candidate.prompt_tokens += generated.usage.prompt_tokens;
        self.candidate.completion_tokens += generated.usage.completion_tokens;
        Ok(generated)
    }

    /// Whether another step may begin.
    fn go_on(&self) -> Result<(), Stop> {
        if self.bench.control.ending() {
            return Err(Stop::Ended(Ending::Interrupted));
        }
        if out_of_time(self.bench, self.options, self.started) {
            return Err(Stop::Ended(Ending::Time));
        }
        Ok(())
    }

    fn note(&mut self, message: &ChatMessage) -> Result<(), JournalError> {
        self.log.note(Record::Message {
            attempt: self.options.name.clone(),
            tokens: message_tokens(self.bench.model, message),
            message: message.clone(),
        })
    }

    fn finish(mut self, ending: Ending) -> Result<Candidate, RolloutError> {
        if let Some(best) = self.best {
            self.candidate.patch = best.patch;
            self.candidate.answer = best.answer;
        }
        self.candidate.ending = ending;
        self.candidate.seconds = self.started.elapsed().as_secs_f64();
        self.log.end(&self.candidate)?;
        Ok(self.candidate)
    }
}
