//! Tokens that were there before, made less likely.

use std::collections::{HashMap, VecDeque};

use crate::engine::SamplingParameters;
use crate::model::TokenId;

/// What the penalties of one sequence have to know of its tokens. Empty, and free of cost, where no penalty is in force.
#[derive(Debug, Clone, Default)]
pub struct TokenHistory {
    /// How often each token is among those that the repetition penalty looks at.
    repeated: HashMap<TokenId, u32>,
    /// Those tokens in order, where only the last ones count.
    recent: VecDeque<TokenId>,
    window: usize,
    watches_repetition: bool,
    /// How often each token was generated.
    generated: HashMap<TokenId, u32>,
    watches_generated: bool,
}

impl TokenHistory {
    /// The history of a sequence that so far is its prompt.
    pub fn new(parameters: &SamplingParameters, prompt: &[TokenId]) -> TokenHistory {
        let mut history = TokenHistory {
            window: parameters.repetition_window,
            watches_repetition: parameters.repetition_penalty != 1.0,
            watches_generated: parameters.frequency_penalty != 0.0 || parameters.presence_penalty != 0.0,
            ..TokenHistory::default()
        };
        if history.watches_repetition {
            prompt.iter().for_each(|token| history.remember(*token));
        }
        history
    }

    /// Adds a token that was generated.
    pub fn push(&mut self, token: TokenId) {
        if self.watches_repetition {
            self.remember(token);
        }
        if self.watches_generated {
            *self.generated.entry(token).or_default() += 1;
        }
    }

    fn remember(&mut self, token: TokenId) {
        *self.repeated.entry(token).or_default() += 1;
        if self.window == 0 {
            return;
        }
        self.recent.push_back(token);
        if self.recent.len() > self.window
            && let Some(oldest) = self.recent.pop_front()
            && let Some(count) = self.repeated.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.repeated.remove(&oldest);
            }
        }
    }

    /// Whether there is anything to apply.
    pub(super) fn changes_logits(&self) -> bool {
        !self.repeated.is_empty() || !self.generated.is_empty()
    }

    /// Changes `logits` `[vocabulary]`: repetition first (Keskar et al. 2019), then frequency and presence.
    pub(super) fn apply(&self, parameters: &SamplingParameters, logits: &mut [f32]) {
        for token in self.repeated.keys() {
            if let Some(logit) = logits.get_mut(*token as usize) {
                let penalty = parameters.repetition_penalty;
                let penalised = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
                *logit = finite(penalised);
            }
        }
        for (token, count) in &self.generated {
            if let Some(logit) = logits.get_mut(*token as usize) {
                let penalty = *count as f32 * parameters.frequency_penalty + parameters.presence_penalty;
                *logit = finite(*logit - penalty);
            }
        }
    }
}

/// Penalties may be as large as they like, but what they leave stays comparable.
fn finite(logit: f32) -> f32 {
    logit.clamp(f32::MIN, f32::MAX)
}
