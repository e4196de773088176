//! Both kinds of attention against softmax in f64, over pages in random order: windows, holes, positions at all edges, and NaN wherever
//! nothing was written.

use cwm_kernels::cuda::{
    AttentionTile, CudaKvElement, CudaPages, DecodeArguments, PAGE_TOKENS, PREFILL_ROWS, PrefillArguments,
    decode_tile_rows, splits_seen,
};
use half::bf16;

use crate::support::{Memory, Random, fp8_value, run};

const LAYERS: usize = 2;
const LAYER: usize = 1;
/// Written into page tables where a page is gone.
const HOLE: u32 = u32::MAX;

/// Sequences in pages.
struct Scene {
    pages: CudaPages,
    heads: usize,
    window: Option<usize>,
    sequences: Vec<Sequence>,
    table: Vec<u32>,
    memory: Vec<u8>,
    queries: Vec<f32>,
}

struct Sequence {
    first_row: usize,
    rows: usize,
    first_position: usize,
    /// Where its pages begin in the table, and the number of the first.
    table: usize,
    first_page: usize,
    /// `[positions, kv_heads, head_dim]`.
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Sequence {
    fn end(&self) -> usize {
        self.first_position + self.rows
    }
}

impl Scene {
    /// Sequences of (first position, rows).
    fn random(
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
            let id = free.pop().unwrap();
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
                .for_each(|number| *number = fp8_value(nearest_fp8(*number)));
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
            CudaKvElement::Fp8 => self.memory[at] = nearest_fp8(value),
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

    /// Of each row and head: the attended elements, and the means of their magnitudes.
    fn expected(&self) -> Vec<(f64, f64)> {
        let (dim, kv_heads) = (self.pages.head_dim, self.pages.kv_heads);
        let mut out = Vec::new();
        for sequence in &self.sequences {
            for row in 0..sequence.rows {
                let position = sequence.first_position + row;
                for head in 0..self.heads {
                    let query =
                        &self.queries[((sequence.first_row + row) * self.heads + head) * dim..][..dim];
                    let kv_head = head / (self.heads / kv_heads);
                    let place = |position: usize| (position * kv_heads + kv_head) * dim;
                    let seen = self.oldest(position)..=position;
                    let scores: Vec<f64> = seen
                        .clone()
                        .map(|position| {
                            let key = &sequence.keys[place(position)..][..dim];
                            let pairs = query.iter().zip(key);
                            let dot: f64 = pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                            dot * f64::from(self.scale())
                        })
                        .collect();
                    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let weights: Vec<f64> = scores.iter().map(|score| (score - best).exp()).collect();
                    let total: f64 = weights.iter().sum();
                    for i in 0..dim {
                        let terms = weights.iter().zip(seen.clone()).map(|(weight, position)| {
                            weight / total * f64::from(sequence.values[place(position) + i])
                        });
                        out.push(terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs())));
                    }
                }
            }
        }
        out
    }

    fn check(&self, found: &[f32]) {
        let expected = self.expected();
        assert_eq!(found.len(), expected.len());
        for (index, (found, (expected, size))) in found.iter().zip(expected).enumerate() {
            // Weights and results are rounded to bf16.
            let allowed = size / 128.0 + 1e-6;
            assert!(
                (f64::from(*found) - expected).abs() <= allowed,
                "{:?}, {} heads, window {:?}: element {index} of {} is {found}, but should be {expected}",
                self.pages,
                self.heads,
                self.window,
                self.rows()
            );
        }
    }

    fn decode(&self) -> Vec<f32> {
        let rows = self.rows();
        let positions: Vec<u32> = self
            .sequences
            .iter()
            .flat_map(|sequence| sequence.first_position as u32..sequence.end() as u32)
            .collect();
        // One more than anyone sees.
        let splits = 1 + positions
            .iter()
            .map(|position| splits_seen(*position as usize, self.window))
            .max()
            .unwrap();
        let tiles = self.tiles(decode_tile_rows(self.heads, self.pages.kv_heads));
        let memory = Memory::of_bytes(&self.memory);
        let queries = Memory::of_bf16(&self.queries);
        let (tile_memory, table) = (tile_memory(&tiles), Memory::of_u32(&self.table));
        let mut partial = Memory::empty(rows * self.heads * splits * self.pages.head_dim * 4);
        let mut partial_weights = Memory::empty(rows * self.heads * splits * 4);
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
        let launch = arguments.launch(&self.pages, LAYER, tiles.len()).unwrap();
        run(&launch, &mut [&mut partial, &mut partial_weights]);
        let positions = Memory::of_u32(&positions);
        let mut out = Memory::empty(rows * self.heads * self.pages.head_dim * 2);
        let merge = arguments.merge(&self.pages, rows, positions.pointer(), out.pointer());
        run(&merge.unwrap(), &mut [&mut out]);
        out.bf16s()
    }

