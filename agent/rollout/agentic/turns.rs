//! The loop itself: an answer, what it comes to, and what the model is told.

use std::time::Duration;

use cwm_runtime::source::{
    CallFormat, ChatMessage, GenerateRequest, ModelError, Prompt, StopReason, ToolCall,
};
use cwm_tools::call::{Call, CallError, Tool};

use super::answer::{self, Turn, Wrong};
use super::halt::Halt;
use super::repeats::Repeats;
use super::workplace::{When, Workplace};
use super::{ask, opening, room, tools};
use crate::prompts::Scarce;
use crate::rollout::TimeLeft;
use crate::rollout::chosen_patch::{self, Submission};
use crate::rollout::conversation::Conversation;
use crate::rollout::journal::{AttemptLog, Generated, JournalError, Record};
use crate::rollout::tokens::TokenCounter;
use crate::rollout::types::{AttemptOptions, Ending, RolloutError, Strategy, Workbench};
use crate::rollout::whole_issue;

/// So many last turns are announced.
const ANNOUNCED_TURNS: usize = 3;
/// Time is scarce when less than one part in so many is left, or less than the announced turns take as turns went so far.
const SCARCE_TIME_SHARE: u32 = 10;
/// How often a request may be refused as too long for the window.
const MOST_REFUSALS: u32 = 3;

/// An attempt at work.
pub(super) struct Attempt<'a> {
    pub(super) bench: Workbench<'a>,
    pub(super) options: &'a AttemptOptions,
    pub(super) log: AttemptLog<'a>,
    pub(super) counter: TokenCounter<'a>,
    pub(super) conversation: Conversation,
    pub(super) workplace: Workplace<'a>,
    /// The tokens that prompt and answers may have together.
    pub(super) window: usize,
    /// What answers begin with.
    pub(super) prefix: &'static str,
    pub(super) format: CallFormat,
    pub(super) submission: Option<Submission>,
    /// Calls were made since the last submission.
    pub(super) worked_on: bool,
    /// Every path that was submitted: files of the model's own, wherever they lie.
    pub(super) submitted_paths: Vec<Vec<u8>>,
    repeats: Repeats,
    pub(super) turns: usize,
    format_errors: usize,
    /// What answers and calls took.
    pub(super) spent: Duration,
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) words: String,
    /// Steps of an earlier process are done again, or were, and the model was not told yet.
    resumed: bool,
}

