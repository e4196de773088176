//! A plan's rows as kernels take them: tokens, positions, pages and tiles, arranged in one array for the device.
//!
//! Sequences with few tokens come first and are computed by kernels for few rows, the others by those for many. Which of them a row meets
//! depends on its own sequence only, so that a row of few is the same bits whatever runs beside it.

use cwm_kernels::cuda::{AttentionTile, PAGE_TOKENS, PREFILL_ROWS, SKINNY_ROWS, SPLIT_TOKENS};

use crate::backend::cuda::arena::{Arena, Move, SCRATCH};
use crate::backend::{BackendError, SequenceStep, StepPlan, oldest_seen};
use crate::cache::{PageLayout, PoolKind};
use crate::model::TokenId;

/// The most tokens of a sequence that are few.
pub(super) const FEW_TOKENS: usize = 16;
/// Numbers of rows for which steps are kept ready to be run again.
pub(super) const BUCKETS: [usize; 9] = [1, 2, 4, 8, 16, 24, 32, 48, SKINNY_ROWS];

/// The rows of a step.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Rows of sequences with few tokens; they come first.
    pub(super) few: usize,
    tokens: Vec<u32>,
    positions: Vec<u32>,
    /// For each row of logits that the plan asks for the row of the step.
    pub(super) logit_rows: Vec<u32>,
    full: PoolBatch,
    window: PoolBatch,
}

/// What attention over the pages of one pool takes.
#[derive(Debug, Default)]
struct PoolBatch {
    /// Of each row the page of its position.
    row_pages: Vec<u32>,
    few: Vec<AttentionTile>,
    many: Vec<AttentionTile>,
    /// Pages of all sequences; the first is nobody's.
    table: Vec<u32>,
    /// The most splits that a tile of few rows sees.
    splits: usize,
}

/// How large a step is: all that its launches depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) few: usize,
    pub(super) many: usize,
    /// Rows of logits; `None` when all rows of the step have theirs, in its order.
    pub(super) logits: Option<usize>,
    pub(super) full: PoolShape,
    pub(super) window: PoolShape,
    /// Entries of the window pool's table, which has its place before the other's.
    window_table: usize,
}

/// The same for the attention over one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PoolShape {
    pub(super) few_tiles: usize,
    pub(super) many_tiles: usize,
    pub(super) splits: usize,
}

/// Where the parts of the array lie, in bytes from its beginning. All are multiples of 16.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputPlaces {
    pub(super) tokens: u64,
    pub(super) positions: u64,
    pub(super) logit_rows: u64,
    pub(super) full: PoolPlaces,
    pub(super) window: PoolPlaces,
}

/// The same of one pool.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PoolPlaces {
    pub(super) row_pages: u64,
    pub(super) few_tiles: u64,
    pub(super) many_tiles: u64,
    pub(super) table: u64,
}

/// Words of a tile.
const TILE_WORDS: usize = size_of::<AttentionTile>() / 4;

impl Shape {
    pub(super) fn rows(&self) -> usize {
        self.few + self.many
    }

    pub(super) fn pool(&self, pool: PoolKind) -> &PoolShape {
        match pool {
            PoolKind::Full => &self.full,
            PoolKind::Window => &self.window,
        }
    }

    /// Where the parts of the array lie, and how many words there are before the full pool's table, which is the last.
    pub(super) fn places(&self) -> (InputPlaces, usize) {
        let mut next = 0;
        let mut take = |words: usize| {
            let place = next;
            next += words.next_multiple_of(4);
            place as u64 * 4
        };
        let rows = self.rows();
        let (tokens, positions) = (take(rows), take(rows));
        let logit_rows = take(self.logits.unwrap_or(0));
        let mut pool = |shape: &PoolShape| PoolPlaces {
            row_pages: take(rows),
            few_tiles: take(shape.few_tiles * TILE_WORDS),
            many_tiles: take(shape.many_tiles * TILE_WORDS),
            table: 0,
        };
        let (mut full, mut window) = (pool(&self.full), pool(&self.window));
        window.table = take(self.window_table);
        full.table = take(0);
        let places = InputPlaces {
            tokens,
            positions,
            logit_rows,
            full,
            window,
        };
        (places, next)
    }
}

impl PoolPlaces {
    pub(super) fn of(places: &InputPlaces, pool: PoolKind) -> PoolPlaces {
        match pool {
            PoolKind::Full => places.full,
            PoolKind::Window => places.window,
        }
    }
}

