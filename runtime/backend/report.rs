//! What is left of a step on which a device failed: a plan log that does the same step again, on any back end.
//!
//! A device that has failed often gives nothing back, its pages least of all. So the tokens of all pages are kept on the host, and the
//! sequences' past is told as tokens to compute where the pages cannot be had.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::backend::log::{Entry, LogHeader, write_entry};
use crate::backend::{
    Backend, BackendError, LogitsRow, SequenceStep, StepOutput, StepPlan, TokenSource, oldest_seen,
};
use crate::cache::{CacheSettings, KvCache, PageCopy, PageId, PageLayout, PoolKind, SequenceCache};
use crate::model::TokenId;

/// Tokens of a sequence's past that a step of the report computes.
const CHUNK: usize = 256;

/// A back end that writes a report when its device fails.
pub struct ReportingBackend {
    backend: Box<dyn Backend>,
    fingerprint: String,
    folder: PathBuf,
    /// The tokens of each page, by slot, as far as they are known.
    tokens: HashMap<(PoolKind, PageId), Vec<TokenId>>,
    /// A device fails once, whatever is asked of it afterwards.
    reported: Option<PathBuf>,
}

impl ReportingBackend {
    /// Reports of the model of that fingerprint go into `folder`, which is made when there is one.
    pub fn new(backend: Box<dyn Backend>, fingerprint: String, folder: PathBuf) -> ReportingBackend {
        ReportingBackend {
            backend,
            fingerprint,
            folder,
            tokens: HashMap::new(),
            reported: None,
        }
    }

    /// The error, with the place of the report when there is one.
    fn report(&mut self, plan: &StepPlan, error: BackendError) -> BackendError {
        if !matches!(error, BackendError::Device(_)) {
            return error;
        }
        if self.reported.is_none() {
            self.reported = self.write(plan, &error).ok();
        }
        match &self.reported {
            Some(report) => BackendError::Reported {
                error: Box::new(error),
                report: report.clone(),
            },
            None => error,
        }
    }

    fn write(&mut self, plan: &StepPlan, error: &BackendError) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let (path, file) = new_file(&self.folder)?;
        let mut out = BufWriter::new(file);
        write_entry(&mut out, &LogHeader::of(self.backend.layout(), &self.fingerprint))?;
        write_entry(
            &mut out,
            &Entry::Failure {
                error: error.to_string(),
                plan: plan.clone(),
            },
        )?;
        let entries = match self.snapshot(plan) {
            Some(entries) => entries,
            None => self.history(plan).unwrap_or_default(),
        };
        for entry in &entries {
            write_entry(&mut out, entry)?;
        }
        out.flush()?;
        Ok(path)
    }

    /// The pages that the plan reads as they are on the device, and the plan; `None` when the device does not give them.
    fn snapshot(&mut self, plan: &StepPlan) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        let sources = plan.copies.iter().map(|copy| (copy.pool, copy.source));
        let layout = self.backend.layout().clone();
        let read = plan.sequences.iter().flat_map(|step| pages_read(step, &layout));
        let mut pages: Vec<(PoolKind, PageId)> = sources.chain(read).collect();
        // A copy's destination holds nothing yet.
        pages.retain(|(pool, page)| {
            !plan.copies.iter().any(|copy| {
                copy.pool == *pool && copy.destination == *page && copy.source != copy.destination
            })
        });
        pages.sort_by_key(|(pool, page)| (*pool == PoolKind::Window, *page));
        pages.dedup();
        for (pool, page) in pages {
            let bytes = self.backend.export_page(pool, page).ok()?;
            entries.push(Entry::page(pool, page, &bytes));
        }
        entries.push(Entry::Plan(plan.clone()));
        Some(entries)
    }

    /// Steps that compute the sequences' past, and the same step behind them, on pages of their own; `None` when the past is not known.
    fn history(&self, plan: &StepPlan) -> Option<Vec<Entry>> {
        let past = |step: &SequenceStep| self.past(step, &plan.copies);
        let pasts: Vec<Vec<TokenId>> = plan.sequences.iter().map(past).collect::<Option<_>>()?;
        Retelling::new(self.backend.layout()).tell(plan, &pasts)
    }

    /// The tokens before a sequence's new ones.
    fn past(&self, step: &SequenceStep, copies: &[PageCopy]) -> Option<Vec<TokenId>> {
        let layout = self.backend.layout();
        let pool = [PoolKind::Full, PoolKind::Window]
            .into_iter()
            .find(|pool| layout.layers(*pool) > 0)?;
        (0..step.first_position)
            .map(|position| {
                let page = step.page_of(pool, position, layout.page_tokens).ok()?;
                let copied = copies
                    .iter()
                    .rev()
                    .find(|copy| copy.pool == pool && copy.destination == page);
                let page = copied.map_or(page, |copy| copy.source);
                let tokens = self.tokens.get(&(pool, page))?;
                tokens.get(position % layout.page_tokens).copied()
            })
            .collect()
    }

    /// Notes down whose tokens the pages hold after a step.
    fn remember(&mut self, plan: &StepPlan) {
        self.remember_copies(&plan.copies);
        let layout = self.backend.layout().clone();
        for step in &plan.sequences {
            for (index, token) in step.tokens.iter().enumerate() {
                let position = step.first_position + index;
                for pool in [PoolKind::Full, PoolKind::Window] {
                    let page = step.page_of(pool, position, layout.page_tokens);
                    let (Ok(page), TokenSource::Known(token)) = (page, token) else {
                        continue;
                    };
                    let tokens = self.tokens.entry((pool, page)).or_default();
                    tokens.truncate(position % layout.page_tokens);
                    tokens.push(*token);
                }
            }
        }
    }

    fn remember_copies(&mut self, copies: &[PageCopy]) {
        for copy in copies {
            match self.tokens.get(&(copy.pool, copy.source)).cloned() {
                Some(tokens) => self.tokens.insert((copy.pool, copy.destination), tokens),
                None => self.tokens.remove(&(copy.pool, copy.destination)),
            };
        }
    }
}

