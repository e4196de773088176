//! Which sequences run in the next step, and what becomes of its logits.
//!
//! Sequences stand in the order of their age. An older one never waits for a younger one: when pages are short, the youngest loses
//! its place and is computed again later from its tokens. Since every draw has its own key, it continues as if nothing had been.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::{Backend, BackendError, LogitsRow, SequenceStep, StepOutput, StepPlan, TokenSource};
use crate::cache::{CacheRefusal, KvCache, PageCopy, SequenceCache};
use crate::engine::output::SampleText;
use crate::engine::sampling::Sampler;
use crate::engine::sequence::{Progress, Sequence, Submission};
use crate::engine::service::Shared;
use crate::engine::shared::shared_prefixes;
use crate::engine::{EngineOptions, FinishReason, Statistics};
use crate::model::TokenId;
use crate::text::Tokenizer;

/// All requests that have not ended, and what they run on.
pub(super) struct Scheduler {
    backend: Box<dyn Backend>,
    cache: KvCache,
    tokenizer: Option<Arc<Tokenizer>>,
    options: EngineOptions,
    /// Oldest first.
    sequences: Vec<Sequence>,
    /// Whether none may begin until one ends: the last one that tried found no room.
    full: bool,
    sampler: Sampler,
    statistics: Statistics,
    shared: Arc<Shared>,
    next_sequence: u64,
    next_step: u64,
}

/// A step that is about to run: the plan, and for each of its sequences the index of ours and how many tokens it computes.
#[derive(Debug, Default)]
struct Planned {
    plan: StepPlan,
    members: Vec<(usize, usize)>,
}

/// How a sequence's wish for pages ended.
enum Room {
    Found(usize, Vec<PageCopy>),
    /// It has to wait for others.
    Lacking,
    /// There will never be any.
    Never(CacheRefusal),
}

impl Scheduler {
    pub(super) fn new(
        backend: Box<dyn Backend>,
        cache: KvCache,
        tokenizer: Option<Arc<Tokenizer>>,
        options: EngineOptions,
        shared: Arc<Shared>,
    ) -> Scheduler {
        Scheduler {
            backend,
            cache,
            tokenizer,
            options,
            sequences: Vec::new(),
            full: false,
            sampler: Sampler::default(),
            statistics: Statistics::default(),
            shared,
            next_sequence: 0,
            next_step: 0,
        }
    }

    /// Takes a request.
    pub(super) fn submit(&mut self, submission: Submission) {
        let request = &submission.request;
        let text = SampleText::new(self.tokenizer.as_ref(), &request.prompt, &request.stop_strings);
        let id = self.next_id();
        self.sequences.push(Sequence::new(submission, id, text));
    }

    /// Whether nothing is to be done.
    pub(super) fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Ends all requests.
    pub(super) fn cancel_all(&mut self) {
        for index in 0..self.sequences.len() {
            self.end(index, FinishReason::Cancelled);
        }
        self.forget_ended();
    }

    /// Runs one step.
    pub(super) fn step(&mut self) {
        let start = Instant::now();
        let in_backend = self.statistics.backend_time;
        self.end_cancelled();
        self.admit();
        let planned = self.plan();
        if !planned.members.is_empty() {
            self.run(&planned);
        }
        self.forget_ended();
        self.release();
        self.statistics.other_time += start
            .elapsed()
            .saturating_sub(self.statistics.backend_time.saturating_sub(in_backend));
        self.publish();
    }

    fn release(&mut self) {
        for (pool, pages) in self.cache.take_released() {
            self.backend.release_pages(pool, &pages);
        }
    }

    fn publish(&self) {
        self.shared.count(self.statistics);
    }

    fn next_id(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence - 1
    }

    fn end_cancelled(&mut self) {
        for index in 0..self.sequences.len() {
            if self.sequences[index].submission.is_cancelled() {
                self.end(index, FinishReason::Cancelled);
            }
        }
        self.forget_ended();
    }

    /// Gives waiting sequences a place, oldest first, while there are places.
    fn admit(&mut self) {
        let mut active = self
            .sequences
            .iter()
            .filter(|sequence| sequence.cache.is_some())
            .count();
        if active == 0 {
            self.full = false;
        }
        for index in 0..self.sequences.len() {
            if self.full || active >= self.options.max_batch {
                return;
            }
            if self.sequences[index].cache.is_some() || self.waits_for_prefix(index) {
                continue;
            }
            let cache = self.cache.begin(&self.sequences[index].tokens);
            let sequence = &mut self.sequences[index];
            if sequence.cached_tokens.is_none() {
                let cached = cache.len();
                sequence.cached_tokens = Some(cached);
                self.statistics.cached_tokens += cached as u64;
            }
            sequence.cache = Some(cache);
            active += 1;
        }
    }

