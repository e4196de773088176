//! Rotation and page writes against the scalar kernels of processors, through the exchanged form of pages.

use cwm_kernels::KvElement;
use cwm_kernels::cpu::{Isa, KvPages, RopePairs, rope, write_key_value};
use cwm_kernels::cuda::{CudaKvElement, CudaPages, PAGE_TOKENS, RopeArguments};

use crate::support::{Memory, Random, assert_near, fp8_value, run};

const PAGES: usize = 4;

struct Step {
    pages: CudaPages,
    heads: usize,
    interleaved: bool,
    /// Page and position of each row.
    rows: Vec<(u32, u32)>,
    angles: Vec<f32>,
    projected: Vec<f32>,
}

impl Step {
    fn random(pages: CudaPages, heads: usize, interleaved: bool, random: &mut Random) -> Step {
        // No two rows share a slot: positions differ.
        let positions: Vec<u32> = random.permutation(PAGES * PAGE_TOKENS)[..5].to_vec();
        let order = random.permutation(PAGES);
        let rows: Vec<_> = positions
            .iter()
            .map(|position| (order[*position as usize / PAGE_TOKENS], *position))
            .collect();
        let half = pages.head_dim / 2;
        let angles = (0..PAGES * PAGE_TOKENS).flat_map(|position| {
            (0..half).flat_map(move |i| {
                let angle = position as f32 * 100.0_f32.powf(-(i as f32) / half as f32);
                [angle.cos(), angle.sin()]
            })
        });
        let width = (heads + 2 * pages.kv_heads) * pages.head_dim;
        Step {
            angles: angles.collect(),
            projected: random.normals(rows.len() * width, 2.0),
            pages,
            heads,
            interleaved,
            rows,
        }
    }

    fn width(&self) -> usize {
        (self.heads + 2 * self.pages.kv_heads) * self.pages.head_dim
    }

    /// A row's queries and keys rotated, and its values.
    fn rotated(&self, row: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let dim = self.pages.head_dim;
        let angles = &self.angles[self.rows[row].1 as usize * dim..][..dim];
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
        let mut heads = self.projected[row * self.width()..][..self.width()].to_vec();
        let values = heads.split_off((self.heads + self.pages.kv_heads) * dim);
        let pairs = if self.interleaved {
            RopePairs::Interleaved
        } else {
            RopePairs::HalfSplit
        };
        rope(Isa::Scalar, pairs, dim, &cos, &sin, &mut heads);
        let keys = heads.split_off(self.heads * dim);
        (heads, keys, values)
    }
}

/// Runs the kernel on pages full of 0xff; returns queries and pages.
fn run_step(step: &Step, layer: usize) -> (Vec<f32>, Vec<u8>) {
    let projected = Memory::of_f32(&step.projected);
    let angles = Memory::of_f32(&step.angles);
    let (pages, positions): (Vec<u32>, Vec<u32>) = step.rows.iter().copied().unzip();
    let (row_pages, positions) = (Memory::of_u32(&pages), Memory::of_u32(&positions));
    let mut queries = Memory::empty(step.rows.len() * step.heads * step.pages.head_dim * 2);
    let mut memory = Memory::empty(PAGES * step.pages.page_bytes() as usize);
    let arguments = RopeArguments {
        projected: projected.pointer(),
        queries: queries.pointer(),
        pages: memory.pointer(),
        row_pages: row_pages.pointer(),
        positions: positions.pointer(),
        angles: angles.pointer(),
        heads: step.heads as u32,
        interleaved: u32::from(step.interleaved),
        ..RopeArguments::default()
    };
    let launch = arguments.launch(&step.pages, layer, step.rows.len()).unwrap();
    run(&launch, &mut [&mut queries, &mut memory]);
    (queries.bf16s(), memory.bytes().to_vec())
}

#[test]
fn bf16_pages_are_those_of_the_scalar_kernel() {
    let mut random = Random::new(2);
    for (head_dim, heads, kv_heads, interleaved) in [
        (128, 12, 2, false),
        (64, 3, 3, true),
        (16, 6, 2, false),
        (16, 5, 1, true),
    ] {
        let pages = CudaPages {
            layers: 2,
            kv_heads,
            head_dim,
            element: CudaKvElement::Bf16,
        };
        let step = Step::random(pages, heads, interleaved, &mut random);
        let (queries, memory) = run_step(&step, 1);
        let form = KvPages {
            page_tokens: PAGE_TOKENS,
            layers: 2,
            kv_heads,
            head_dim,
            element: KvElement::BF16,
        };
        let page_bytes = form.page_bytes();
        assert_eq!(page_bytes as u64, pages.page_bytes());
        let mut expected = vec![0xff; PAGES * page_bytes];
        let mut expected_queries = Vec::new();
        for (row, (page, position)) in step.rows.iter().enumerate() {
            let (queries, keys, values) = step.rotated(row);
            expected_queries.extend(queries);
            let page = &mut expected[*page as usize * page_bytes..][..page_bytes];
            write_key_value(
                Isa::Scalar,
                &form,
                page,
                1,
                *position as usize % PAGE_TOKENS,
                &keys,
                &values,
            );
        }
        assert_near(&queries, &expected_queries, 1.0 / 256.0, 1e-6);
        for (found, expected) in memory.chunks(page_bytes).zip(expected.chunks(page_bytes)) {
            let found = pages.to_exchanged(found).unwrap();
            let pairs = found.as_chunks::<2>().0.iter().zip(expected.as_chunks::<2>().0);
            for (found, expected) in pairs {
                // Products are rounded once more or less; that may be seen in the last bit.
                let (found, expected) = (u16::from_le_bytes(*found), u16::from_le_bytes(*expected));
                assert!(found.abs_diff(expected) <= 1, "{found:x} {expected:x}");
            }
        }
    }
}

#[test]
fn fp8_pages_hold_keys_and_values() {
    let mut random = Random::new(3);
    for (head_dim, heads, kv_heads, interleaved) in [(128, 6, 1, false), (64, 4, 2, false), (16, 6, 2, true)]
    {
        let pages = CudaPages {
            layers: 3,
            kv_heads,
            head_dim,
            element: CudaKvElement::Fp8,
        };
        let step = Step::random(pages, heads, interleaved, &mut random);
        let (_, memory) = run_step(&step, 2);
        let half_bytes = PAGE_TOKENS * head_dim;
        for (row, (page, position)) in step.rows.iter().enumerate() {
            let (_, keys, values) = step.rotated(row);
            let slot = *position as usize % PAGE_TOKENS;
            let layer =
                &memory[*page as usize * pages.page_bytes() as usize + pages.layer_offset(2) as usize..];
            for head in 0..kv_heads {
                let part = &layer[head * 2 * half_bytes..][..2 * half_bytes];
                for (half, expected, at, stride) in [
                    (&part[..half_bytes], &keys, slot * head_dim, 1),
                    (&part[half_bytes..], &values, slot, PAGE_TOKENS),
                ] {
                    let expected = &expected[head * head_dim..][..head_dim];
                    let found: Vec<f32> = (0..head_dim).map(|i| fp8_value(half[at + i * stride])).collect();
                    assert_near(&found, expected, 1.0 / 15.9, 1.0 / 1020.0);
                }
            }
        }
        let written = memory.iter().filter(|byte| **byte != 0xff).count();
        assert!(
            written <= step.rows.len() * kv_heads * 2 * head_dim,
            "only the rows' slots are written"
        );
    }
}
