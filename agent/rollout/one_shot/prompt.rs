//! The conversation of an attempt, made to fit the model's window.

use std::collections::BTreeSet;
use std::ops::Range;

use cwm_runtime::source::{ChatMessage, Prompt};

use super::failures;
use super::hide::hide;
use crate::context::{Excerpt, Ranking, language};
use crate::prompts::{AnswerFormat, AskFor, OneShotRequest, Prompts, ShownFile, ShownGuidance};
use crate::rollout::packed::ranking;
use crate::rollout::types::{Budget, RolloutError, Workbench};

/// Models of fewer parameters are small: long prompts confuse more than they help them, and are slow where such models run.
const SMALL_MODEL: u64 = 4_000_000_000;
/// The most tokens of files that a small model is shown.
const SMALL_FILES: usize = 1800;
/// The most tokens of files that others are shown.
const MOST_FILES: usize = 16_000;
/// The most tokens of an answer, and the fewest that are of use.
const MOST_ANSWER: usize = 2048;
const FEWEST_ANSWER: usize = 256;
/// The most tokens of an answer with edits: what is longer runs on without an end.
const MOST_EDITS: usize = 512;
/// The tokens that an answer with a function has in any case, and the most where it is not known which one.
const ONE_FUNCTION: usize = 512;
const SOME_FUNCTION: usize = 1024;
/// The fewest tokens of files and of the issue with which asking makes sense.
const FEWEST_FILES: usize = 96;
const FEWEST_ISSUE: usize = 48;
/// A file of more tokens is not asked for as a whole.
const MOST_WHOLE: usize = 1200;
/// With less room than this the repository's own advice is left out.
const ROOM_FOR_GUIDANCE: usize = 12_000;
/// Bytes a token has at most, about: longer texts are cut before they are counted.
const MOST_TOKEN_BYTES: usize = 16;
/// Bytes a token has at least, about, where the model does not count.
const TOKEN_BYTES: usize = 3;
/// Lines with fewer bytes stand in many texts.
const TELLING_LINE: usize = 16;
/// Tokens kept free for what counting misses.
const MARGIN: usize = 16;

/// What is asked, and what was shown.
pub(super) struct Question {
    /// The conversation up to the question.
    pub(super) messages: Vec<ChatMessage>,
    /// What the answer begins with.
    pub(super) prefix: String,
    /// The files shown, and whether as a whole; the likeliest first.
    pub(super) shown: Vec<(String, bool)>,
    /// The most tokens of an answer.
    pub(super) answer: usize,
    /// The form that was asked for in the end.
    pub(super) ask: AskFor,
    /// The function that is to be written again and its file; empty where none is.
    pub(super) rewrite: (String, String),
    /// Which of the messages are the example of an answer.
    example: Range<usize>,
}

impl Question {
    /// A question for code, without an example, whose answer has so many tokens at most.
    pub(super) fn plain(messages: Vec<ChatMessage>, prefix: String, answer: usize) -> Question {
        Question {
            messages,
            prefix,
            shown: Vec::new(),
            answer,
            ask: AskFor {
                format: AnswerFormat::Function,
                explain: false,
                hint: "",
            },
            rewrite: (String::new(), String::new()),
            example: 0..0,
        }
    }

    /// Whether an answer repeats the example's: it holds a line of it that is nowhere in what the question shows.
    pub(super) fn is_example(&self, answer: &str) -> bool {
        let lines = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().map(str::trim);
            let telling = lines.filter(|line| line.len() >= TELLING_LINE);
            telling.map(str::to_owned).collect()
        };
        let example = self.messages.get(self.example.clone()).unwrap_or_default();
        let shown = self
            .messages
            .last()
            .map_or_else(BTreeSet::new, |question| lines(&question.content));
        let said = lines(answer);
        example.iter().any(|message| {
            lines(&message.content)
                .iter()
                .any(|line| said.contains(line) && !shown.contains(line))
        })
    }

    /// The same without its example.
    pub(super) fn without_example(mut self) -> Question {
        self.messages.drain(std::mem::take(&mut self.example));
        self
    }
}

/// Counts tokens and knows the window.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    bench: &'a Workbench<'a>,
    /// Tokens that prompt and answer may have together.
    pub(super) context: usize,
    /// Whether the model is small.
    pub(super) small: bool,
}

