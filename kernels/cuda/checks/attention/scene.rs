//! Sequences in pages, and what attention gives over them.

use half::bf16;

use super::super::finding::{Finding, ensure};
use super::super::random::Random;
use super::super::subject::{Memory, Subject};
use crate::blocks::{e4m3_from_f32, e4m3_to_f32};
use crate::cuda::{
    AttentionTile, CudaKvElement, CudaPages, DecodeArguments, PAGE_TOKENS, PrefillArguments,
    decode_tile_rows, splits_seen,
};

pub(super) const LAYERS: usize = 2;
const LAYER: usize = 1;
/// Written into page tables where a page is gone.
const HOLE: u32 = u32::MAX;

/// Sequences in pages.
pub(super) struct Scene {
    pub(super) pages: CudaPages,
    pub(super) heads: usize,
    pub(super) window: Option<usize>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) table: Vec<u32>,
    pub(super) memory: Vec<u8>,
    pub(super) queries: Vec<f32>,
}

pub(super) struct Sequence {
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) first_position: usize,
    /// Where its pages begin in the table, and the number of the first.
    pub(super) table: usize,
    pub(super) first_page: usize,
    /// `[positions, kv_heads, head_dim]`.
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl Sequence {
    fn end(&self) -> usize {
        self.first_position + self.rows
    }
}

impl Scene {
    /// Sequences of (first position, rows).
    pub(super) fn random(
        pages: CudaPages,
        heads: usize,
        window: Option<usize>,
        steps: &[(usize, usize)],
        random: &mut Random,
    ) -> Scene {
        let page_count: usize = steps
            .iter()
            .map(|(first, rows)| (first + rows).div_ceil(PAGE_TOKENS))
            .sum();
        let rows: usize = steps.iter().map(|step| step.1).sum();
        let mut scene = Scene {
            // Nothing is written yet: every number is NaN.
            memory: vec![0xff; (page_count + 1) * pages.page_bytes() as usize],
            queries: random.bf16s(rows * heads * pages.head_dim, 1.5),
            table: Vec::new(),
            sequences: Vec::new(),
            pages,
            heads,
            window,
        };
        let mut free = random.permutation(page_count + 1);
        let mut first_row = 0;
        for (first_position, rows) in steps.iter().copied() {
            let sequence = scene.sequence(first_row, first_position, rows, &mut free, random);
            first_row += rows;
            scene.sequences.push(sequence);
        }
        scene
    }

    fn sequence(
        &mut self,
        first_row: usize,
        first_position: usize,
        rows: usize,
        free: &mut Vec<u32>,
        random: &mut Random,
    ) -> Sequence {
        let width = self.pages.kv_heads * self.pages.head_dim;
        let end = first_position + rows;
        let oldest = self.oldest(first_position);
        let first_page = random.below(oldest / PAGE_TOKENS + 1);
        let sequence = Sequence {
            first_row,
            rows,
            first_position,
            table: self.table.len(),
            first_page,
            keys: self.numbers(end * width, random),
            values: self.numbers(end * width, random),
        };
        for page in first_page..end.div_ceil(PAGE_TOKENS) {
            if (page + 1) * PAGE_TOKENS <= oldest {
                self.table.push(HOLE);
                continue;
            }
            // There are as many as all sequences have, and one more.
            let id = free.pop().unwrap_or_default();
            self.table.push(id);
            for position in page * PAGE_TOKENS..end.min((page + 1) * PAGE_TOKENS) {
                self.write(id as usize, position, &sequence);
            }
        }
        sequence
    }

    /// Numbers that pages hold exactly.
    fn numbers(&self, count: usize, random: &mut Random) -> Vec<f32> {
        let mut numbers = random.bf16s(count, 1.0);
        if self.pages.element == CudaKvElement::Fp8 {
            numbers
                .iter_mut()
                .for_each(|number| *number = e4m3_to_f32(e4m3_from_f32(*number)));
        }
        numbers
    }

