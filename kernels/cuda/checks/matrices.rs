//! Random matrices in every format, and what they stand for.

use half::{bf16, f16};

use super::finding::Finding;
use super::random::Random;
use super::subject::{Memory, Subject, bf16_bytes};
use crate::ElementType;
use crate::blocks::{dequantise, e4m3_to_f32};
use crate::cuda::{Planes, WeightFormat, Weights, planes_of_q6_k, planes_of_q8_0};

/// How many rows of a matrix are made; then they are repeated. A prime, so that no row is the same as one a block or a tile away.
const DISTINCT_ROWS: usize = 509;

/// A matrix in the subject's memory, and its values.
pub(super) struct Matrix<'a> {
    parts: [Option<Memory<'a>>; 4],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// `[columns]` of each row that was made.
    values: Vec<f32>,
}

impl<'a> Matrix<'a> {
    pub(super) fn random(
        subject: &'a Subject,
        format: WeightFormat,
        rows: usize,
        columns: usize,
        random: &mut Random,
    ) -> Result<Matrix<'a>, Finding> {
        let distinct = rows.min(DISTINCT_ROWS);
        let (planes, values) = match format {
            WeightFormat::Bf16 => float(distinct, columns, random),
            WeightFormat::Fp8 => fp8(distinct, columns, random),
            WeightFormat::Int4 => int4(distinct, columns, random),
            WeightFormat::Q8_0 => blocks(ElementType::Q8_0, distinct, columns, random)?,
            WeightFormat::Q4K => blocks(ElementType::Q4_K, distinct, columns, random)?,
            WeightFormat::Q6K => blocks(ElementType::Q6_K, distinct, columns, random)?,
        };
        let part = |bytes: &[u8]| {
            let whole = bytes.len() / distinct * rows;
            let memory = (whole > 0).then(|| Memory::repeated(subject, bytes, whole));
            memory.transpose()
        };
        Ok(Matrix {
            parts: [
                part(&planes.codes)?,
                part(&planes.upper)?,
                part(&planes.scales)?,
                part(&planes.block_scales)?,
            ],
            rows,
            columns,
            values,
        })
    }

    pub(super) fn weights(&self) -> Weights {
        let [codes, upper, scales, block_scales] = self
            .parts
            .each_ref()
            .map(|part| part.as_ref().map(Memory::pointer).unwrap_or_default());
        Weights {
            codes,
            upper,
            scales,
            block_scales,
            rows: self.rows as u32,
            columns: self.columns as u32,
        }
    }

    /// The values of a row.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row % DISTINCT_ROWS * self.columns..][..self.columns]
    }

    /// The product of a row of input and a row of the matrix, and the product of their magnitudes.
    pub(super) fn product(&self, input: &[f32], row: usize) -> (f64, f64) {
        let pairs = input.iter().zip(self.row(row));
        let terms = pairs.map(|(x, w)| f64::from(*x) * f64::from(*w));
        terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
    }
}

fn float(rows: usize, columns: usize, random: &mut Random) -> (Planes, Vec<f32>) {
    let values = random.bf16s(rows * columns, 0.3);
    let planes = Planes {
        codes: bf16_bytes(&values),
        ..Planes::default()
    };
    (planes, values)
}

fn fp8(rows: usize, columns: usize, random: &mut Random) -> (Planes, Vec<f32>) {
    // Every byte but the two that are no numbers.
    let codes: Vec<u8> = random
        .bytes(rows * columns)
        .into_iter()
        .map(|byte| if byte & 0x7f == 0x7f { byte & 0x83 } else { byte })
        .collect();
    let scales: Vec<f32> = (0..rows).map(|_| random.normal(0.01)).collect();
    let values = codes
        .iter()
        .enumerate()
        .map(|(index, code)| e4m3_to_f32(*code) * scales[index / columns]);
    let values = values.collect();
    let planes = Planes {
        codes,
        scales: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        ..Planes::default()
    };
    (planes, values)
}

fn int4(rows: usize, columns: usize, random: &mut Random) -> (Planes, Vec<f32>) {
    let bytes = random.bytes(rows * columns / 2);
    let groups = columns.div_ceil(128);
    let scales = random.bf16s(rows * groups, 0.05);
    let codes = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let values = codes.enumerate().map(|(index, code)| {
        let scale = scales[index / columns * groups + index % columns / 128];
        (f32::from(code) - 8.0) * scale
    });
    let values = values.collect();
    let planes = Planes {
        codes: bytes,
        scales: bf16_bytes(&scales),
        ..Planes::default()
    };
    (planes, values)
}

fn blocks(
    element: ElementType,
    rows: usize,
    columns: usize,
    random: &mut Random,
) -> Result<(Planes, Vec<f32>), Finding> {
    let elements = rows * columns;
    let partial = || Finding::Wrong(format!("{elements} elements are not whole blocks of {element:?}"));
    let mut bytes = random.bytes(element.bytes_of(elements).ok_or_else(partial)?);
    for block in bytes.chunks_mut(element.block_bytes()) {
        let places: &[usize] = match element {
            ElementType::Q4_K => &[0, 2],
            ElementType::Q6_K => &[208],
            _ => &[0],
        };
        for place in places {
            block[*place..place + 2].copy_from_slice(&f16::from_f32(random.normal(0.01)).to_le_bytes());
        }
    }
    let mut values = vec![0.0; elements];
    dequantise(element, &bytes, &mut values).map_err(|error| Finding::Wrong(error.to_string()))?;
    let planes = match element {
        ElementType::Q4_K => Some(Planes {
            codes: bytes,
            ..Planes::default()
        }),
        ElementType::Q6_K => planes_of_q6_k(&bytes),
        _ => planes_of_q8_0(&bytes),
    };
    Ok((planes.ok_or_else(partial)?, values))
}

/// Rounded to bf16.
pub(super) fn rounded(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}