impl<'a> Window<'a> {
    pub(super) fn of(bench: &'a Workbench<'a>, budget: &Budget) -> Result<Window<'a>, RolloutError> {
        let info = bench.model.info()?;
        Ok(Window {
            bench,
            context: info
                .context
                .map_or(budget.context, |most| most.min(budget.context)),
            small: info.parameters.is_some_and(|count| count < SMALL_MODEL),
        })
    }

    pub(super) fn count(&self, text: &str) -> usize {
        let counted = self.bench.model.count_tokens(text);
        counted.unwrap_or_else(|| text.len().div_ceil(TOKEN_BYTES))
    }

    /// The tokens of a text, or `most` where it has more. A huge text is not read.
    fn count_to(&self, text: &str, most: usize) -> usize {
        if text.len() > most.saturating_mul(MOST_TOKEN_BYTES) {
            return most;
        }
        self.count(text).min(most)
    }

    /// The tokens of a conversation with what the answer begins with.
    pub(super) fn count_all(&self, messages: &[ChatMessage], prefix: &str) -> usize {
        let prompt = Prompt::Chat {
            messages: messages.to_vec(),
            assistant_prefix: prefix.to_owned(),
        };
        self.bench.model.count_prompt(&prompt, &[]).unwrap_or_else(|| {
            let each = messages.iter().map(|message| self.count(&message.content) + 8);
            each.sum::<usize>() + self.count(prefix) + 8
        })
    }
}

/// Shares of the window, in tokens.
#[derive(Clone, Copy)]
struct Shares {
    files: usize,
    failures: usize,
    issue: usize,
    guidance: usize,
    /// A file of more tokens is not asked for as a whole: the answer would be cut off.
    whole: usize,
}

/// Puts the question so that it and its answer fit: files shrink first, then what tests say, then the issue.
pub(super) fn question(window: Window<'_>, budget: &Budget, ask: AskFor) -> Result<Question, RolloutError> {
    let (bench, prompts) = (window.bench, window.bench.prompts);
    let answer = MOST_ANSWER
        .min(budget.action_tokens)
        .min(window.context / 4)
        .max(FEWEST_ANSWER.min(budget.action_tokens));
    let room = window.context.saturating_sub(answer + MARGIN);
    let problem = bench.problem;
    let said = failures::output(problem, &problem.baseline);
    let ranking = ranking(problem)?;
    let forms = forms(ask);
    for (ask, example) in forms.iter().flat_map(|ask| [(*ask, true), (*ask, false)]) {
        let (frame, _) = conversation(prompts, &OneShotRequest::default(), ask, example)?;
        let left = room.saturating_sub(window.count_all(&frame, ""));
        let mut shares = Shares {
            files: left.min(if window.small { SMALL_FILES } else { MOST_FILES }),
            failures: (left / 4).min(budget.result_tokens),
            issue: (left / 3).min(budget.prompt_tokens),
            guidance: if left >= ROOM_FOR_GUIDANCE { left / 16 } else { 0 },
            whole: MOST_WHOLE.min(answer * 3 / 4),
        };
        // What the others leave is the files'.
        let others = window.count_to(&said, shares.failures)
            + window.count_to(&bench.problem.issue, shares.issue)
            + shares.guidance;
        shares.files = shares.files.min(left.saturating_sub(others));
        while shares.files >= FEWEST_FILES && shares.issue >= FEWEST_ISSUE {
            let Some((request, longest)) = request(window, ranking, shares, &said, ask)? else {
                // This form does not suit what is to be shown.
                break;
            };
            let (messages, example) = conversation(prompts, &request, ask, example)?;
            let prefix = prefix(prompts, &request, ask)?;
            let used = window.count_all(&messages, &prefix);
            if used <= room {
                return Ok(Question {
                    shown: shown(&request.files),
                    rewrite: request.rewrite.clone(),
                    messages,
                    prefix,
                    answer: answer.min(longest),
                    ask,
                    example,
                });
            }
            shares = shares.smaller(used - room);
        }
    }
    Err(RolloutError::WindowTooSmall(format!(
        "a window of {} tokens is too small for the issue and the files that it is about; choose a model with a longer context, or allow more with --context",
        window.context
    )))
}

/// What a question about the code is asked with, whatever it asks: files, tests apart, and the issue.
pub(super) struct Material {
    pub(super) files: Vec<ShownFile>,
    pub(super) tests: Vec<ShownFile>,
    pub(super) issue: String,
}

/// The files that matter and the issue, so that an answer of so many tokens and half as much of other words fit.
pub(super) fn material(window: Window<'_>, budget: &Budget, answer: usize) -> Result<Material, RolloutError> {
    let problem = window.bench.problem;
    let left = window.context.saturating_sub(answer + answer / 2 + MARGIN);
    let issue = fitted(window, problem.issue.trim(), (left / 3).min(budget.prompt_tokens))?;
    let most = if window.small { SMALL_FILES } else { MOST_FILES };
    let room = most.min(left.saturating_sub(window.count(&issue)));
    let packed = ranking(problem)?.cut(room, &|text| window.count(text));
    let shown = packed.excerpts.iter().map(shown_file);
    let (tests, files) = shown.partition(|file: &ShownFile| file.is_test);
    Ok(Material { files, tests, issue })
}

