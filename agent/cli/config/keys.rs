//! The keys: what they are called, what they take, what they are when nobody says so, and whether a repository may say so.

use super::value::{Kind, names};
use crate::cli::fix::{AcceptChoice, StrategyChoice};
use crate::cli::model::KvChoice;
use crate::cli::walls::{NetworkChoice, SandboxChoice};

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    /// In files.
    pub(super) name: &'static str,
    /// In the environment.
    pub(super) variable: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it is when nobody says so.
    pub(super) fallback: Fallback,
    /// Whether the repository's file may set it.
    pub(super) trust: Trust,
}

/// What a key is when nobody says so.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fallback {
    /// This value, in the environment's form.
    Value(&'static str),
    /// No value; what that means, for people.
    Unset(&'static str),
}

/// What the repository's file, which anyone may have written, may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any value.
    Any,
    /// Names of the catalogue only.
    Catalogue,
    /// None. Why not, as the end of a sentence.
    None(&'static str),
}

const WALLS: Trust = Trust::None("it says what keeps commands in");
const PLACES: Trust = Trust::None("it says where code and prompts come from or go to");
const MACHINE: Trust = Trust::None("it says what cwm may use of this machine");
const PROOF: Trust = Trust::None("it says which patches are taken without proof");

const fn at_least_one() -> Kind {
    Kind::Count {
        least: 1,
        most: u32::MAX as u64,
    }
}

macro_rules! keys {
    ($($name:literal, $variable:literal, $kind:expr, $fallback:expr, $trust:expr;)*) => {
        &[$(Key {
            name: $name,
            variable: $variable,
            kind: $kind,
            fallback: $fallback,
            trust: $trust,
        }),*]
    };
}

/// Every key, in the order in which they are shown.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = keys! {
    "model", "CWM_MODEL", Kind::Model, Fallback::Unset("qwen2.5-coder-1.5b"), Trust::Catalogue;
    "model_name", "CWM_MODEL_NAME", Kind::Text, Fallback::Unset("the only one that the server has"), PLACES;
    "context", "CWM_CONTEXT", at_least_one(), Fallback::Unset("the model's own"), MACHINE;
    "threads", "CWM_THREADS", at_least_one(), Fallback::Unset("all"), MACHINE;
    "kv", "CWM_KV", Kind::Choice(names::<KvChoice>), Fallback::Value("f16"), MACHINE;
    "kv_memory", "CWM_KV_MEMORY", Kind::Bytes, Fallback::Unset("what the context needs"), MACHINE;
    "samples", "CWM_SAMPLES", Kind::Count { least: 1, most: 1000 }, Fallback::Unset("8 one-shot, 1 agentic"), Trust::Any;
    "strategy", "CWM_STRATEGY", Kind::Choice(names::<StrategyChoice>), Fallback::Value("auto"), Trust::Any;
    "seed", "CWM_SEED", Kind::Count { least: 0, most: u64::MAX }, Fallback::Value("0"), Trust::Any;
    "temperature", "CWM_TEMPERATURE", Kind::Number { least: 0.0, most: 100.0 }, Fallback::Unset("the model's own, else 1"), Trust::Any;
    "top_p", "CWM_TOP_P", Kind::Number { least: 1e-6, most: 1.0 }, Fallback::Unset("the model's own, else 0.95"), Trust::Any;
    "tests", "CWM_TESTS", Kind::Commands, Fallback::Unset("found in the repository"), Trust::Any;
    "test_timeout", "CWM_TEST_TIMEOUT", Kind::Time, Fallback::Value("10m"), Trust::Any;
    "test_budget", "CWM_TEST_BUDGET", Kind::Time, Fallback::Value("1m"), Trust::Any;
    "max_turns", "CWM_MAX_TURNS", at_least_one(), Fallback::Value("128"), Trust::Any;
    "max_tokens", "CWM_MAX_TOKENS", Kind::Count { least: 256, most: u32::MAX as u64 }, Fallback::Unset("the model's context, at most 131072"), Trust::Any;
    "max_time", "CWM_MAX_TIME", Kind::Time, Fallback::Unset("no limit"), Trust::Any;
    "command_timeout", "CWM_COMMAND_TIMEOUT", Kind::Time, Fallback::Value("2m"), Trust::Any;
    "rounds", "CWM_ROUNDS", at_least_one(), Fallback::Value("2"), Trust::Any;
    "parallel", "CWM_PARALLEL", Kind::Count { least: 1, most: 1000 }, Fallback::Value("8"), MACHINE;
    "accept", "CWM_ACCEPT", Kind::Choice(names::<AcceptChoice>), Fallback::Value("verified"), PROOF;
    "network", "CWM_NETWORK", Kind::Choice(names::<NetworkChoice>), Fallback::Value("loopback"), WALLS;
    "sandbox", "CWM_SANDBOX", Kind::Choice(names::<SandboxChoice>), Fallback::Value("auto"), WALLS;
    "image", "CWM_IMAGE", Kind::Text, Fallback::Unset("none"), WALLS;
    "read", "CWM_READ", Kind::Paths, Fallback::Unset("nothing more"), WALLS;
    "prompts", "CWM_PROMPTS", Kind::Path, Fallback::Unset("built in"), PLACES;
};

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key whose name is most like a wrong one, if any is like it.
pub(super) fn nearest(wrong: &str) -> Option<&'static str> {
    let wrong: Vec<char> = wrong.chars().take(40).collect();
    let near = KEYS.iter().map(|key| (distance(&wrong, key.name), key.name));
    near.min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .map(|(_, name)| name)
}

/// How many characters have to be put in, taken out or changed to make one text of another.
fn distance(left: &[char], right: &str) -> usize {
    let mut row: Vec<usize> = (0..=left.len()).collect();
    for (above, character) in right.chars().enumerate() {
        let mut diagonal = above;
        let mut behind = above + 1;
        if let Some(first) = row.first_mut() {
            *first = behind;
        }
        for (cell, known) in row.iter_mut().skip(1).zip(left) {
            let change = diagonal + usize::from(*known != character);
            diagonal = *cell;
            *cell = change.min(diagonal + 1).min(behind + 1);
            behind = *cell;
        }
    }
    row.last().copied().unwrap_or_default()
}
