//! The input of products: rows of floats, and the same rows as 8-bit integers for the quantised kernels.

use super::disjoint::Disjoint;
use super::packed::encoding::GROUP_COLUMNS;
use super::{Isa, ThreadPool};

/// Rows whose groups lie side by side, so that a kernel that holds this many reads one stream.
pub(crate) const BLOCK_ROWS: usize = 16;

/// Fewer values than this are not worth waking other threads for.
const PARALLEL_VALUES: usize = 16 * 1024;

/// 32 consecutive values of a row, quantised: one cache line.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, align(64))]
pub(crate) struct ActivationGroup {
    /// Integers from -127 to 127.
    pub(crate) values: [i8; GROUP_COLUMNS],
    /// What one step of the integers stands for: the largest magnitude by 127; NaN when a value is not finite.
    pub(crate) scale: f32,
    /// `scale` times the sum of the integers.
    pub(crate) sum: f32,
    /// Minus the sum of the integers.
    pub(crate) negative_sum: i32,
    /// Minus the sums of the first and the last 16 integers.
    pub(crate) negative_half_sums: [i32; 2],
}

/// Rows of activations `[rows, columns]`, kept in a buffer that is used again.
///
/// Quantisation: for each 32 columns of a row `scale = max |x| / 127` and `q = round_to_even(x * (127 / max |x|))`. It is the same on
/// every instruction set, and a row's result does not depend on the rows beside it.
#[derive(Debug, Default)]
pub struct Activations {
    rows: usize,
    columns: usize,
    floats: Vec<f32>,
    groups: Vec<ActivationGroup>,
    has_floats: bool,
    has_groups: bool,
}

impl Activations {
    /// Takes rows of `columns` floats each. With `quantise`, keeps them as 8-bit integers too, which packed matrices need; `columns`
    /// is then a multiple of 32.
    ///
    /// # Panics
    /// When `values` is not whole rows, or `columns` is not a multiple of 32 where it must be: errors of the calling code.
    pub fn set(&mut self, isa: Isa, pool: &ThreadPool, values: &[f32], columns: usize, quantise: bool) {
        self.floats.clear();
        self.floats.extend_from_slice(values);
        self.has_floats = true;
        self.set_shape(values.len(), columns);
        self.has_groups = quantise;
        if quantise {
            self.quantise(isa, pool, values);
        }
    }