/// The forms to try, in order: the one that is wanted, and one that suits whatever is shown.
fn forms(ask: AskFor) -> Vec<AskFor> {
    match ask.format {
        AnswerFormat::Blocks | AnswerFormat::Function => vec![ask],
        AnswerFormat::File | AnswerFormat::Rewrite => {
            let format = AnswerFormat::Function;
            vec![ask, AskFor { format, ..ask }]
        }
    }
}

/// What the answer begins with.
fn prefix(prompts: &Prompts, request: &OneShotRequest, ask: AskFor) -> Result<String, RolloutError> {
    let code: Vec<&str> = shown(&request.files)
        .iter()
        .filter_map(|(path, _)| {
            request
                .files
                .iter()
                .find(|file| file.path == *path && !file.is_test)
        })
        .map(|file| file.path.as_str())
        .collect();
    let only = if let [one] = code.as_slice() { one } else { "" };
    let language = request.files.first().map_or("", |file| file.language.as_str());
    Ok(prompts.one_shot_prefix(language, only, ask)?)
}

/// The files that are shown, each once, and whether as a whole.
fn shown(files: &[ShownFile]) -> Vec<(String, bool)> {
    let mut shown: Vec<(String, bool)> = Vec::new();
    for file in files {
        if !shown.iter().any(|(path, _)| *path == file.path) {
            shown.push((file.path.clone(), file.whole && !file.hidden));
        }
    }
    shown
}

impl Shares {
    /// Takes tokens away where they hurt least.
    fn smaller(mut self, excess: usize) -> Shares {
        let excess = excess + 16;
        if self.files > excess + FEWEST_FILES * 2 {
            self.files -= excess;
        } else if self.failures > FEWEST_FILES {
            self.failures /= 2;
        } else if self.guidance > 0 {
            self.guidance = 0;
        } else if self.issue > FEWEST_ISSUE * 2 {
            self.issue /= 2;
        } else {
            self.files = self.files * 3 / 4;
            self.failures /= 2;
            self.issue = self.issue * 3 / 4;
        }
        self
    }
}

/// The messages up to the question, and which of them are the example.
fn conversation(
    prompts: &Prompts,
    request: &OneShotRequest,
    ask: AskFor,
    example: bool,
) -> Result<(Vec<ChatMessage>, Range<usize>), RolloutError> {
    let mut messages = Vec::new();
    let system = prompts.one_shot_system(ask)?;
    if !system.is_empty() {
        messages.push(ChatMessage::new("system", system));
    }
    let [question, answer] = prompts.one_shot_example(ask)?;
    let begin = messages.len();
    if example && !question.is_empty() {
        messages.push(ChatMessage::new("user", question));
        messages.push(ChatMessage::new("assistant", answer));
    }
    let example = begin..messages.len();
    messages.push(ChatMessage::new("user", prompts.one_shot_request(request, ask)?));
    Ok((messages, example))
}

/// What is asked with these shares, and how many tokens an answer may need; nothing when the form does not suit it.
fn request(
    window: Window<'_>,
    ranking: &Ranking,
    shares: Shares,
    said: &str,
    ask: AskFor,
) -> Result<Option<(OneShotRequest, usize)>, RolloutError> {
    let problem = window.bench.problem;
    let count = |text: &str| window.count(text);
    let packed = ranking.cut(shares.files, &count);
    let mut files: Vec<ShownFile> = packed.excerpts.iter().map(shown_file).collect();
    let mut rewrite = (String::new(), String::new());
    let mut tests = Vec::new();
    let longest = longest(window, ranking, &files, ask.format);
    match ask.format {
        AnswerFormat::File => {
            // The failing tests' output says what they want; their files would be taken for the one that is asked for.
            files.retain(|file| !file.is_test);
            let fits = |file: &ShownFile| file.whole && window.count(&file.text) <= shares.whole;
            if files.len() != 1 || !files.iter().all(fits) {
                return Ok(None);
            }
        }
        AnswerFormat::Rewrite => match hide(window.bench.prompts, ranking, &mut files)? {
            Some(hidden) => {
                rewrite = hidden;
                tests = taken_tests(&mut files, &rewrite.1);
            }
            None => return Ok(None),
        },
        AnswerFormat::Blocks | AnswerFormat::Function => {}
    }
    let mut guidance = Vec::new();
    let each = shares.guidance / problem.guidance.len().max(1);
    for part in problem.guidance.iter().filter(|_| each > 0) {
        guidance.push(ShownGuidance {
            path: part.path.clone(),
            text: fitted(window, part.text.trim_end(), each)?,
        });
    }
    let request = OneShotRequest {
        files,
        guidance,
        issue: fitted(window, problem.issue.trim(), shares.issue)?,
        failures: fitted(window, said, shares.failures)?,
        rewrite,
        tests,
    };
    Ok(Some((request, longest)))
}

