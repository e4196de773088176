//! Products of weights with rows of activations.
//!
//! Quantised weights ([`PackedMatrix`]) meet activations quantised to 8 bits. For every output, group of 32 columns after group, the
//! products of integers are summed exactly, then enter one fixed sequence of f32 roundings:
//! `acc = fma(sum, scale_w * scale_a, acc)`, and for types with minima `acc = fma(minimum_w, scale_a * sum of q_a, acc)`. So every
//! instruction set gives the same bits, and a row's result does not depend on the rows computed with it.
//!
//! Float weights ([`FloatMatrix`]) are read where they lie; see `float_matmul`.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::activations::{ActivationGroup, BLOCK_ROWS};
use super::disjoint::Disjoint;
use super::float_matmul::{self, FloatMatrix};
use super::packed::encoding::{Encoding, GROUP_COLUMNS, TILE_ROWS, with_encoding};
use super::{Activations, Isa, PackedMatrix, ThreadPool};
use std::ops::Range;

/// Weights, as a product takes them: `[rows, columns]`.
#[derive(Debug, Clone, Copy)]
pub enum Matrix<'a> {
    /// Quantised and packed.
    Packed(&'a PackedMatrix),
    /// Floats where the file has them.
    Float(FloatMatrix<'a>),
}

impl Matrix<'_> {
    /// Rows: elements of a product's output.
    pub fn rows(&self) -> usize {
        match self {
            Matrix::Packed(packed) => packed.rows(),
            Matrix::Float(float) => float.rows(),
        }
    }

    /// Columns: elements of a product's input.
    pub fn columns(&self) -> usize {
        match self {
            Matrix::Packed(packed) => packed.columns(),
            Matrix::Float(float) => float.columns(),
        }
    }

    /// Bytes that 16 rows take.
    fn tile_bytes(&self) -> usize {
        match self {
            Matrix::Packed(packed) => packed.tile_bytes(),
            Matrix::Float(float) => TILE_ROWS * float.row_bytes(),
        }
    }
}

/// One matrix to multiply by, and where its results go.
#[derive(Debug)]
pub struct Product<'a> {
    /// The weights, `[out, in]`.
    pub weights: Matrix<'a>,
    /// What is added to each row of the output, if anything: `[out]`.
    pub bias: Option<&'a [f32]>,
    /// `[rows of the activations, out]`.
    pub out: &'a mut [f32],
}

/// Multiplies the same activations by every product's weights, all in one parallel region.
///
/// # Panics
/// When shapes do not fit each other, activations were not kept in the form that a matrix needs, or the processor lacks `isa`: errors
/// of the calling code, which a file's content cannot bring about.
pub fn matmul(isa: Isa, pool: &ThreadPool, activations: &Activations, products: &mut [Product<'_>]) {
    assert!(isa.is_available(), "this processor lacks {}", isa.name());
    let jobs: Vec<Job<'_>> = products
        .iter_mut()
        .map(|product| Job::new(activations, product))
        .collect();
    let tasks = divide(pool.threads(), activations, &jobs);
    let run = |index: usize| {
        let task = &tasks[index];
        jobs[task.job].run(isa, activations, task);
    };
    let work: usize = jobs.iter().map(|job| job.tiles * job.weights.tile_bytes()).sum();
    if work * activations.rows() < ALONE_BYTES {
        (0..tasks.len()).for_each(run);
    } else {
        pool.run(tasks.len(), &run);
    }
}

/// Work below this many bytes of weights times rows is done before another thread has woken up.
const ALONE_BYTES: usize = 64 * 1024;
/// Weights are handed out in pieces of at least this size.
const TASK_BYTES: usize = 24 * 1024;
/// Tasks for each thread, so that one that is held up does not hold up all.
const TASKS_PER_THREAD: usize = 8;
/// The activations that a task goes over for each tile stay in the second-level cache.
const SPAN_BYTES: usize = 512 * 1024;

/// A product on the way.
struct Job<'a> {
    weights: Matrix<'a>,
    bias: Option<&'a [f32]>,
    out: Disjoint<'a, f32>,
    tiles: usize,
}

/// Some tiles of one product, for some rows of the activations.
struct Task {
    job: usize,
    tiles: Range<usize>,
    rows: Range<usize>,
}