/// The pages that a sequence's step reads from before it.
fn pages_read(step: &SequenceStep, layout: &PageLayout) -> Vec<(PoolKind, PageId)> {
    let mut pages = Vec::new();
    for pool in [PoolKind::Full, PoolKind::Window] {
        if layout.layers(pool) == 0 {
            continue;
        }
        let window = if pool == PoolKind::Window {
            layout.window
        } else {
            None
        };
        let oldest = oldest_seen(step.first_position, window);
        for number in oldest / layout.page_tokens..step.first_position.div_ceil(layout.page_tokens) {
            let page = step.page_of(pool, number * layout.page_tokens, layout.page_tokens);
            pages.extend(page.ok().map(|page| (pool, page)));
        }
    }
    pages
}

/// The same step on pages of an own cache, behind steps that fill them.
struct Retelling {
    cache: KvCache,
    entries: Vec<Entry>,
    steps: u64,
}

impl Retelling {
    fn new(layout: &PageLayout) -> Retelling {
        let settings = CacheSettings {
            budget_bytes: usize::MAX,
            rollback_slack: 0,
        };
        Retelling {
            cache: KvCache::new(layout.clone(), settings),
            entries: Vec::new(),
            steps: 0,
        }
    }

    fn tell(mut self, plan: &StepPlan, pasts: &[Vec<TokenId>]) -> Option<Vec<Entry>> {
        let mut sequences = Vec::new();
        for (step, past) in plan.sequences.iter().zip(pasts) {
            let mut sequence = self.cache.begin(&[]);
            for tokens in past.chunks(CHUNK) {
                let known: Vec<TokenSource> = tokens.iter().copied().map(TokenSource::Known).collect();
                self.step(&mut [(&mut sequence, step.sequence, &known)], Vec::new())?;
                self.cache.append(&mut sequence, tokens);
                for (pool, pages) in self.cache.take_released() {
                    self.entries.push(Entry::Release { pool, pages });
                }
            }
            sequences.push(sequence);
        }
        let mut members: Vec<_> = sequences
            .iter_mut()
            .zip(&plan.sequences)
            .map(|(sequence, step)| (sequence, step.sequence, step.tokens.as_slice()))
            .collect();
        self.step(&mut members, plan.logits.clone())?;
        Some(self.entries)
    }

    fn step(
        &mut self,
        members: &mut [(&mut SequenceCache, u64, &[TokenSource])],
        logits: Vec<LogitsRow>,
    ) -> Option<()> {
        let mut plan = StepPlan {
            number: self.steps,
            logits,
            ..StepPlan::default()
        };
        self.steps += 1;
        for (sequence, id, tokens) in members {
            let copies = self.cache.reserve(sequence, tokens.len()).ok()?;
            plan.copies.extend(copies);
            plan.sequences.push(SequenceStep {
                sequence: *id,
                first_position: sequence.len(),
                tokens: tokens.to_vec(),
                full_pages: sequence.full_pages().to_vec(),
                window_pages: sequence.window_pages().clone(),
            });
        }
        self.entries.push(Entry::Plan(plan));
        Some(())
    }
}

/// A file that was not there before.
fn new_file(folder: &Path) -> io::Result<(PathBuf, File)> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_millis());
    let path = folder.join(format!("{now}-{}.jsonl", std::process::id()));
    let file = File::create_new(&path)?;
    Ok((path, file))
}

impl Backend for ReportingBackend {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn layout(&self) -> &PageLayout {
        self.backend.layout()
    }

    fn page_capacity(&self) -> Option<usize> {
        self.backend.page_capacity()
    }

    fn vocabulary(&self) -> usize {
        self.backend.vocabulary()
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        match self.backend.step(plan) {
            Ok(output) => {
                self.remember(plan);
                Ok(output)
            }
            Err(error) => Err(self.report(plan, error)),
        }
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        self.backend.copy_pages(copies)?;
        self.remember_copies(copies);
        Ok(())
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        self.backend.export_page(pool, page)
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        self.tokens.remove(&(pool, page));
        self.backend.import_page(pool, page, bytes)
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        for page in pages {
            self.tokens.remove(&(pool, *page));
        }
        self.backend.release_pages(pool, pages);
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