    fn write(&mut self, page: usize, position: usize, sequence: &Sequence) {
        let dim = self.pages.head_dim;
        let size = self.element_bytes();
        let half_bytes = PAGE_TOKENS * dim * size;
        let slot = position % PAGE_TOKENS;
        let layer = page * self.pages.page_bytes() as usize + self.pages.layer_offset(LAYER) as usize;
        for head in 0..self.pages.kv_heads {
            let key_part = layer + head * 2 * half_bytes;
            for i in 0..dim {
                let at = (position * self.pages.kv_heads + head) * dim + i;
                self.put(key_part + (slot * dim + i) * size, sequence.keys[at]);
                self.put(
                    key_part + half_bytes + (i * PAGE_TOKENS + slot) * size,
                    sequence.values[at],
                );
            }
        }
    }

    fn element_bytes(&self) -> usize {
        if self.pages.element == CudaKvElement::Bf16 {
            2
        } else {
            1
        }
    }

    fn put(&mut self, at: usize, value: f32) {
        match self.pages.element {
            CudaKvElement::Bf16 => {
                self.memory[at..at + 2].copy_from_slice(&bf16::from_f32(value).to_le_bytes());
            }
            CudaKvElement::Fp8 => self.memory[at] = e4m3_from_f32(value),
        }
    }

    fn oldest(&self, position: usize) -> usize {
        self.window
            .map_or(0, |window| (position + 1).saturating_sub(window))
    }

    fn scale(&self) -> f32 {
        1.0 / (self.pages.head_dim as f32).sqrt()
    }

    fn rows(&self) -> usize {
        self.sequences.iter().map(|sequence| sequence.rows).sum()
    }

    /// Tiles of at most `most` rows.
    fn tiles(&self, most: usize) -> Vec<AttentionTile> {
        let mut tiles = Vec::new();
        for sequence in &self.sequences {
            for row in (0..sequence.rows).step_by(most) {
                tiles.push(AttentionTile {
                    first_row: (sequence.first_row + row) as u32,
                    rows: most.min(sequence.rows - row) as u32,
                    first_position: (sequence.first_position + row) as u32,
                    table: sequence.table as u32,
                    first_page: sequence.first_page as u32,
                });
            }
        }
        tiles
    }

