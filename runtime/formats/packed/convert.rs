//! A tensor's rows in another type, a few at a time, on all of the processor's threads.

use std::ops::Range;

use cwm_kernels::ElementType;
use cwm_kernels::blocks::{ScaleError, quantise_row, scale_type, scaled_row_bytes};
use half::bf16;

use crate::formats::tensor::Tensor;

/// Elements that are turned into codes at once.
const CHUNK: usize = 4 << 20;

/// A tensor, and what it becomes.
pub(crate) struct Conversion<'c> {
    pub(crate) tensor: &'c Tensor,
    pub(crate) element: ElementType,
    /// Bytes of a row's codes and scales.
    row: (usize, usize),
}

/// What is wrong with a row.
#[derive(Debug, Clone)]
pub(crate) enum Wrong {
    /// An element is no number, or too large: row and column.
    Value(usize, usize),
    Read(String),
}

impl<'c> Conversion<'c> {
    /// `None` when its rows would be no whole number of bytes.
    pub(crate) fn new(tensor: &'c Tensor, element: ElementType) -> Option<Conversion<'c>> {
        let columns = tensor.columns();
        let plain = || Some((element.bytes_of(columns)?, 0));
        Some(Conversion {
            tensor,
            element,
            row: scaled_row_bytes(element, columns).or_else(plain)?,
        })
    }

    /// The bytes of all codes.
    pub(crate) fn codes(&self) -> usize {
        self.tensor.rows() * self.row.0
    }

    /// The bytes of all scales.
    pub(crate) fn scales(&self) -> usize {
        self.tensor.rows() * self.row.1
    }

    /// Its rows, a few at a time.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        row_chunks(self.tensor)
    }

    /// The codes and scales of some rows.
    pub(crate) fn convert(&self, rows: Range<usize>) -> Result<(Vec<u8>, Vec<u8>), Wrong> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = rows.len().div_ceil(threads).max(1);
        let mut codes = vec![0; rows.len() * self.row.0];
        let mut scales = vec![0; rows.len() * self.row.1];
        let mut results = vec![Ok(()); rows.len().div_ceil(share)];
        let mut code_parts = codes.chunks_mut((share * self.row.0).max(1));
        let mut scale_parts = scales.chunks_mut((share * self.row.1).max(1));
        std::thread::scope(|scope| {
            for (part, result) in results.iter_mut().enumerate() {
                let first = rows.start + part * share;
                let own = first..(first + share).min(rows.end);
                let codes = code_parts.next().unwrap_or_default();
                let scales = scale_parts.next().unwrap_or_default();
                scope.spawn(move || *result = self.rows(own, codes, scales));
            }
        });
        // Of several rows that are wrong the first is told, whichever thread met it.
        results.into_iter().collect::<Result<(), Wrong>>()?;
        Ok((codes, scales))
    }

    fn rows(&self, rows: Range<usize>, codes: &mut [u8], scales: &mut [u8]) -> Result<(), Wrong> {
        let mut values = vec![0.0; self.tensor.columns()];
        let mut scales = scales.chunks_exact_mut(self.row.1.max(1));
        for (row, codes) in rows.zip(codes.chunks_exact_mut(self.row.0.max(1))) {
            let read = self.tensor.read_rows(row, &mut values);
            read.map_err(|error| Wrong::Read(error.to_string()))?;
            if scale_type(self.element).is_none() {
                write_floats(self.element, &values, codes).map_err(|column| Wrong::Value(row, column))?;
                continue;
            }
            let scales = scales.next().unwrap_or_default();
            quantise_row(self.element, &values, codes, scales).map_err(|error| match error {
                ScaleError::NotFinite { column } => Wrong::Value(row, column),
                other => Wrong::Read(other.to_string()),
            })?;
        }
        Ok(())
    }
}

/// The rows of a tensor, a few at a time.
pub(crate) fn row_chunks(tensor: &Tensor) -> impl Iterator<Item = Range<usize>> + use<> {
    let rows = tensor.rows();
    let step = (CHUNK / tensor.columns().max(1)).max(1);
    (0..rows)
        .step_by(step)
        .map(move |row| row..(row + step).min(rows))
}

/// Stores floats; the column of the first that is no number, or too large for 16 bits.
fn write_floats(element: ElementType, values: &[f32], out: &mut [u8]) -> Result<(), usize> {
    if element == ElementType::BF16 {
        for ((column, value), out) in values.iter().enumerate().zip(out.as_chunks_mut::<2>().0) {
            let rounded = bf16::from_f32(*value);
            if !rounded.is_finite() {
                return Err(column);
            }
            *out = rounded.to_le_bytes();
        }
        return Ok(());
    }
    for ((column, value), out) in values.iter().enumerate().zip(out.as_chunks_mut::<4>().0) {
        if !value.is_finite() {
            return Err(column);
        }
        *out = value.to_le_bytes();
    }
    Ok(())
}