impl<'a> Attempt<'a> {
    /// Opens the copy and begins the conversation.
    pub(super) fn begin(
        bench: &Workbench<'a>,
        options: &'a AttemptOptions,
        log: AttemptLog<'a>,
    ) -> Result<Attempt<'a>, RolloutError> {
        let info = bench.model.info()?;
        let counter = TokenCounter::new(bench.model, tools(bench, info.calls)?);
        let messages = opening::messages(bench, options, info.calls, &counter)?;
        let window = opening::window(bench.model, options)?;
        let prefix = answer::assistant_prefix(info.calls);
        let tokens = counter.conversation(&messages, prefix);
        if tokens > room::full(window) {
            return Err(RolloutError::WindowTooSmall(format!(
                "{} has a window of {window} tokens, but what it must read before its first answer has {tokens}, and room for the answer is needed too; give it a longer context, or choose a model that has one",
                info.name
            )));
        }
        whole_issue::check(bench, &messages)?;
        let mut attempt = Attempt {
            bench: *bench,
            options,
            counter,
            conversation: Conversation::default(),
            workplace: Workplace::open(bench, options)?,
            window,
            prefix,
            format: info.calls,
            submission: None,
            worked_on: false,
            submitted_paths: Vec::new(),
            repeats: Repeats::default(),
            turns: 0,
            format_errors: 0,
            spent: Duration::ZERO,
            prompt_tokens: 0,
            completion_tokens: 0,
            words: String::new(),
            resumed: log.replaying(),
            log,
        };
        attempt.log.note(Record::Attempt {
            attempt: options.name.clone(),
            strategy: Strategy::Agentic,
            sampling: options.sampling.clone(),
        })?;
        for message in messages {
            attempt.push(message)?;
        }
        Ok(attempt)
    }

    /// One turn: an answer and its effect.
    pub(super) fn step(&mut self) -> Result<(), Halt> {
        self.take_over()?;
        self.check_limits()?;
        let generated = self.generate()?;
        self.account(&generated);
        let turn = answer::read(&generated, self.format, self.submission.is_some());
        self.push_answer(&generated)?;
        if generated.reason == StopReason::Cancelled && self.time_is_over() {
            return Err(Halt::Ended(Ending::Time));
        }
        match turn {
            Turn::Final(words) => {
                self.words = words;
                Err(Halt::Ended(Ending::Finished))
            }
            Turn::Call(call) => {
                self.format_errors = 0;
                self.use_tool(&call, generated.calls.first())
            }
            Turn::Wrong(wrong) => self.tell_wrong(&wrong, &generated),
        }
    }

    /// Takes over what was recorded besides answers and their results, and tells the model when it cannot rely on them.
    fn take_over(&mut self) -> Result<(), Halt> {
        loop {
            match self.log.upcoming().cloned() {
                Some(Record::Message { message, .. }) => self.push(message)?,
                Some(Record::Elision { attempt, elided }) => {
                    self.elide(&elided.messages, Some(&elided.results))?;
                    self.log.note(Record::Elision { attempt, elided })?;
                }
                _ => break,
            }
        }
        if self.resumed && !self.log.replaying() {
            self.resumed = false;
            if self.log.diverged() {
                let text = self.bench.prompts.session_restored()?;
                self.push(ChatMessage::new("user", text))?;
            }
        }
        Ok(())
    }

    /// Ends the attempt where nothing more may be done.
    fn check_limits(&mut self) -> Result<(), Halt> {
        let ended = |ending| Err(Halt::Ended(ending));
        if self.bench.control.ending() {
            return ended(Ending::Interrupted);
        }
        if self.turns >= self.options.budget.turns {
            return ended(Ending::Turns);
        }
        if self.time_is_over() {
            return ended(Ending::Time);
        }
        Ok(())
    }

    fn time_is_over(&self) -> bool {
        // What is only done again takes no time of the attempt's.
        let run_over = !self.log.replaying() && self.bench.control.out_of_time();
        run_over || self.time_left().is_some_and(|left| left.is_zero())
    }

    fn time_left(&self) -> Option<Duration> {
        self.options
            .budget
            .time
            .map(|time| time.saturating_sub(self.spent))
    }

    /// What is left of the attempt's time or of the run's, whichever is over first.
    fn any_time_left(&self) -> Option<Duration> {
        let run = self.bench.control.time_left().map(|time| time.left);
        self.time_left().into_iter().chain(run).min()
    }

    /// The model's next answer.
    fn generate(&mut self) -> Result<Generated, Halt> {
        let mut refused = 0;
        loop {
            // What is not asked for needs no room. What is recorded next may be something else than an answer.
            let recorded = matches!(self.log.upcoming(), Some(Record::Generation { .. }));
            let tokens = if recorded { 0 } else { self.make_room()? };
            let request = self.request(tokens, refused);
            let (bench, name, prefix) = (self.bench, self.options.name.as_str(), self.prefix);
            let left = self.time_left();
            let answered = self
                .log
                .generation(|| ask::ask(&bench, name, &request, prefix, left));
            let (allowed, error) = match answered {
                Err(Halt::Failed(error)) => match *error {
                    RolloutError::Model(ModelError::PromptTooLong { context, .. }) => (context, error),
                    RolloutError::Model(ModelError::ServerContext { allowed, .. }) => {
                        (allowed.unwrap_or(self.window), error)
                    }
                    _ => return Err(Halt::Failed(error)),
                },
                other => return other,
            };
            // The window is smaller, or the tokens are more, than was thought: first less room for the answer is asked for,
            // then results are taken out.
            refused += 1;
            self.window = self.window.min(allowed);
            if refused > MOST_REFUSALS {
                return Err(match self.turns {
                    0 => Halt::Failed(error),
                    _ => Halt::Ended(Ending::Tokens),
                });
            }
            if refused == MOST_REFUSALS {
                self.window = self.window.min(tokens);
            }
        }
    }

    /// What is asked of the model, whose prompt has so many tokens; `refused` tells how often it was refused as too long.
    fn request(&self, tokens: usize, refused: u32) -> GenerateRequest {
        let room = (self.window.saturating_sub(tokens) >> (2 * refused)).max(1);
        GenerateRequest {
            prompt: Prompt::Chat {
                messages: self.conversation.messages().to_vec(),
                assistant_prefix: self.prefix.to_owned(),
            },
            samples: 1,
            sampling: self.options.sampling.clone(),
            max_tokens: Some(self.options.budget.action_tokens.min(room)),
            stop: Vec::new(),
            logprobs: None,
            tools: self.counter.tools().to_vec(),
        }
    }

    fn account(&mut self, generated: &Generated) {
        self.turns += 1;
        self.spend(generated.seconds);
        self.prompt_tokens += generated.usage.prompt_tokens;
        self.completion_tokens += generated.usage.completion_tokens;
        self.counter
            .learn(self.conversation.messages(), generated.usage.prompt_tokens);
        let words = answer::words(&generated.text);
        if !words.is_empty() {
            self.words = words.to_owned();
        }
    }

    fn spend(&mut self, seconds: f64) {
        self.spent += Duration::try_from_secs_f64(seconds).unwrap_or_default();
    }

    /// Adds what the model said, token by token where its tokens are known.
    fn push_answer(&mut self, generated: &Generated) -> Result<(), Halt> {
        let mut message = generated.message();
        message.calls.clone_from(&generated.calls);
        Ok(self.push(message)?)
    }

    /// Adds a message; in what is done again, the one that was recorded in its place.
    fn push(&mut self, message: ChatMessage) -> Result<(), JournalError> {
        let message = match self.log.upcoming() {
            Some(Record::Message {
                message: recorded, ..
            }) if recorded.role == message.role => recorded.clone(),
            _ => message,
        };
        self.log.note(Record::Message {
            attempt: self.options.name.clone(),
            tokens: self.counter.message(&message),
            message: message.clone(),
        })?;
        self.conversation.push(message);
        Ok(())
    }

    /// Runs a call and tells the model what came of it.
    fn use_tool(&mut self, call: &Call, id: Option<&ToolCall>) -> Result<(), Halt> {
        let again = matches!(self.log.upcoming(), Some(Record::Tool { .. }));
        let when = When {
            turn: self.turns,
            again,
            // What is only done again may take the time that it took.
            left: if again { None } else { self.any_time_left() },
        };
        let workplace = &mut self.workplace;
        let used = self.log.tool(|| workplace.act(call, when))?;
        self.spend(used.seconds);
        let mut remarks = Vec::new();
        self.worked_on = used.submitted.is_none();
        if let Some(patch) = &used.submitted {
            remarks.extend(self.take_submission(call, patch)?);
        }
        let output = self.fit(&used, again)?;
        if let Some(count) = self.repeats.take(call, &used.result) {
            remarks.push(self.bench.prompts.repeated_call(count)?);
            self.notice(format!("the model made the same call {count} times in a row"))?;
        }
        let message = self.result_message(call.tool, &output.shown, id, remarks)?;
        self.push(message)?;
        self.conversation.push_output(output);
        Ok(())
    }

    /// Takes a patch that was handed in, and tells what is wrong with it.
    fn take_submission(&mut self, call: &Call, patch: &str) -> Result<Option<String>, Halt> {
        let path = call.content.trim();
        let directory = self.workplace.working_directory();
        self.submitted_paths.extend(chosen_patch::in_repository(
            path,
            self.workplace.root(),
            &directory,
        ));
        let submission = Submission {
            path: path.to_owned(),
            patch: patch.to_owned(),
        };
        let remark = match chosen_patch::usable(&submission, &self.bench.problem.tree) {
            Ok(_) => None,
            Err(reason) => Some(self.bench.prompts.patch_refused(&reason)?),
        };
        self.submission = Some(submission);
        Ok(remark)
    }

    /// The message that holds a tool's result, what is left, and remarks behind it.
    fn result_message(
        &self,
        tool: Tool,
        shown: &str,
        id: Option<&ToolCall>,
        mut remarks: Vec<String>,
    ) -> Result<ChatMessage, Halt> {
        let role = match self.format {
            CallFormat::Native if id.is_some() => "tool".to_owned(),
            // The call was read from the model's text: servers refuse an answer to a call that they know nothing of.
            CallFormat::Native => "user".to_owned(),
            CallFormat::Tags | CallFormat::None => format!("tool: {}", tool.name()),
        };
        let turns = self.options.budget.turns.saturating_sub(self.turns);
        let render = |tokens: usize| self.bench.prompts.tool_result(shown, turns as u64, tokens as u64);
        let mut message = ChatMessage::new(role, render(self.window)?);
        message.call_id = id.map(|call| call.id.clone());
        let now = self.count_with(&message);
        remarks.extend(self.scarcity(turns, now)?);
        message.content = render(self.window.saturating_sub(now))?;
        for remark in remarks {
            message.content.push_str("\n\n");
            message.content.push_str(&remark);
        }
        Ok(message)
    }

    /// That the end is near, if it is.
    fn scarcity(&self, turns: usize, tokens: usize) -> Result<Option<String>, Halt> {
        let scarce = if turns == 0 {
            None
        } else if turns <= ANNOUNCED_TURNS {
            Some(Scarce::Turns(turns))
        } else if self.tokens_are_scarce(tokens) {
            Some(Scarce::Tokens)
        } else {
            self.time_is_scarce().then_some(Scarce::Time)
        };
        let submitted = self.submission.is_some();
        Ok(match scarce {
            Some(scarce) => Some(self.bench.prompts.last_turns(scarce, submitted)?),
            None => None,
        })
    }

    fn time_is_scarce(&self) -> bool {
        let own = self.options.budget.time.zip(self.time_left());
        let own = own.map(|(whole, left)| TimeLeft { left, whole });
        // What is only done again takes no time of the run's; what the model was told then is recorded.
        let replaying = self.log.replaying();
        let run = self.bench.control.time_left().filter(|_| !replaying);
        let turns = u32::try_from(self.turns.max(1)).unwrap_or(u32::MAX);
        let announced = self.spent / turns * ANNOUNCED_TURNS as u32;
        own.into_iter()
            .chain(run)
            .any(|time| time.left < time.whole / SCARCE_TIME_SHARE || time.left < announced)
    }

    /// Tells the model what is wrong with its answer, unless it was told too often.
    fn tell_wrong(&mut self, wrong: &Wrong, generated: &Generated) -> Result<(), Halt> {
        self.format_errors += 1;
        if self.format_errors >= self.options.budget.format_errors.max(1) {
            return Err(Halt::Ended(match wrong {
                // It kept saying that it is done.
                Wrong::Form(CallError::None) => Ending::NotSubmitted,
                _ => Ending::FormatErrors,
            }));
        }
        let prompts = self.bench.prompts;
        let reasoning = self.format == CallFormat::Tags;
        let mut text = match wrong {
            Wrong::Cut => prompts.answer_cut(generated.usage.completion_tokens, reasoning)?,
            Wrong::Arguments(error) => prompts.arguments_error(error)?,
            Wrong::Form(error) if self.format == CallFormat::Native => prompts.format_error_native(error)?,
            Wrong::Form(error) => prompts.format_error(error)?,
        };
        let turns = self.options.budget.turns.saturating_sub(self.turns);
        if let Some(remark) = self.scarcity(turns, self.count())? {
            text = format!("{text}\n\n{remark}");
        }
        // A server wants an answer to each call that its model made.
        for call in &generated.calls {
            let mut message = ChatMessage::new("tool", text.clone());
            message.call_id = Some(call.id.clone());
            self.push(message)?;
        }
        if generated.calls.is_empty() {
            self.push(ChatMessage::new("user", text))?;
        }
        Ok(())
    }

    pub(super) fn notice(&mut self, text: String) -> Result<(), Halt> {
        Ok(self.log.note(Record::Notice {
            attempt: Some(self.options.name.clone()),
            text,
        })?)
    }
}
