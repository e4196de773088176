//! A step as data: which tokens of which sequences run, where their keys and values lie, and which rows want logits.

use serde::{Deserialize, Serialize};

use crate::backend::BackendError;
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind, WindowTable};
use crate::model::TokenId;

/// A token that enters a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// A token that is known.
    Known(TokenId),
    /// The one that the back end sampled for that row of the step before, so that a plan can be made while a device still runs.
    SampledInRow(usize),
}

/// The part of a step that belongs to one sequence: its next tokens, one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceStep {
    /// Which sequence, for logs.
    pub sequence: u64,
    /// The position of the first of `tokens`: so many are in the cache already.
    pub first_position: usize,
    /// The tokens.
    pub tokens: Vec<TokenSource>,
    /// Its pages in the full pool, from position 0 on, those for the new tokens included.
    pub full_pages: Vec<PageId>,
    /// Its pages in the window pool, which reach back at least as far as the window of the first new token.
    pub window_pages: WindowTable,
}

/// Sequences whose first positions lie in the same pages, so that attention to them can be computed for all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPrefix {
    /// Indices into the plan's `sequences`.
    pub members: Vec<usize>,
    /// How many leading pages of the full pool they share.
    pub full_pages: usize,
}

/// A row whose logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogitsRow {
    /// An index into the plan's `sequences`.
    pub sequence: usize,
    /// An index into its `tokens`.
    pub token: usize,
}

/// One step of the whole model for a batch of sequences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Counts up, for logs.
    pub number: u64,
    /// Page copies that come before everything else.
    pub copies: Vec<PageCopy>,
    /// What runs. A sequence is here at most once.
    pub sequences: Vec<SequenceStep>,
    /// Prefixes that sequences share; a back end may ignore them.
    pub shared_prefixes: Vec<SharedPrefix>,
    /// Which rows want logits, in the order of the output.
    pub logits: Vec<LogitsRow>,
}

/// How a plan contradicts itself, the model or the layout of the pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A token beyond the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocabulary}")]
    Token {
        /// The token.
        token: TokenId,
        /// How many there are.
        vocabulary: usize,
    },
    /// A page table that is too short.
    #[error("the {pool} page table of sequence {sequence} does not reach position {position}")]
    PageTable {
        /// Which pool.
        pool: &'static str,
        /// The sequence's id.
        sequence: u64,
        /// The position that no page holds.
        position: usize,
    },
    /// A row of logits that is not in the plan.
    #[error("logits are wanted of row {token} of sequence {sequence} of the plan, which has no such row")]
    Row {
        /// The index into `sequences`.
        sequence: usize,
        /// The index into its `tokens`.
        token: usize,
    },
    /// A position beyond the model's context.
    #[error("position {position} is beyond the model's context of {context} tokens")]
    Context {
        /// The position.
        position: usize,
        /// The most there may be.
        context: usize,
    },
}

/// The oldest position that a token at `position` sees; a window counts the token itself.
pub(super) fn oldest_seen(position: usize, window: Option<usize>) -> usize {
    window.map_or(0, |window| (position + 1).saturating_sub(window))
}

impl StepPlan {
    /// How many rows (tokens of all sequences) the step has.
    pub fn rows(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.tokens.len()).sum()
    }

    /// The tokens of each sequence, for back ends that do not sample.
    pub(super) fn known_tokens(&self, backend: &'static str) -> Result<Vec<Vec<TokenId>>, BackendError> {
        let known = |token: &TokenSource| match *token {
            TokenSource::Known(token) => Ok(token),
            TokenSource::SampledInRow(row) => Err(BackendError::Unsupported {
                backend,
                what: format!("take the token that was sampled in row {row} of the step before"),
            }),
        };
        self.sequences
            .iter()
            .map(|step| step.tokens.iter().map(known).collect())
            .collect()
    }

    /// Checks everything that a back end would otherwise stumble over.
    pub fn check(&self, layout: &PageLayout, vocabulary: usize, context: usize) -> Result<(), PlanError> {
        self.sequences
            .iter()
            .try_for_each(|step| step.check(layout, vocabulary, context))?;
        let missing = self.logits.iter().find(|row| {
            self.sequences
                .get(row.sequence)
                .is_none_or(|step| row.token >= step.tokens.len())
        });
        match missing {
            Some(row) => Err(PlanError::Row {
                sequence: row.sequence,
                token: row.token,
            }),
            None => Ok(()),
        }
    }
}

impl SequenceStep {
    /// The page that holds a position's keys and values.
    pub(super) fn page_of(
        &self,
        pool: PoolKind,
        position: usize,
        page_tokens: usize,
    ) -> Result<PageId, PlanError> {
        let (name, page) = match pool {
            PoolKind::Full => ("full", self.full_pages.get(position / page_tokens).copied()),
            PoolKind::Window => ("window", self.window_pages.page_of(position, page_tokens)),
        };
        page.ok_or(PlanError::PageTable {
            pool: name,
            sequence: self.sequence,
            position,
        })
    }

    fn check(&self, layout: &PageLayout, vocabulary: usize, context: usize) -> Result<(), PlanError> {
        // A plan may come from a file, so the sum may be anything.
        let end = self.first_position.saturating_add(self.tokens.len());
        if end > context {
            return Err(PlanError::Context {
                position: end - 1,
                context,
            });
        }
        for token in &self.tokens {
            if let TokenSource::Known(token) = *token
                && token as usize >= vocabulary
            {
                return Err(PlanError::Token { token, vocabulary });
            }
        }
        let short = |pool, position| {
            Err(PlanError::PageTable {
                pool,
                sequence: self.sequence,
                position,
            })
        };
        let Some(last) = end.checked_sub(1) else {
            return Ok(());
        };
        if layout.full_layers > 0 && self.full_pages.len() <= last / layout.page_tokens {
            return short("full", last);
        }
        let Some(window) = layout.window else {
            return Ok(());
        };
        let oldest = oldest_seen(self.first_position, Some(window));
        for position in [oldest, last] {
            if self.window_pages.page_of(position, layout.page_tokens).is_none() {
                return short("window", position);
            }
        }
        Ok(())
    }
}