    /// What a row and head attends: its elements, and the means of their magnitudes.
    fn expected(&self, sequence: &Sequence, row: usize, head: usize) -> Vec<(f64, f64)> {
        let (dim, kv_heads) = (self.pages.head_dim, self.pages.kv_heads);
        let position = sequence.first_position + row;
        let query = &self.queries[((sequence.first_row + row) * self.heads + head) * dim..][..dim];
        let kv_head = head / (self.heads / kv_heads);
        let place = |position: usize| (position * kv_heads + kv_head) * dim;
        let seen = self.oldest(position)..=position;
        let scores = seen.clone().map(|position| {
            let key = &sequence.keys[place(position)..][..dim];
            let pairs = query.iter().zip(key);
            let dot: f64 = pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
            dot * f64::from(self.scale())
        });
        let scores: Vec<f64> = scores.collect();
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - best).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut out = vec![(0.0, 0.0); dim];
        for (weight, position) in weights.iter().zip(seen) {
            let values = &sequence.values[place(position)..][..dim];
            for ((sum, size), value) in out.iter_mut().zip(values) {
                let term = weight / total * f64::from(*value);
                *sum += term;
                *size += term.abs();
            }
        }
        out
    }

    /// Checks a row and head of the results.
    fn check_one(&self, found: &[f32], sequence: &Sequence, row: usize, head: usize) -> Result<(), Finding> {
        let dim = self.pages.head_dim;
        let found = &found[((sequence.first_row + row) * self.heads + head) * dim..][..dim];
        for (index, (expected, size)) in self.expected(sequence, row, head).into_iter().enumerate() {
            let found = found[index];
            // Weights and results are rounded to bf16.
            let allowed = size / 128.0 + 1e-6;
            ensure!(
                (f64::from(found) - expected).abs() <= allowed,
                "{:?}, {} heads, window {:?}: element {index} of head {head} at position {} is {found}, but should be {expected}",
                self.pages,
                self.heads,
                self.window,
                sequence.first_position + row
            );
        }
        Ok(())
    }

    /// Checks all results.
    pub(super) fn check(&self, found: &[f32]) -> Result<(), Finding> {
        for sequence in &self.sequences {
            for row in 0..sequence.rows {
                for head in 0..self.heads {
                    self.check_one(found, sequence, row, head)?;
                }
            }
        }
        Ok(())
    }

    /// Checks that all results are finite, and some of each sequence: the first row, the last, and others.
    pub(super) fn check_some(
        &self,
        found: &[f32],
        samples: usize,
        random: &mut Random,
    ) -> Result<(), Finding> {
        ensure!(
            found.iter().all(|value| value.is_finite()),
            "{:?}, window {:?}: results are not all finite",
            self.pages,
            self.window
        );
        for sequence in &self.sequences {
            for sample in 0..samples {
                let row = match sample {
                    0 => 0,
                    1 => sequence.rows - 1,
                    _ => random.below(sequence.rows),
                };
                self.check_one(found, sequence, row, random.below(self.heads))?;
            }
        }
        Ok(())
    }

    /// By the kernels for few rows.
    pub(super) fn decode(&self, subject: &Subject) -> Result<Vec<f32>, Finding> {
        let rows = self.rows();
        let positions = self
            .sequences
            .iter()
            .flat_map(|sequence| sequence.first_position as u32..sequence.end() as u32);
        let positions: Vec<u32> = positions.collect();
        let seen = positions
            .iter()
            .map(|position| splits_seen(*position as usize, self.window));
        // One more than anyone sees.
        let splits = 1 + seen.max().unwrap_or_default();
        let tiles = self.tiles(decode_tile_rows(self.heads, self.pages.kv_heads));
        let memory = Memory::of_bytes(subject, &self.memory)?;
        let queries = Memory::of_bf16(subject, &self.queries)?;
        let tile_memory = Memory::of_u32(subject, &tile_words(&tiles))?;
        let table = Memory::of_u32(subject, &self.table)?;
        let partial = Memory::empty(subject, rows * self.heads * splits * self.pages.head_dim * 4)?;
        let partial_weights = Memory::empty(subject, rows * self.heads * splits * 4)?;
        let arguments = DecodeArguments {
            queries: queries.pointer(),
            pages: memory.pointer(),
            tiles: tile_memory.pointer(),
            table: table.pointer(),
            partial: partial.pointer(),
            partial_weights: partial_weights.pointer(),
            heads: self.heads as u32,
            splits: splits as u32,
            window: self.window.unwrap_or_default() as u32,
            scale: self.scale(),
            ..DecodeArguments::default()
        };
        let launch = arguments.launch(&self.pages, LAYER, tiles.len())?;
        subject.run(&launch, &[&partial, &partial_weights])?;
        let positions = Memory::of_u32(subject, &positions)?;
        let out = Memory::empty(subject, rows * self.heads * self.pages.head_dim * 2)?;
        let merge = arguments.merge(&self.pages, rows, positions.pointer(), out.pointer())?;
        subject.run(&merge, &[&out])?;
        out.bf16s()
    }

    /// By the kernels for many rows, with tiles of so many.
    pub(super) fn prefill(&self, subject: &Subject, tile_rows: usize) -> Result<Vec<f32>, Finding> {
        let tiles = self.tiles(tile_rows);
        let memory = Memory::of_bytes(subject, &self.memory)?;
        let queries = Memory::of_bf16(subject, &self.queries)?;
        let tile_memory = Memory::of_u32(subject, &tile_words(&tiles))?;
        let table = Memory::of_u32(subject, &self.table)?;
        let out = Memory::empty(subject, self.rows() * self.heads * self.pages.head_dim * 2)?;
        let arguments = PrefillArguments {
            queries: queries.pointer(),
            pages: memory.pointer(),
            tiles: tile_memory.pointer(),
            table: table.pointer(),
            out: out.pointer(),
            heads: self.heads as u32,
            window: self.window.unwrap_or_default() as u32,
            scale: self.scale(),
            ..PrefillArguments::default()
        };
        let launch = arguments.launch(&self.pages, LAYER, tiles.len())?;
        subject.run(&launch, &[&out])?;
        out.bf16s()
    }
}

/// Tiles as kernels take them.
pub(in super::super) fn tile_words(tiles: &[AttentionTile]) -> Vec<u32> {
    let words = tiles.iter().flat_map(|tile| {
        [
            tile.first_row,
            tile.rows,
            tile.first_position,
            tile.table,
            tile.first_page,
        ]
    });
    words.collect()
}