/// What a batch is made with.
pub(super) struct Arranging<'a> {
    pub(super) arena: &'a mut Arena,
    pub(super) layout: &'a PageLayout,
    /// The most rows of a tile of few.
    pub(super) tile_rows: usize,
    /// Pages that have to move first.
    pub(super) moves: Vec<Move>,
}

impl Arranging<'_> {
    /// The rows of a plan. Pages that are written first get their places.
    pub(super) fn batch(&mut self, plan: &StepPlan, tokens: &[Vec<TokenId>]) -> Result<Batch, BackendError> {
        let mut batch = Batch::default();
        self.give_places(plan)?;
        for pool in [PoolKind::Full, PoolKind::Window] {
            batch.pool_mut(pool).table.push(self.arena.number(pool, SCRATCH));
        }
        let is_few = |step: &SequenceStep| step.tokens.len() <= FEW_TOKENS;
        let mut first_rows = vec![0; plan.sequences.len()];
        for few in [true, false] {
            let members = plan.sequences.iter().zip(tokens).enumerate();
            for (index, (step, tokens)) in members.filter(|(_, (step, _))| is_few(step) == few) {
                if let Some(first) = first_rows.get_mut(index) {
                    *first = batch.tokens.len();
                }
                self.sequence(&mut batch, step, tokens, few)?;
            }
            if few {
                batch.few = batch.tokens.len();
            }
        }
        let rows = plan.logits.iter().filter_map(|row| {
            let first = first_rows.get(row.sequence)?;
            Some((first + row.token) as u32)
        });
        batch.logit_rows = rows.collect();
        Ok(batch)
    }

    /// Gives places to all pages that the plan writes first, before any place is noted down: places may change for it.
    fn give_places(&mut self, plan: &StepPlan) -> Result<(), BackendError> {
        for step in &plan.sequences {
            let end = step.first_position + step.tokens.len();
            for pool in self.pools() {
                for page in step.first_position.div_ceil(PAGE_TOKENS)..end.div_ceil(PAGE_TOKENS) {
                    let page = step.page_of(pool, page * PAGE_TOKENS, PAGE_TOKENS)?;
                    self.arena.make(pool, page, &mut self.moves)?;
                }
            }
        }
        Ok(())
    }

    fn pools(&self) -> impl Iterator<Item = PoolKind> + use<> {
        let there = [PoolKind::Full, PoolKind::Window].map(|pool| (pool, self.layout.layers(pool) > 0));
        there
            .into_iter()
            .filter(|(_, there)| *there)
            .map(|(pool, _)| pool)
    }

    fn sequence(
        &mut self,
        batch: &mut Batch,
        step: &SequenceStep,
        tokens: &[TokenId],
        few: bool,
    ) -> Result<(), BackendError> {
        let first_row = batch.tokens.len();
        batch.tokens.extend(tokens);
        let positions = step.first_position..step.first_position + tokens.len();
        batch
            .positions
            .extend(positions.clone().map(|position| position as u32));
        if tokens.is_empty() {
            return Ok(());
        }
        for pool in self.pools() {
            let window = match pool {
                PoolKind::Full => None,
                PoolKind::Window => self.layout.window,
            };
            let oldest = oldest_seen(step.first_position, window);
            let first_page = oldest / PAGE_TOKENS;
            let part = batch.pool_mut(pool);
            let table = part.table.len();
            for page in first_page..positions.end.div_ceil(PAGE_TOKENS) {
                let page = step.page_of(pool, page * PAGE_TOKENS, PAGE_TOKENS)?;
                let place = self.arena.place(pool, page)?;
                part.table.push(self.arena.number(pool, place));
            }
            let page_at = |position: usize| {
                let page = part.table.get(table + position / PAGE_TOKENS - first_page);
                page.copied().unwrap_or(u32::MAX)
            };
            let pages: Vec<u32> = positions.clone().map(page_at).collect();
            part.row_pages.extend(pages);
            let most = if few { self.tile_rows } else { PREFILL_ROWS };
            for start in positions.clone().step_by(most.max(1)) {
                let rows = most.min(positions.end - start);
                part.push(
                    few,
                    window,
                    tile(
                        first_row + start - positions.start,
                        rows,
                        start,
                        table,
                        first_page,
                    ),
                );
            }
        }
        Ok(())
    }
}

