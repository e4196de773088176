//! Both kinds of attention against softmax in f64, over pages in random order: windows, holes, positions at all edges, and NaN wherever
//! nothing was written.

mod scene;

use super::finding::{Finding, same};
use super::shape::ModelShape;
use super::subject::Subject;
use crate::cuda::{CudaKvElement, CudaPages, PREFILL_ROWS};
pub(super) use scene::tile_words;
use scene::{LAYERS, Scene, Sequence};

fn pages(kv_heads: usize, head_dim: usize, element: CudaKvElement) -> CudaPages {
    CudaPages {
        layers: LAYERS,
        kv_heads,
        head_dim,
        element,
    }
}

pub(super) fn few_rows_attend_to_what_they_see(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(20);
    // Positions around the edges of pages, chunks and splits.
    let edges = [(0, 1), (31, 1), (63, 2), (64, 1), (255, 2), (300, 1), (511, 3)];
    for window in [None, Some(1), Some(16), Some(64), Some(200), Some(257)] {
        let tiny = pages(2, 16, CudaKvElement::Bf16);
        let scene = Scene::random(tiny, 6, window, &edges, &mut random);
        scene.check(&scene.decode(subject)?)?;
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
            scene.check(&scene.decode(subject)?)?;
        }
    }
    Ok(())
}

pub(super) fn a_row_has_the_same_bits_alone_and_among_drafts(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(21);
    let scene = Scene::random(
        pages(1, 64, CudaKvElement::Bf16),
        3,
        Some(70),
        &[(254, 5)],
        &mut random,
    );
    let together = scene.decode(subject)?;
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
        same(
            "a row alone",
            &alone.decode(subject)?,
            &together[row * 3 * 64..][..3 * 64],
        )?;
    }
    Ok(())
}

pub(super) fn many_rows_attend_to_what_they_see(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(22);
    for window in [None, Some(1), Some(16), Some(64), Some(100)] {
        let tiny = pages(2, 16, CudaKvElement::Bf16);
        let steps = [(0, 70), (60, 10), (127, 65), (200, 1)];
        let scene = Scene::random(tiny, 6, window, &steps, &mut random);
        scene.check(&scene.prefill(subject, PREFILL_ROWS)?)?;
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
            scene.check(&scene.prefill(subject, PREFILL_ROWS)?)?;
            scene.check(&scene.prefill(subject, 19)?)?;
        }
    }
    Ok(())
}

/// A model's heads, with and without its window, over contexts that it reaches across.
fn a_models_attention(
    subject: &Subject,
    shape: &ModelShape,
    prefill_rows: usize,
    samples: usize,
) -> Result<(), Finding> {
    let mut random = subject.random(23);
    let window = shape.window;
    for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
        let pages = pages(shape.kv_heads, shape.head_dim, element);
        for window_or_all in [Some(window), None] {
            // Just before the window ends, across its end, and far beyond it.
            let steps = [(window - 3, 5), (window * 3 / 2 + 7, 1)];
            let scene = Scene::random(pages, shape.heads, window_or_all, &steps, &mut random);
            let found = scene.decode(subject)?;
            scene.check_some(&found, samples, &mut random)?;
            let steps = [(window - prefill_rows / 3, prefill_rows), (0, 37)];
            let scene = Scene::random(pages, shape.heads, window_or_all, &steps, &mut random);
            let found = scene.prefill(subject, PREFILL_ROWS)?;
            scene.check_some(&found, samples, &mut random)?;
        }
    }
    Ok(())
}

pub(super) fn a_tiny_models_rows_attend_to_what_they_see(subject: &Subject) -> Result<(), Finding> {
    a_models_attention(subject, &ModelShape::TINY, 70, 8)
}

pub(super) fn a_large_models_rows_attend_to_what_they_see(subject: &Subject) -> Result<(), Finding> {
    a_models_attention(subject, &ModelShape::CWM_32B, 512, 64)
}

pub(super) fn pages_beyond_four_gibibytes_are_found(subject: &Subject) -> Result<(), Finding> {
    // 16 MiB a page, as a model of 64 layers has them: 298 pages.
    attend_in_wide_pages(subject, 19_000)
}

/// Few positions that see so many others, in pages of which one layer of 64 is used.
fn attend_in_wide_pages(subject: &Subject, context: usize) -> Result<(), Finding> {
    let mut random = subject.random(24);
    let shape = ModelShape::CWM_32B;
    let pages = CudaPages {
        layers: 64,
        ..pages(shape.kv_heads, shape.head_dim, CudaKvElement::Bf16)
    };
    let scene = Scene::random(pages, shape.kv_heads, None, &[(context, 3)], &mut random);
    scene.check_some(&scene.decode(subject)?, 8, &mut random)?;
    scene.check_some(&scene.prefill(subject, PREFILL_ROWS)?, 8, &mut random)
}