    /// Like [`Activations::set`], but keeps the integers only: for products with packed matrices alone, without a copy of the floats.
    ///
    /// # Panics
    /// As [`Activations::set`].
    pub fn set_quantised(&mut self, isa: Isa, pool: &ThreadPool, values: &[f32], columns: usize) {
        self.floats.clear();
        self.has_floats = false;
        self.has_groups = true;
        self.set_shape(values.len(), columns);
        self.quantise(isa, pool, values);
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How long a row is.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows as floats.
    ///
    /// # Panics
    /// When they were not kept.
    pub(crate) fn floats(&self) -> &[f32] {
        assert!(
            self.has_floats,
            "products with float matrices need activations with floats"
        );
        &self.floats
    }

    /// The groups of up to [`BLOCK_ROWS`] rows from row `BLOCK_ROWS * block` on, `[groups, rows of the block]`.
    ///
    /// # Panics
    /// When the activations were not quantised.
    pub(crate) fn block(&self, block: usize) -> &[ActivationGroup] {
        assert!(
            self.has_groups,
            "products with packed matrices need quantised activations"
        );
        let groups = self.columns / GROUP_COLUMNS;
        let first = block * BLOCK_ROWS;
        let rows = (self.rows - first).min(BLOCK_ROWS);
        &self.groups[first * groups..][..rows * groups]
    }

    fn set_shape(&mut self, values: usize, columns: usize) {
        assert!(
            columns > 0 && values.is_multiple_of(columns),
            "activations are whole rows"
        );
        self.columns = columns;
        self.rows = values / columns;
    }

    fn quantise(&mut self, isa: Isa, pool: &ThreadPool, values: &[f32]) {
        assert!(
            self.columns.is_multiple_of(GROUP_COLUMNS),
            "quantised rows are whole groups of 32"
        );
        let (rows, columns) = (self.rows, self.columns);
        let groups = columns / GROUP_COLUMNS;
        self.groups.clear();
        self.groups.resize(rows * groups, ActivationGroup::default());
        let shared = Disjoint::new(&mut self.groups);
        let block = |index: usize| {
            let first = index * BLOCK_ROWS;
            let count = (rows - first).min(BLOCK_ROWS);
            #[allow(unsafe_code, reason = "blocks are written by several threads at once")]
            // SAFETY: each block's range is its own, and each index runs once.
            let out = unsafe { shared.slice(first * groups, count * groups) };
            quantise_block(isa, &values[first * columns..][..count * columns], columns, out);
        };
        let blocks = rows.div_ceil(BLOCK_ROWS);
        if values.len() < PARALLEL_VALUES {
            (0..blocks).for_each(block);
        } else {
            pool.run(blocks, &block);
        }
    }
}

/// Quantises the rows of one block. The vector versions are the same code, compiled for wider registers: it has no operation that
/// rounds differently there.
fn quantise_block(isa: Isa, values: &[f32], columns: usize, out: &mut [ActivationGroup]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::Avx512 => {
            assert!(Isa::Avx2.is_available(), "this processor lacks {}", isa.name());
            #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
            // SAFETY: the processor has AVX2, by the check above.
            unsafe {
                quantise_avx2(values, columns, out);
            }
        }
        _ => quantise_rows(values, columns, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn quantise_avx2(values: &[f32], columns: usize, out: &mut [ActivationGroup]) {
    quantise_rows(values, columns, out);
}

#[inline(always)]
fn quantise_rows(values: &[f32], columns: usize, out: &mut [ActivationGroup]) {
    let rows = values.len() / columns;
    for (index, row) in values.chunks_exact(columns).enumerate() {
        let groups = row.as_chunks::<GROUP_COLUMNS>().0;
        for (values, group) in groups.iter().zip(out[index..].iter_mut().step_by(rows)) {
            quantise_group(values, group);
        }
    }
}

#[inline(always)]
fn quantise_group(values: &[f32; GROUP_COLUMNS], group: &mut ActivationGroup) {
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, ties to even, in any vector unit; its bits are that integer.
    const ROUNDER: f32 = 12_582_912.0;
    let mut largest = 0u32;
    for value in values {
        // As integers, the bits of magnitudes are in the order of the magnitudes, with infinity and NaN above all numbers.
        largest = largest.max(value.to_bits() & 0x7fff_ffff);
    }
    let largest = f32::from_bits(largest);
    let inverse = 127.0 / largest;
    *group = ActivationGroup::default();
    if !largest.is_finite() {
        group.scale = f32::NAN;
        group.sum = f32::NAN;
        return;
    }
    if !inverse.is_finite() {
        return;
    }
    let mut sums = [0i32; 2];
    for ((values, out), sum) in values
        .as_chunks::<16>()
        .0
        .iter()
        .zip(group.values.as_chunks_mut::<16>().0)
        .zip(&mut sums)
    {
        for (value, out) in values.iter().zip(out) {
            let integer =
                (value * inverse + ROUNDER).to_bits().cast_signed() - ROUNDER.to_bits().cast_signed();
            *out = integer as i8;
            *sum += integer;
        }
    }
    group.scale = largest / 127.0;
    group.sum = group.scale * (sums[0] + sums[1]) as f32;
    group.negative_sum = -(sums[0] + sums[1]);
    group.negative_half_sums = [-sums[0], -sums[1]];
}

#[cfg(test)]
#[path = "activations_tests.rs"]
mod tests;