    /// Whether an older sequence is just computing a prefix of this one that it will keep: then it is better to wait for that than to
    /// compute it twice, unless more than twice as much is left of the older one as the prefix is long. Where layers have windows it may
    /// not even be as much: there a prefix that ends before the older prompt does is hardly ever taken over.
    fn waits_for_prefix(&self, index: usize) -> bool {
        let layout = self.cache.layout();
        let page = layout.page_tokens;
        let patience = if layout.window.is_some() { 1 } else { 2 };
        let tokens = &self.sequences[index].tokens;
        let mut older = self.sequences[..index].iter();
        older.any(|older| {
            let prompt = &older.request().prompt;
            let left = prompt.len().saturating_sub(older.computed());
            let computes_prompt = older.cache.is_some() && older.sampled() == 0 && left > 0;
            // Prompts are long, and this is asked at each step: they are compared only where it matters.
            computes_prompt
                && older.request().keep_prefix
                && common_prefix(prompt, tokens) >= left.div_ceil(patience).max(page)
        })
    }

    /// How many tokens each active sequence may compute in the next step: one where that is all that is pending; the others share
    /// the chunk evenly, and what one does not need goes to the next.
    fn allot(&self) -> Vec<(usize, usize)> {
        let active = (0..self.sequences.len()).filter(|index| self.sequences[*index].cache.is_some());
        let mut allotted: Vec<(usize, usize)> = active
            .take(self.options.max_batch)
            .map(|index| (index, self.sequences[index].pending()))
            .collect();
        let mut chunk = self.options.prefill_chunk;
        let mut prompts = allotted.iter().filter(|(_, pending)| *pending > 1).count();
        let mut smallest_first: Vec<usize> = (0..allotted.len()).collect();
        smallest_first.sort_by_key(|place| allotted[*place].1);
        for place in smallest_first {
            let (_, pending) = &mut allotted[place];
            if *pending > 1 {
                let share = chunk.div_ceil(prompts.max(1));
                *pending = (*pending).min(share);
                chunk -= *pending;
                prompts -= 1;
            }
        }
        allotted.retain(|(_, tokens)| *tokens > 0);
        allotted
    }

    fn plan(&mut self) -> Planned {
        let mut planned = Planned::default();
        for (index, tokens) in self.allot() {
            // It may have lost its place to an older one of this very plan.
            let Some(mut cache) = self.sequences[index].cache.take() else {
                continue;
            };
            let room = self.find_room(index, &mut cache, tokens);
            match room {
                Room::Found(tokens, copies) => {
                    let first = cache.len();
                    let sequence = &mut self.sequences[index];
                    let next = sequence.tokens.iter().skip(first).take(tokens);
                    planned.plan.sequences.push(SequenceStep {
                        sequence: sequence.id,
                        first_position: first,
                        tokens: next.map(|token| TokenSource::Known(*token)).collect(),
                        full_pages: cache.full_pages().to_vec(),
                        window_pages: cache.window_pages().clone(),
                    });
                    planned.plan.copies.extend(copies);
                    if first + tokens == sequence.tokens.len() {
                        planned.plan.logits.push(LogitsRow {
                            sequence: planned.members.len(),
                            token: tokens - 1,
                        });
                    }
                    planned.members.push((index, tokens));
                    sequence.cache = Some(cache);
                }
                Room::Lacking => {
                    self.give_up_place(cache);
                    self.full = true;
                }
                Room::Never(refusal) => {
                    self.sequences[index].cache = Some(cache);
                    self.end(index, FinishReason::Failed(refusal.to_string()));
                }
            }
        }
        planned.plan.number = self.next_step;
        planned.plan.shared_prefixes =
            shared_prefixes(&planned.plan.sequences, self.cache.layout().page_tokens);
        planned
    }

    /// Pages for the next tokens of a sequence, if need be at the cost of younger ones.
    fn find_room(&mut self, index: usize, cache: &mut SequenceCache, tokens: usize) -> Room {
        let mut tokens = tokens;
        loop {
            let refusal = match self.cache.reserve(cache, tokens) {
                Ok(copies) => return Room::Found(tokens, copies),
                Err(refusal) => refusal,
            };
            match self.sequences.iter().rposition(|other| other.cache.is_some()) {
                Some(youngest) if youngest > index => {
                    if let Some(victim) = self.sequences[youngest].cache.take() {
                        self.give_up_place(victim);
                    }
                    self.full = true;
                }
                Some(_) => return Room::Lacking,
                None if tokens > 1 => tokens /= 2,
                None => return Room::Never(refusal),
            }
        }
    }

