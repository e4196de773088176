//! Attention of one row, and of many, over pages in random order.

use super::super::attention::tile_words;
use super::super::finding::Finding;
use super::super::subject::Memory;
use super::stage::{Case, Stage};
use crate::cuda::{
    AttentionTile, CudaKvElement, CudaPages, DecodeArguments, PAGE_TOKENS, PREFILL_ROWS, PrefillArguments,
    splits_seen,
};

/// Rows at the last positions of a context.
#[derive(Clone, Copy)]
struct Scene {
    context: usize,
    rows: usize,
    window: Option<usize>,
    element: CudaKvElement,
}

impl Scene {
    fn name(&self) -> String {
        let window = self
            .window
            .map_or_else(|| "all seen".to_owned(), |window| format!("window {window}"));
        format!(
            "{} rows at the end of {}, {window}, {:?}",
            self.rows, self.context, self.element
        )
    }

    fn first_position(&self) -> usize {
        self.context - self.rows
    }

    /// How many positions the row at a position sees.
    fn seen(&self, position: usize) -> usize {
        self.window.unwrap_or(usize::MAX).min(position + 1)
    }

    fn pages(&self, stage: &Stage<'_>) -> CudaPages {
        CudaPages {
            layers: stage.plan.page_layers,
            kv_heads: stage.plan.model.kv_heads,
            head_dim: stage.plan.model.head_dim,
            element: self.element,
        }
    }

    /// What is read and written at least, and the operations of both products.
    fn work(&self, stage: &Stage<'_>) -> (u64, u64) {
        let model = &stage.plan.model;
        let size = match self.element {
            CudaKvElement::Bf16 => 2,
            CudaKvElement::Fp8 => 1,
        };
        let positions = self.rows - 1 + self.seen(self.first_position());
        let pairs: usize = (self.first_position()..self.context)
            .map(|position| self.seen(position))
            .sum();
        let width = model.heads * model.head_dim;
        let bytes = positions * 2 * model.kv_heads * model.head_dim * size + 2 * self.rows * width * 2;
        (bytes as u64, 4 * (pairs * width) as u64)
    }
}

/// Both kinds of layers and pages, at each context.
fn scenes(contexts: &[usize], rows: usize, window: usize) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for context in contexts.iter().copied() {
        for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
            for window in [None, Some(window)] {
                scenes.push(Scene {
                    context,
                    rows: rows.min(context),
                    window,
                    element,
                });
            }
        }
    }
    scenes
}

pub(super) fn decode(stage: &mut Stage<'_>) -> Result<(), Finding> {
    for scene in scenes(stage.plan.decode_contexts, 1, stage.plan.model.window) {
        stage.add(&scene.name(), |stage| decode_case(stage, scene))?;
    }
    Ok(())
}

fn decode_case<'a>(stage: &mut Stage<'a>, scene: Scene) -> Result<Case<'a>, Finding> {
    let model = stage.plan.model;
    let (pages, position) = (scene.pages(stage), scene.first_position());
    let page_count = scene.context.div_ceil(PAGE_TOKENS);
    let pool = stage.pool(page_count as u64 * pages.page_bytes())?;
    let subject = stage.subject;
    let splits = splits_seen(position, scene.window);
    let tile = AttentionTile {
        rows: 1,
        first_position: position as u32,
        ..AttentionTile::default()
    };
    let tiles = Memory::of_u32(subject, &tile_words(&[tile]))?;
    let table = Memory::of_u32(subject, &stage.random.permutation(page_count))?;
    let positions = Memory::of_u32(subject, &[position as u32])?;
    let queries = stage.numbers(model.heads * model.head_dim * 2)?;
    let partial = stage.results(model.heads * splits * model.head_dim * 4)?;
    let partial_weights = stage.results(model.heads * splits * 4)?;
    let out = stage.results(model.heads * model.head_dim * 2)?;
    let arguments = DecodeArguments {
        queries: queries.pointer(),
        pages: pool,
        tiles: tiles.pointer(),
        table: table.pointer(),
        partial: partial.pointer(),
        partial_weights: partial_weights.pointer(),
        heads: model.heads as u32,
        splits: splits as u32,
        window: scene.window.unwrap_or_default() as u32,
        scale: 1.0 / (model.head_dim as f32).sqrt(),
        ..DecodeArguments::default()
    };
    let merge = arguments.merge(&pages, 1, positions.pointer(), out.pointer())?;
    let runs =
        (0..pages.layers).map(|layer| Ok(vec![arguments.launch(&pages, layer, 1)?.record(), merge.record()]));
    let (bytes, flops) = scene.work(stage);
    Ok(Case {
        bytes,
        flops,
        runs: runs.collect::<Result<Vec<_>, Finding>>()?,
        by_library: false,
        memory: vec![tiles, table, positions, queries, partial, partial_weights, out],
    })
}

pub(super) fn prefill(stage: &mut Stage<'_>) -> Result<(), Finding> {
    let plan = stage.plan;
    for scene in scenes(plan.prefill_contexts, plan.prefill_rows, plan.model.window) {
        stage.add(&scene.name(), |stage| prefill_case(stage, scene))?;
    }
    Ok(())
}

fn prefill_case<'a>(stage: &mut Stage<'a>, scene: Scene) -> Result<Case<'a>, Finding> {
    let model = stage.plan.model;
    let pages = scene.pages(stage);
    let page_count = scene.context.div_ceil(PAGE_TOKENS);
    let pool = stage.pool(page_count as u64 * pages.page_bytes())?;
    let subject = stage.subject;
    let tiles = (0..scene.rows).step_by(PREFILL_ROWS).map(|first| AttentionTile {
        first_row: first as u32,
        rows: PREFILL_ROWS.min(scene.rows - first) as u32,
        first_position: (scene.first_position() + first) as u32,
        table: 0,
        first_page: 0,
    });
    let tiles: Vec<AttentionTile> = tiles.collect();
    let tile_memory = Memory::of_u32(subject, &tile_words(&tiles))?;
    let table = Memory::of_u32(subject, &stage.random.permutation(page_count))?;
    let bytes = scene.rows * model.heads * model.head_dim * 2;
    let (queries, out) = (stage.numbers(bytes)?, stage.results(bytes)?);
    let arguments = PrefillArguments {
        queries: queries.pointer(),
        pages: pool,
        tiles: tile_memory.pointer(),
        table: table.pointer(),
        out: out.pointer(),
        heads: model.heads as u32,
        window: scene.window.unwrap_or_default() as u32,
        scale: 1.0 / (model.head_dim as f32).sqrt(),
        ..PrefillArguments::default()
    };
    let runs =
        (0..pages.layers).map(|layer| Ok(vec![arguments.launch(&pages, layer, tiles.len())?.record()]));
    let (bytes, flops) = scene.work(stage);
    Ok(Case {
        bytes,
        flops,
        runs: runs.collect::<Result<Vec<_>, Finding>>()?,
        by_library: false,
        memory: vec![tile_memory, table, queries, out],
    })
}