/// The most tokens that an answer of this form has when it is right.
fn longest(window: Window<'_>, ranking: &Ranking, files: &[ShownFile], format: AnswerFormat) -> usize {
    match format {
        AnswerFormat::File => usize::MAX,
        AnswerFormat::Blocks => MOST_EDITS,
        AnswerFormat::Function | AnswerFormat::Rewrite => {
            let text = ranking.suspect().and_then(|(path, function)| {
                let shows = |file: &&ShownFile| {
                    file.path == path
                        && file.first_line <= function.start + 1
                        && function.end <= file.last_line
                };
                let file = files.iter().find(shows)?;
                let own = file.text.lines().skip(function.start + 1 - file.first_line);
                let own: Vec<&str> = own.take(function.end - function.start).collect();
                Some(own.join("\n"))
            });
            text.map_or(SOME_FUNCTION, |text| {
                ONE_FUNCTION.max(window.count(&text) * 3 / 2 + 64)
            })
        }
    }
}

/// Takes the tests out of the files: those in the code's own language, or all where there are none.
fn taken_tests(files: &mut Vec<ShownFile>, code: &str) -> Vec<ShownFile> {
    let (mut tests, code_files): (Vec<_>, Vec<_>) = files
        .drain(..)
        .partition(|file| file.is_test && file.path != code);
    *files = code_files;
    let language = files
        .iter()
        .find(|file| file.path == code)
        .map(|file| file.language.clone());
    let is_own = |test: &ShownFile| language.as_ref() == Some(&test.language);
    if tests.iter().any(is_own) {
        tests.retain(is_own);
    }
    tests
}

fn shown_file(excerpt: &Excerpt) -> ShownFile {
    let lines = excerpt.text.lines().count();
    ShownFile {
        path: excerpt.path.clone(),
        language: language(&excerpt.path)
            .map_or("", |language| language.name)
            .to_owned(),
        text: excerpt.text.trim_end_matches(['\n', '\r']).to_owned(),
        first_line: excerpt.first_line,
        last_line: (excerpt.first_line + lines).saturating_sub(1),
        file_lines: excerpt.file_lines,
        whole: excerpt.first_line == 1 && lines >= excerpt.file_lines,
        is_test: excerpt.is_test,
        hidden: false,
    }
}

/// A text cut to so many tokens: lines of its beginning and of its end, for failures and reports end with what matters.
pub(super) fn fitted(window: Window<'_>, text: &str, most: usize) -> Result<String, RolloutError> {
    // No text of more bytes fits; a huge one is never counted.
    let limit = most.saturating_mul(MOST_TOKEN_BYTES);
    if text.len() <= limit && window.count(text) <= most {
        return Ok(text.to_owned());
    }
    let all_lines = text.lines().count();
    let mut bytes = text.len().min(limit);
    loop {
        let (head, tail) = ends(text, bytes);
        let omitted = text.len() - head.len() - tail.len();
        let lines = all_lines.saturating_sub(head.lines().count() + tail.lines().count());
        let mark = window
            .bench
            .prompts
            .truncated(omitted as u64, lines as u64, None)?;
        let cut = format!("{}\n{mark}\n{}", head.trim_end(), tail.trim_start_matches('\n'));
        if window.count(&cut) <= most || bytes < 8 {
            return Ok(cut);
        }
        bytes = bytes * 3 / 4;
    }
}

/// A third of so many bytes from the beginning and the rest from the end, in whole lines where there are some.
fn ends(text: &str, bytes: usize) -> (&str, &str) {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let head = text
        .get(..boundary((bytes / 3).min(text.len())))
        .unwrap_or_default();
    let head = head.rfind('\n').and_then(|end| head.get(..=end)).unwrap_or(head);
    let from = boundary(text.len().saturating_sub(bytes - bytes / 3).max(head.len()));
    let tail = text.get(from..).unwrap_or_default();
    let tail = match tail.find('\n') {
        Some(end) if from > 0 && end + 1 < tail.len() => tail.get(end + 1..).unwrap_or_default(),
        _ => tail,
    };
    (head, tail)
}