    /// Its pages go to the prefix tree, from where they are taken as they are needed.
    fn give_up_place(&mut self, cache: SequenceCache) {
        self.statistics.preemptions += 1;
        self.cache.finish(cache, true);
    }

    fn run(&mut self, planned: &Planned) {
        let start = Instant::now();
        let result = self.backend.step(&planned.plan);
        self.statistics.backend_time += start.elapsed();
        self.statistics.steps += 1;
        self.next_step += 1;
        for (index, tokens) in &planned.members {
            let decodes = *tokens == 1 && self.sequences[*index].sampled() > 0;
            let counter = if decodes {
                &mut self.statistics.decode_tokens
            } else {
                &mut self.statistics.prefill_tokens
            };
            *counter += *tokens as u64;
        }
        // Callers may ask as soon as they see their last event.
        self.publish();
        match result {
            Ok(output) => self.accept(planned, &output),
            Err(error) => self.fail(planned, &error),
        }
    }

    /// Nobody knows what the pages of a failed step hold, so its sequences end, and their pages are not kept.
    fn fail(&mut self, planned: &Planned, error: &BackendError) {
        for (index, _) in &planned.members {
            let sequence = &mut self.sequences[*index];
            sequence.end(FinishReason::Failed(error.to_string()));
            if let Some(cache) = sequence.cache.take() {
                self.cache.finish(cache, false);
            }
        }
        self.full = false;
    }

    fn accept(&mut self, planned: &Planned, output: &StepOutput) {
        let mut forks = Vec::new();
        for (member, (index, tokens)) in planned.members.iter().enumerate() {
            let sequence = &mut self.sequences[*index];
            if let Some(cache) = &mut sequence.cache {
                let first = cache.len();
                let computed = sequence.tokens.iter().skip(first).take(*tokens);
                let computed: Vec<TokenId> = computed.copied().collect();
                self.cache.append(cache, &computed);
            }
            let wanted = planned.plan.logits.iter().position(|row| row.sequence == member);
            if let Some(row) = wanted {
                match output.row(row) {
                    Some(logits) => forks.push((*index, self.sample(*index, logits))),
                    None => self.end(
                        *index,
                        FinishReason::Failed("the back end returned no logits".to_owned()),
                    ),
                }
            }
        }
        for (index, forks) in forks.into_iter().rev() {
            self.sequences.splice(index + 1..index + 1, forks);
        }
    }

    /// Continues a sequence by a token, and returns the samples that were forked from it at its prompt's end.
    fn sample(&mut self, index: usize, logits: &[f32]) -> Vec<Sequence> {
        let mut forks = Vec::new();
        let sequence = &self.sequences[index];
        if sequence.sampled() == 0
            && let Some(cache) = &sequence.cache
        {
            if sequence.request().keep_prefix {
                self.cache.checkpoint(cache);
            }
            forks = self.fork(index, logits);
        }
        let sequence = &mut self.sequences[index];
        sequence.to_fork = 0;
        let progress = sequence.advance(&mut self.sampler, logits, self.options.context);
        if progress == Progress::Finished {
            self.let_go(index);
        }
        forks
    }

    fn fork(&mut self, index: usize, logits: &[f32]) -> Vec<Sequence> {
        let mut forks = Vec::new();
        for number in 1..=self.sequences[index].to_fork {
            let id = self.next_id();
            let first = &self.sequences[index];
            let request = first.request();
            let text = SampleText::new(self.tokenizer.as_ref(), &request.prompt, &request.stop_strings);
            let mut fork = first.fork(id, number, text);
            let progress = fork.advance(&mut self.sampler, logits, self.options.context);
            if progress == Progress::Running {
                fork.cache = first.cache.as_ref().map(|cache| self.cache.fork(cache));
                forks.push(fork);
            }
        }
        forks
    }

    fn end(&mut self, index: usize, reason: FinishReason) {
        self.sequences[index].end(reason);
        self.let_go(index);
    }

    /// Leaves the pages of a sequence that has ended to the prefix tree.
    fn let_go(&mut self, index: usize) {
        if let Some(cache) = self.sequences[index].cache.take() {
            self.cache.finish(cache, true);
        }
        self.full = false;
    }

    fn forget_ended(&mut self) {
        self.sequences.retain(|sequence| !sequence.has_ended());
    }
}

fn common_prefix(left: &[TokenId], right: &[TokenId]) -> usize {
    left.iter().zip(right).take_while(|(a, b)| a == b).count()
}