fn tile(first_row: usize, rows: usize, position: usize, table: usize, first_page: usize) -> AttentionTile {
    AttentionTile {
        first_row: first_row as u32,
        rows: rows as u32,
        first_position: position as u32,
        table: table as u32,
        first_page: first_page as u32,
    }
}

impl PoolBatch {
    fn push(&mut self, few: bool, window: Option<usize>, tile: AttentionTile) {
        if !few {
            self.many.push(tile);
            return;
        }
        let first = tile.first_position as usize;
        let last = first + tile.rows as usize - 1;
        let splits = last / SPLIT_TOKENS - oldest_seen(first, window) / SPLIT_TOKENS + 1;
        self.splits = self.splits.max(splits);
        self.few.push(tile);
    }

    fn shape(&self) -> PoolShape {
        PoolShape {
            few_tiles: self.few.len(),
            many_tiles: self.many.len(),
            splits: self.splits,
        }
    }
}

impl Batch {
    fn pool_mut(&mut self, pool: PoolKind) -> &mut PoolBatch {
        match pool {
            PoolKind::Full => &mut self.full,
            PoolKind::Window => &mut self.window,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The highest position and one.
    pub(super) fn end(&self) -> usize {
        self.positions.iter().max().map_or(0, |last| *last as usize + 1)
    }

    /// The step as it is.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            few: self.few,
            many: self.rows() - self.few,
            logits: Some(self.logit_rows.len()),
            full: self.full.shape(),
            window: self.window.shape(),
            window_table: self.window.table.len(),
        }
    }

    /// Fills a step of single tokens up to one of a few sizes, and returns that; `None` for other steps. Rows that fill up take the token 0 at
    /// the position 0 of a page that is nobody's.
    pub(super) fn fill_up(&mut self, layout: &PageLayout) -> Option<Shape> {
        let rows = self.rows();
        let (full_layers, window_layers) = (layout.full_layers > 0, layout.window_layers > 0);
        let tiles = if full_layers { &self.full } else { &self.window };
        if rows == 0
            || self.few != rows
            || tiles.few.len() != rows
            || tiles.few.iter().any(|tile| tile.rows != 1)
        {
            return None;
        }
        let bucket = BUCKETS.into_iter().find(|bucket| *bucket >= rows)?;
        self.tokens.resize(bucket, 0);
        self.positions.resize(bucket, 0);
        self.few = bucket;
        for (there, part) in [(full_layers, &mut self.full), (window_layers, &mut self.window)] {
            if there {
                let scratch = part.table.first().copied().unwrap_or_default();
                part.row_pages.resize(bucket, scratch);
                part.few.extend((rows..bucket).map(|row| tile(row, 1, 0, 0, 0)));
                part.splits = part.splits.next_power_of_two();
            }
        }
        let pages_a_row = layout.window.map_or(0, |window| window.div_ceil(PAGE_TOKENS) + 1);
        let shape = Shape {
            logits: None,
            window_table: 1 + bucket * pages_a_row,
            ..self.shape()
        };
        Some(shape)
    }

    /// All of it as one array.
    pub(super) fn array(&self, shape: &Shape) -> Vec<u8> {
        let (places, words) = shape.places();
        let mut array = vec![0; words];
        let mut put = |place: u64, words: &mut dyn Iterator<Item = u32>| {
            let rest = array.get_mut(place as usize / 4..).unwrap_or_default();
            for (to, word) in rest.iter_mut().zip(words) {
                *to = word;
            }
        };
        put(places.tokens, &mut self.tokens.iter().copied());
        put(places.positions, &mut self.positions.iter().copied());
        if shape.logits.is_some() {
            put(places.logit_rows, &mut self.logit_rows.iter().copied());
        }
        for (part, places) in [(&self.full, places.full), (&self.window, places.window)] {
            put(places.row_pages, &mut part.row_pages.iter().copied());
            put(places.few_tiles, &mut part.few.iter().flat_map(tile_words));
            put(places.many_tiles, &mut part.many.iter().flat_map(tile_words));
        }
        put(places.window.table, &mut self.window.table.iter().copied());
        array.extend(&self.full.table);
        array.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

fn tile_words(tile: &AttentionTile) -> [u32; TILE_WORDS] {
    [
        tile.first_row,
        tile.rows,
        tile.first_position,
        tile.table,
        tile.first_page,
    ]
}
