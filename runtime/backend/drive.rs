//! One sequence through a back end, step by step, its tokens given: what comparisons, perplexities and timings are made with.

use crate::backend::{Backend, BackendError, LogitsRow, SequenceStep, StepOutput, StepPlan, TokenSource};
use crate::cache::{CacheRefusal, CacheSettings, KvCache, SequenceCache};
use crate::model::TokenId;

/// Why a sequence could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The back end failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The cache has no room.
    #[error(transparent)]
    Cache(#[from] CacheRefusal),
}

/// Which rows of what is fed want logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Each one.
    All,
    /// The last one.
    Last,
}

/// Sequences on a back end, with a cache of their own.
pub struct Driver<'a> {
    backend: &'a mut dyn Backend,
    cache: KvCache,
    sequences: Vec<SequenceCache>,
    steps: u64,
}

impl<'a> Driver<'a> {
    /// One empty sequence on a back end, with no limit on memory but the machine's.
    pub fn new(backend: &'a mut dyn Backend) -> Driver<'a> {
        let settings = CacheSettings {
            budget_bytes: usize::MAX,
            rollback_slack: 0,
        };
        let mut cache = KvCache::new(backend.layout().clone(), settings);
        let first = cache.begin(&[]);
        Driver {
            backend,
            cache,
            sequences: vec![first],
            steps: 0,
        }
    }

    /// Makes it `count` sequences that share all positions so far.
    pub fn fork(&mut self, count: usize) {
        let Some(first) = self.sequences.first() else {
            return;
        };
        let forks: Vec<_> = (1..count).map(|_| self.cache.fork(first)).collect();
        self.sequences.truncate(1);
        self.sequences.extend(forks);
    }

    /// Forgets all positions.
    pub fn clear(&mut self) {
        for sequence in self.sequences.drain(..) {
            self.cache.finish(sequence, false);
        }
        for (pool, pages) in self.cache.take_released() {
            self.backend.release_pages(pool, &pages);
        }
        self.sequences.push(self.cache.begin(&[]));
    }

    /// Continues the first sequence with tokens, in chunks of at most `chunk`, and hands over the logits row by row.
    pub fn feed(
        &mut self,
        tokens: &[TokenId],
        chunk: usize,
        rows: Rows,
        mut each: impl FnMut(&[f32]),
    ) -> Result<(), DriveError> {
        let chunks = tokens.len().div_ceil(chunk.max(1));
        for (number, part) in tokens.chunks(chunk.max(1)).enumerate() {
            let wanted = match rows {
                Rows::All => 0..part.len(),
                Rows::Last if number + 1 == chunks => part.len() - 1..part.len(),
                Rows::Last => 0..0,
            };
            let logits = wanted.map(|token| LogitsRow { sequence: 0, token }).collect();
            let output = self.step(&[part], logits)?;
            output
                .logits
                .chunks_exact(output.vocabulary.max(1))
                .for_each(&mut each);
        }
        Ok(())
    }

    /// Continues each sequence with one token, and returns the logits of all.
    pub fn decode(&mut self, tokens: &[TokenId]) -> Result<StepOutput, DriveError> {
        let parts: Vec<&[TokenId]> = tokens.chunks(1).collect();
        let logits = (0..parts.len())
            .map(|sequence| LogitsRow { sequence, token: 0 })
            .collect();
        self.step(&parts, logits)
    }

    /// Continues the first sequence as if tokens had been run: their positions have pages, with whatever is in them.
    #[cfg(feature = "gpu-check")]
    pub(crate) fn suppose(&mut self, tokens: &[TokenId], chunk: usize) -> Result<(), DriveError> {
        for part in tokens.chunks(chunk.max(1)) {
            let plan = self.plan(&[part], Vec::new())?;
            self.backend.suppose(&plan)?;
            self.done(&[part]);
        }
        Ok(())
    }

    fn step(&mut self, parts: &[&[TokenId]], logits: Vec<LogitsRow>) -> Result<StepOutput, DriveError> {
        let plan = self.plan(parts, logits)?;
        let output = self.backend.step(&plan)?;
        self.done(parts);
        Ok(output)
    }

    /// The step that continues each sequence with a part.
    fn plan(&mut self, parts: &[&[TokenId]], logits: Vec<LogitsRow>) -> Result<StepPlan, DriveError> {
        let mut plan = StepPlan {
            number: self.steps,
            logits,
            ..StepPlan::default()
        };
        self.steps += 1;
        for (sequence, part) in self.sequences.iter_mut().zip(parts) {
            plan.copies.extend(self.cache.reserve(sequence, part.len())?);
        }
        for (id, (sequence, part)) in self.sequences.iter().zip(parts).enumerate() {
            plan.sequences.push(SequenceStep {
                sequence: id as u64,
                first_position: sequence.len(),
                tokens: part.iter().map(|token| TokenSource::Known(*token)).collect(),
                full_pages: sequence.full_pages().to_vec(),
                window_pages: sequence.window_pages().clone(),
            });
        }
        Ok(plan)
    }

    /// Takes note of a step that was run.
    fn done(&mut self, parts: &[&[TokenId]]) {
        for (sequence, part) in self.sequences.iter_mut().zip(parts) {
            self.cache.append(sequence, part);
        }
        for (pool, pages) in self.cache.take_released() {
            self.backend.release_pages(pool, &pages);
        }
    }
}