    fn prefill(&self, tile_rows: usize) -> Vec<f32> {
        let tiles = self.tiles(tile_rows);
        let memory = Memory::of_bytes(&self.memory);
        let queries = Memory::of_bf16(&self.queries);
        let (tile_memory, table) = (tile_memory(&tiles), Memory::of_u32(&self.table));
        let mut out = Memory::empty(self.rows() * self.heads * self.pages.head_dim * 2);
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
        let launch = arguments.launch(&self.pages, LAYER, tiles.len()).unwrap();
        run(&launch, &mut [&mut out]);
        out.bf16s()
    }
}

fn tile_memory(tiles: &[AttentionTile]) -> Memory {
    let words = tiles.iter().flat_map(|tile| {
        [
            tile.first_row,
            tile.rows,
            tile.first_position,
            tile.table,
            tile.first_page,
        ]
    });
    Memory::of_u32(&words.collect::<Vec<_>>())
}

fn nearest_fp8(value: f32) -> u8 {
    let distance = |byte: &u8| (fp8_value(*byte) - value).abs();
    let bytes = (0..=255).filter(|byte| byte & 0x7f != 0x7f);
    bytes.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap()
}

fn pages(kv_heads: usize, head_dim: usize, element: CudaKvElement) -> CudaPages {
    CudaPages {
        layers: LAYERS,
        kv_heads,
        head_dim,
        element,
    }
}

#[test]
fn few_rows_attend_to_what_they_see() {
    let mut random = Random::new(20);
    // Positions around the edges of pages, chunks and splits.
    let edges = [(0, 1), (31, 1), (63, 2), (64, 1), (255, 2), (300, 1), (511, 3)];
    for window in [None, Some(1), Some(16), Some(64), Some(200), Some(257)] {
        let tiny = pages(2, 16, CudaKvElement::Bf16);
        let scene = Scene::random(tiny, 6, window, &edges, &mut random);
        scene.check(&scene.decode());
    }
    for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
        for (kv_heads, head_dim, heads, window) in [
            (1, 128, 6, Some(130)),
            (2, 128, 12, None),
            (3, 64, 3, Some(40)),
            (2, 64, 14, None),
            (1, 16, 16, None),
        ] {
            let scene = Scene::random(
                pages(kv_heads, head_dim, element),
                heads,
                window,
                &[(280, 1), (62, 4)],
                &mut random,
            );
            scene.check(&scene.decode());
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_among_drafts() {
    let mut random = Random::new(21);
    let scene = Scene::random(
        pages(1, 64, CudaKvElement::Bf16),
        3,
        Some(70),
        &[(254, 5)],
        &mut random,
    );
    let together = scene.decode();
    for row in 0..5 {
        let mut alone = Scene {
            sequences: Vec::new(),
            table: scene.table.clone(),
            memory: scene.memory.clone(),
            queries: scene.queries[row * 3 * 64..][..3 * 64].to_vec(),
            ..scene
        };
        let sequence = &scene.sequences[0];
        alone.sequences.push(Sequence {
            first_row: 0,
            rows: 1,
            first_position: 254 + row,
            table: 0,
            first_page: sequence.first_page,
            keys: Vec::new(),
            values: Vec::new(),
        });
        assert_eq!(alone.decode(), together[row * 3 * 64..][..3 * 64]);
    }
}

#[test]
fn many_rows_attend_to_what_they_see() {
    let mut random = Random::new(22);
    for window in [None, Some(1), Some(16), Some(64), Some(100)] {
        let tiny = pages(2, 16, CudaKvElement::Bf16);
        let steps = [(0, 70), (60, 10), (127, 65), (200, 1)];
        let scene = Scene::random(tiny, 6, window, &steps, &mut random);
        scene.check(&scene.prefill(PREFILL_ROWS));
    }
    for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
        for (kv_heads, head_dim, heads, window) in [
            (1, 128, 2, Some(50)),
            (1, 128, 1, None),
            (2, 64, 2, Some(90)),
            (1, 16, 3, None),
        ] {
            let pages = pages(kv_heads, head_dim, element);
            let scene = Scene::random(pages, heads, window, &[(70, 66), (0, 17)], &mut random);
            scene.check(&scene.prefill(PREFILL_ROWS));
            scene.check(&scene.prefill(19));
        }
    }
}

#[test]
fn heads_that_no_kernel_takes_are_refused() {
    let arguments = DecodeArguments {
        heads: 6,
        splits: 1,
        ..DecodeArguments::default()
    };
    assert!(arguments.launch(&pages(2, 16, CudaKvElement::Bf16), 0, 1).is_ok());
    assert!(
        arguments
            .launch(&pages(2, 32, CudaKvElement::Bf16), 0, 1)
            .is_err()
    );
    assert!(
        arguments
            .launch(&pages(4, 16, CudaKvElement::Bf16), 0, 1)
            .is_err()
    );
    assert!(
        arguments
            .launch(&pages(2, 16, CudaKvElement::Bf16), LAYERS, 1)
            .is_err()
    );
    assert!(
        arguments
            .launch(&pages(2, 16, CudaKvElement::Bf16), 0, 0)
            .is_err()
    );
    let arguments = DecodeArguments {
        heads: 17,
        ..arguments
    };
    assert!(
        arguments
            .launch(&pages(1, 16, CudaKvElement::Bf16), 0, 1)
            .is_err()
    );
}
