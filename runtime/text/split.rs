//! Splitting text into the stretches within which BPE merges: the patterns that vocabularies name.

use tokenizers::utils::SysRegex;

use super::TextError;

/// GPT-2's pattern: contractions, words, numbers and other signs, each with the space before it.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Llama 3's pattern: as GPT-2's, but any sign may lead a word, numbers go by three, line ends stay with what precedes them.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen 2's pattern: Llama 3's, with every digit by itself.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The longest run of white space that patterns are given. Oniguruma gives up after ten million steps back, and patterns that look
/// for the end of a line step back once for each character of such a run.
const LONGEST_RUN: usize = 4 << 20;

/// A way of splitting text: each stage splits what the stages before it left whole.
pub(super) struct Splitter {
    stages: Vec<SysRegex>,
}

/// What a name in `tokenizer.ggml.pre` stands for.
pub(super) struct NamedSplit {
    /// The way of splitting.
    pub(super) splitter: Splitter,
    /// Whether a stretch that is a token as a whole is that token, whatever the merges say.
    pub(super) whole_tokens_first: bool,
    /// Whether the begin of text precedes every text, where the file does not say so itself.
    pub(super) adds_begin_of_text: bool,
}

impl NamedSplit {
    /// The way of splitting that a GGUF file names; none is GPT-2's with numbers and punctuation apart, as in files of old.
    pub(super) fn of(name: Option<&str>) -> Result<NamedSplit, TextError> {
        let llama3 = matches!(name, Some("llama3" | "llama-v3" | "llama-bpe" | "cwm"));
        let patterns: &[&str] = match name {
            None | Some("default" | "") => &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
            Some("gpt-2" | "gpt2" | "phi-2" | "olmo" | "mpt") => &[GPT2],
            Some("llama3" | "llama-v3" | "llama-bpe" | "cwm") => &[LLAMA3],
            Some("qwen2" | "deepseek-r1-qwen" | "stablelm2") => &[QWEN2],
            Some("smollm" | "starcoder" | "refact" | "codeshell" | "command-r") => &[r"\p{N}", GPT2],
            Some("deepseek-coder") => &[
                "[\r\n]",
                r"\s?\p{L}+",
                r"\s?\p{P}+",
                "[一-龥ࠀ-一가-\u{d7ff}]+",
                r"\p{N}",
            ],
            Some(other) => return Err(TextError::UnknownSplit(other.chars().take(60).collect())),
        };
        let splitter = Splitter::new(patterns)?;
        Ok(NamedSplit {
            splitter,
            whole_tokens_first: llama3,
            adds_begin_of_text: llama3,
        })
    }
}

impl Splitter {
    /// Llama 3's way, which its tiktoken file does not state.
    pub(super) fn llama3() -> Result<Splitter, TextError> {
        Splitter::new(&[LLAMA3])
    }

    fn new(patterns: &[&str]) -> Result<Splitter, TextError> {
        let compile = |pattern: &&str| {
            SysRegex::new(pattern)
                .map_err(|error| TextError::damaged(format!("the pattern {pattern}: {error}")))
        };
        Ok(Splitter {
            stages: patterns.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// Calls `piece` with each stretch of the text, in order; together they are the text.
    pub(super) fn split<'t>(&self, text: &'t str, mut piece: impl FnMut(&'t str)) -> Result<(), TextError> {
        check_runs(text)?;
        apply(&self.stages, text, &mut piece);
        Ok(())
    }
}

fn apply<'t>(stages: &[SysRegex], text: &'t str, piece: &mut impl FnMut(&'t str)) {
    let Some((first, rest)) = stages.split_first() else {
        if !text.is_empty() {
            piece(text);
        }
        return;
    };
    let mut done = 0;
    for (start, end) in first.find_iter(text) {
        apply(rest, text.get(done..start).unwrap_or(""), piece);
        apply(rest, text.get(start..end).unwrap_or(""), piece);
        done = end;
    }
    apply(rest, text.get(done..).unwrap_or(""), piece);
}

/// Refuses a text with a run of white space so long that splitting it would fail.
pub(super) fn check_runs(text: &str) -> Result<(), TextError> {
    if text.len() <= LONGEST_RUN {
        return Ok(());
    }
    let mut run = 0;
    for character in text.chars() {
        run = if character.is_whitespace() { run + 1 } else { 0 };
        if run > LONGEST_RUN {
            return Err(TextError::Encode(format!(
                "it has more than {LONGEST_RUN} spaces or line ends in a row; shorten that run"
            )));
        }
    }
    Ok(())
}
