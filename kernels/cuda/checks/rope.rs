//! Rotation and page writes against the scalar kernels of processors, through the exchanged form of pages.

use half::bf16;

use super::finding::{Finding, ensure, near};
use super::random::Random;
use super::shape::ModelShape;
use super::subject::{Memory, Subject};
use crate::KvElement;
use crate::blocks::e4m3_to_f32;
use crate::cpu::{Isa, KvPages, RopePairs, rope, write_key_value};
use crate::cuda::{CudaKvElement, CudaPages, PAGE_TOKENS, RopeArguments};

/// Rows of small steps, and pages of their pools.
const ROWS: usize = 5;
const PAGES: usize = 4;
/// What may be left of a rounded product where two cancel out.
const CANCELLED: f32 = 4e-6;

struct Step {
    pages: CudaPages,
    heads: usize,
    interleaved: bool,
    /// How many pages the pool has.
    page_count: usize,
    /// Page and position of each row.
    rows: Vec<(u32, u32)>,
    angles: Vec<f32>,
    projected: Vec<f32>,
}

impl Step {
    fn random(
        pages: CudaPages,
        heads: usize,
        interleaved: bool,
        (row_count, page_count): (usize, usize),
        random: &mut Random,
    ) -> Step {
        // No two rows share a slot: positions differ.
        let positions: Vec<u32> = random.permutation(page_count * PAGE_TOKENS)[..row_count].to_vec();
        let order = random.permutation(page_count);
        let rows: Vec<_> = positions
            .iter()
            .map(|position| (order[*position as usize / PAGE_TOKENS], *position))
            .collect();
        let half = pages.head_dim / 2;
        let angles = (0..page_count * PAGE_TOKENS).flat_map(|position| {
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
            page_count,
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

    /// Runs the kernel on pages full of 0xff; returns queries and pages.
    fn run(&self, subject: &Subject, layer: usize) -> Result<(Vec<f32>, Vec<u8>), Finding> {
        let projected = Memory::of_f32(subject, &self.projected)?;
        let angles = Memory::of_f32(subject, &self.angles)?;
        let (pages, positions): (Vec<u32>, Vec<u32>) = self.rows.iter().copied().unzip();
        let (row_pages, positions) = (
            Memory::of_u32(subject, &pages)?,
            Memory::of_u32(subject, &positions)?,
        );
        let queries = Memory::empty(subject, self.rows.len() * self.heads * self.pages.head_dim * 2)?;
        let memory = Memory::empty(subject, self.page_count * self.pages.page_bytes() as usize)?;
        let arguments = RopeArguments {
            projected: projected.pointer(),
            queries: queries.pointer(),
            pages: memory.pointer(),
            row_pages: row_pages.pointer(),
            positions: positions.pointer(),
            angles: angles.pointer(),
            heads: self.heads as u32,
            interleaved: u32::from(self.interleaved),
            ..RopeArguments::default()
        };
        let launch = arguments.launch(&self.pages, layer, self.rows.len())?;
        subject.run(&launch, &[&queries, &memory])?;
        Ok((queries.bf16s()?, memory.bytes()?))
    }

    /// The queries, and the pages in the form that is exchanged, as processors make them.
    fn expected(&self, layer: usize) -> (Vec<f32>, Vec<u8>) {
        let form = KvPages {
            page_tokens: PAGE_TOKENS,
            layers: self.pages.layers,
            kv_heads: self.pages.kv_heads,
            head_dim: self.pages.head_dim,
            element: KvElement::BF16,
        };
        let page_bytes = form.page_bytes();
        let mut pages = vec![0xff; self.page_count * page_bytes];
        let mut all_queries = Vec::new();
        for (row, (page, position)) in self.rows.iter().enumerate() {
            let (queries, keys, values) = self.rotated(row);
            all_queries.extend(queries);
            let page = &mut pages[*page as usize * page_bytes..][..page_bytes];
            let slot = *position as usize % PAGE_TOKENS;
            write_key_value(Isa::Scalar, &form, page, layer, slot, &keys, &values);
        }
        (all_queries, pages)
    }

    /// Queries and pages of bf16.
    fn check_bf16(&self, subject: &Subject, layer: usize) -> Result<(), Finding> {
        let (queries, memory) = self.run(subject, layer)?;
        let (expected_queries, expected) = self.expected(layer);
        near("queries", &queries, &expected_queries, 1.0 / 256.0, CANCELLED)?;
        ensure!(
            memory.len() == expected.len(),
            "pages on the device have another size than others"
        );
        let page_bytes = self.pages.page_bytes() as usize;
        for (found, expected) in memory.chunks(page_bytes).zip(expected.chunks(page_bytes)) {
            let found = self.pages.to_exchanged(found).unwrap_or_default();
            let pairs = found.as_chunks::<2>().0.iter().zip(expected.as_chunks::<2>().0);
            for (found, expected) in pairs {
                let numbers = [found, expected].map(|bytes| bf16::from_le_bytes(*bytes).to_f32());
                // Products are rounded once more or less; that may be seen in the last bit, and where they cancel out.
                let [near, right] = numbers;
                ensure!(
                    found == expected || (near - right).abs() <= right.abs() / 128.0 + CANCELLED,
                    "pages hold {near} instead of {right}"
                );
            }
        }
        Ok(())
    }

    /// Pages of e4m3.
    fn check_fp8(&self, subject: &Subject, layer: usize) -> Result<(), Finding> {
        let (_, memory) = self.run(subject, layer)?;
        let (head_dim, kv_heads) = (self.pages.head_dim, self.pages.kv_heads);
        let half_bytes = PAGE_TOKENS * head_dim;
        for (row, (page, position)) in self.rows.iter().enumerate() {
            let (_, keys, values) = self.rotated(row);
            let slot = *position as usize % PAGE_TOKENS;
            let start = u64::from(*page) * self.pages.page_bytes() + self.pages.layer_offset(layer);
            for head in 0..kv_heads {
                let part = &memory[start as usize + head * 2 * half_bytes..][..2 * half_bytes];
                for (half, expected, at, stride) in [
                    (&part[..half_bytes], &keys, slot * head_dim, 1),
                    (&part[half_bytes..], &values, slot, PAGE_TOKENS),
                ] {
                    let expected = &expected[head * head_dim..][..head_dim];
                    let found = (0..head_dim).map(|i| e4m3_to_f32(half[at + i * stride]));
                    let found: Vec<f32> = found.collect();
                    near(
                        "keys or values in e4m3",
                        &found,
                        expected,
                        1.0 / 15.9,
                        1.0 / 1020.0,
                    )?;
                }
            }
        }
        let written = memory.iter().filter(|byte| **byte != 0xff).count();
        ensure!(
            written <= self.rows.len() * kv_heads * 2 * head_dim,
            "more than the rows' slots is written"
        );
        Ok(())
    }
}

fn pages(layers: usize, kv_heads: usize, head_dim: usize, element: CudaKvElement) -> CudaPages {
    CudaPages {
        layers,
        kv_heads,
        head_dim,
        element,
    }
}

pub(super) fn bf16_pages_are_those_of_the_scalar_kernel(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(2);
    for (head_dim, heads, kv_heads, interleaved) in [
        (128, 12, 2, false),
        (64, 3, 3, true),
        (16, 6, 2, false),
        (16, 5, 1, true),
    ] {
        let pages = pages(2, kv_heads, head_dim, CudaKvElement::Bf16);
        let step = Step::random(pages, heads, interleaved, (ROWS, PAGES), &mut random);
        step.check_bf16(subject, 1)?;
    }
    Ok(())
}

pub(super) fn fp8_pages_hold_keys_and_values(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(3);
    for (head_dim, heads, kv_heads, interleaved) in [(128, 6, 1, false), (64, 4, 2, false), (16, 6, 2, true)]
    {
        let pages = pages(3, kv_heads, head_dim, CudaKvElement::Fp8);
        let step = Step::random(pages, heads, interleaved, (ROWS, PAGES), &mut random);
        step.check_fp8(subject, 2)?;
    }
    Ok(())
}

pub(super) fn a_large_models_keys_and_values_get_into_their_pages(subject: &Subject) -> Result<(), Finding> {
    let shape = ModelShape::CWM_32B;
    let mut random = subject.random(9);
    for rows in [1, 64, 512] {
        for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
            let pages = pages(2, shape.kv_heads, shape.head_dim, element);
            let step = Step::random(pages, shape.heads, false, (rows, 40), &mut random);
            match element {
                CudaKvElement::Bf16 => step.check_bf16(subject, 1)?,
                CudaKvElement::Fp8 => step.check_fp8(subject, 1)?,
            }
        }
    }
    Ok(())
}