/// Cuts the jobs into tasks: activations into spans that stay in a core's cache, weights into pieces.
fn divide(threads: usize, activations: &Activations, jobs: &[Job<'_>]) -> Vec<Task> {
    let total: usize = jobs.iter().map(|job| job.tiles * job.weights.tile_bytes()).sum();
    let piece = (total / (threads * TASKS_PER_THREAD)).max(TASK_BYTES);
    let row_bytes = (activations.columns() / GROUP_COLUMNS * size_of::<ActivationGroup>()).max(1);
    let span = (SPAN_BYTES / row_bytes / BLOCK_ROWS).max(2) * BLOCK_ROWS;
    let mut tasks = Vec::new();
    for first_row in (0..activations.rows()).step_by(span) {
        let rows = first_row..(first_row + span).min(activations.rows());
        for (index, job) in jobs.iter().enumerate() {
            let tiles = (piece / job.weights.tile_bytes().max(1)).max(1);
            for first in (0..job.tiles).step_by(tiles) {
                tasks.push(Task {
                    job: index,
                    tiles: first..(first + tiles).min(job.tiles),
                    rows: rows.clone(),
                });
            }
        }
    }
    tasks
}

impl<'a> Job<'a> {
    fn new(activations: &Activations, product: &'a mut Product<'_>) -> Job<'a> {
        let rows = product.weights.rows();
        assert_eq!(
            product.weights.columns(),
            activations.columns(),
            "weights have as many columns as activations"
        );
        assert_eq!(
            product.out.len(),
            rows * activations.rows(),
            "the output has a row for each of the input's"
        );
        assert!(
            product.bias.is_none_or(|bias| bias.len() == rows),
            "a bias has a value for each output"
        );
        Job {
            weights: product.weights,
            bias: product.bias,
            out: Disjoint::new(product.out),
            tiles: rows.div_ceil(TILE_ROWS),
        }
    }

    fn run(&self, isa: Isa, activations: &Activations, task: &Task) {
        let mut sums = [[0.0; TILE_ROWS]; BLOCK_ROWS];
        match self.weights {
            Matrix::Packed(packed) => {
                let kernel = packed_kernel(isa, packed);
                let alone = self.run_pairs(isa, packed, activations, task);
                for tile in alone {
                    let (headers, codes) = packed.tile(tile);
                    for first in task.rows.clone().step_by(BLOCK_ROWS) {
                        let count = (task.rows.end - first).min(BLOCK_ROWS);
                        let block = activations.block(first / BLOCK_ROWS);
                        kernel(Tile { headers, codes }, block, &mut sums[..count]);
                        self.store(tile, first, &sums[..count]);
                    }
                }
            }
            Matrix::Float(float) => {
                let columns = activations.columns();
                for tile in task.tiles.clone() {
                    for first in task.rows.clone().step_by(BLOCK_ROWS) {
                        let count = (task.rows.end - first).min(BLOCK_ROWS);
                        let rows = &activations.floats()[first * columns..][..count * columns];
                        float_matmul::tile(isa, &float, tile * TILE_ROWS, rows, &mut sums[..count]);
                        self.store(tile, first, &sums[..count]);
                    }
                }
            }
        }
    }

    /// Does a lone row of activations by pairs of tiles, where there is a kernel for that, and returns the tiles that are left.
    fn run_pairs(
        &self,
        isa: Isa,
        packed: &PackedMatrix,
        activations: &Activations,
        task: &Task,
    ) -> Range<usize> {
        let mut left = task.tiles.clone();
        let row = task.rows.start;
        let Some(kernel) = pair_kernel(isa, packed).filter(|_| activations.rows() == 1) else {
            return left;
        };
        while left.len() >= 2 {
            let tiles = [left.start, left.start + 1].map(|tile| {
                let (headers, codes) = packed.tile(tile);
                Tile { headers, codes }
            });
            let mut sums = [[0.0; TILE_ROWS]; 2];
            kernel(tiles, activations.block(row / BLOCK_ROWS), &mut sums);
            for (tile, sums) in left.clone().zip(&sums) {
                self.store(tile, row, std::slice::from_ref(sums));
            }
            left.start += 2;
        }
        left
    }

    /// Puts the results of a tile for some rows from `first` on where they belong.
    fn store(&self, tile: usize, first: usize, sums: &[[f32; TILE_ROWS]]) {
        let width = self.weights.rows();
        let from = tile * TILE_ROWS;
        let lanes = (width - from).min(TILE_ROWS);
        let bias = self.bias.map(|bias| &bias[from..from + lanes]);
        for (row, sums) in sums.iter().enumerate() {
            #[allow(unsafe_code, reason = "tiles are written by several threads at once")]
            // SAFETY: no other task has this tile and this row of this product.
            let out = unsafe { self.out.slice((first + row) * width + from, lanes) };
            match bias {
                None => out.copy_from_slice(&sums[..lanes]),
                Some(bias) => {
                    for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                        *out = sum + bias;
                    }
                }
            }
        }
    }
}

/// A packed tile's bytes.
#[derive(Debug, Clone, Copy)]
struct Tile<'a> {
    headers: &'a [u8],
    codes: &'a [u8],
}

/// Multiplies a tile by a block of activations `[groups, rows]`: `[rows, 16]`.
type TileKernel = fn(Tile<'_>, &[ActivationGroup], &mut [[f32; TILE_ROWS]]);

/// Multiplies two tiles by the only row of activations there is.
type PairKernel = fn([Tile<'_>; 2], &[ActivationGroup], &mut [[f32; TILE_ROWS]; 2]);

/// Where two tiles at once are faster.
fn pair_kernel(isa: Isa, packed: &PackedMatrix) -> Option<PairKernel> {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => with_encoding!(packed.element(), E => Some(avx512::tile_pair::<E>), else None),
        _ => None,
    }
}

fn packed_kernel(isa: Isa, packed: &PackedMatrix) -> TileKernel {
    with_encoding!(
        packed.element(),
        E => match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::tile::<E>,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::tile::<E>,
            _ => scalar::tile::<E>,
        },
        else scalar::nothing
    )
}

/// A superblock of a tile after the other: its header, its codes `[groups, bytes]` and its activations `[groups, rows]`.
#[inline(always)]
fn superblocks<'a, E: Encoding>(
    tile: Tile<'a>,
    activations: &'a [ActivationGroup],
    rows: usize,
) -> impl Iterator<Item = (&'a [u8], &'a [u8], &'a [ActivationGroup])> {
    let headers = tile.headers.chunks_exact(E::HEADER_BYTES);
    let codes = tile.codes.chunks_exact(E::GROUPS * E::CODE_BYTES);
    let activations = activations.chunks_exact(E::GROUPS * rows);
    headers
        .zip(codes)
        .zip(activations)
        .map(|((header, codes), activations)| (header, codes, activations))
}

#[cfg(test)]
#[path = "matmul_tests.rs"]
mod tests;
