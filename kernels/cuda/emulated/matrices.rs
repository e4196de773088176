//! Random matrices in every format, and what they stand for.

use cwm_kernels::ElementType;
use cwm_kernels::blocks::dequantise;
use cwm_kernels::cuda::{WeightFormat, Weights, planes_of_q6_k, planes_of_q8_0};
use half::{bf16, f16};

use crate::support::{Memory, Random, fp8_value};

/// A matrix in the memory of the emulated device, and its values `[rows, columns]`.
pub(crate) struct Matrix {
    parts: [Memory; 4],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn random(format: WeightFormat, rows: usize, columns: usize, random: &mut Random) -> Matrix {
        let (parts, values) = match format {
            WeightFormat::Bf16 => {
                let values = random.bf16s(rows * columns, 0.3);
                (
                    [Memory::of_bf16(&values), nothing(), nothing(), nothing()],
                    values,
                )
            }
            WeightFormat::Fp8 => fp8(rows, columns, random),
            WeightFormat::Int4 => int4(rows, columns, random),
            WeightFormat::Q8_0 => blocks(ElementType::Q8_0, rows, columns, random),
            WeightFormat::Q4K => blocks(ElementType::Q4_K, rows, columns, random),
            WeightFormat::Q6K => blocks(ElementType::Q6_K, rows, columns, random),
        };
        Matrix {
            parts,
            rows,
            columns,
            values,
        }
    }

    pub(crate) fn weights(&self) -> Weights {
        let [codes, upper, scales, block_scales] = &self.parts;
        Weights {
            codes: codes.pointer(),
            upper: upper.pointer(),
            scales: scales.pointer(),
            block_scales: block_scales.pointer(),
            rows: self.rows as u32,
            columns: self.columns as u32,
        }
    }

    /// Of each row of `input` and each row of the matrix: their product, and the product of their magnitudes.
    pub(crate) fn products(&self, input: &[f32]) -> Vec<(f64, f64)> {
        let mut products = Vec::new();
        for x in input.chunks(self.columns) {
            for row in self.values.chunks(self.columns) {
                let terms = x.iter().zip(row).map(|(x, w)| f64::from(*x) * f64::from(*w));
                products.push(terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs())));
            }
        }
        products
    }
}

fn nothing() -> Memory {
    Memory::of_bytes(&[])
}

fn fp8(rows: usize, columns: usize, random: &mut Random) -> ([Memory; 4], Vec<f32>) {
    // Every byte but the two that are no numbers.
    let codes: Vec<u8> = (0..rows * columns)
        .map(|_| random.next() as u8)
        .map(|byte| if byte & 0x7f == 0x7f { byte & 0x83 } else { byte })
        .collect();
    let scales: Vec<f32> = (0..rows).map(|_| random.normal(0.01)).collect();
    let values = codes
        .iter()
        .enumerate()
        .map(|(index, code)| fp8_value(*code) * scales[index / columns]);
    let values = values.collect();
    (
        [
            Memory::of_bytes(&codes),
            nothing(),
            Memory::of_f32(&scales),
            nothing(),
        ],
        values,
    )
}

fn int4(rows: usize, columns: usize, random: &mut Random) -> ([Memory; 4], Vec<f32>) {
    let bytes: Vec<u8> = (0..rows * columns / 2).map(|_| random.next() as u8).collect();
    let groups = columns.div_ceil(128);
    let scales = random.bf16s(rows * groups, 0.05);
    let codes = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let values = codes.enumerate().map(|(index, code)| {
        let scale = scales[index / columns * groups + index % columns / 128];
        (f32::from(code) - 8.0) * scale
    });
    let values = values.collect();
    (
        [
            Memory::of_bytes(&bytes),
            nothing(),
            Memory::of_bf16(&scales),
            nothing(),
        ],
        values,
    )
}

fn blocks(element: ElementType, rows: usize, columns: usize, random: &mut Random) -> ([Memory; 4], Vec<f32>) {
    let size = element.bytes_of(rows * columns).unwrap();
    let mut bytes: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
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
    let mut values = vec![0.0; rows * columns];
    dequantise(element, &bytes, &mut values).unwrap();
    let parts = match element {
        ElementType::Q4_K => [Memory::of_bytes(&bytes), nothing(), nothing(), nothing()],
        ElementType::Q6_K => {
            let planes = planes_of_q6_k(&bytes).unwrap();
            [planes.codes, planes.upper, planes.scales, planes.block_scales]
                .map(|part| Memory::of_bytes(&part))
        }
        _ => {
            let planes = planes_of_q8_0(&bytes).unwrap();
            [planes.codes, planes.upper, planes.scales, planes.block_scales]
                .map(|part| Memory::of_bytes(&part))
        }
    };
    (parts, values)
}

/// Rounded to bf16.
pub(crate) fn rounded(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}
