//! Products of activations and weights.

use super::elementwise::second_axis;
use super::launch::{check, count};
use super::{Artefact, DevicePointer, Kernel, Launch, RecordedLaunch, ShapeError};

const WARPS: usize = 8;
/// Rows, and outputs, of a block of `gemm_bf16`.
const GEMM_BLOCK: usize = 128;
/// What multiplies many rows.
const GEMM: Kernel = Kernel {
    artefact: Artefact::Gemm,
    name: "gemm_bf16",
};
/// Three stages of 32 columns of 128 rows and 128 outputs, in bf16.
const GEMM_SHARED_BYTES: u32 = 3 * 2 * 128 * 32 * 2;

/// How the weights of a matrix are stored on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightFormat {
    /// The upper half of 32-bit floats.
    Bf16,
    /// e4m3 with a scale a row.
    Fp8,
    /// 4-bit integers with a scale for each 128 columns.
    Int4,
    /// GGUF's `Q8_0`, codes and scales apart ([`super::planes_of_q8_0`]).
    Q8_0,
    /// GGUF's `Q4_K`, as it lies in files.
    Q4K,
    /// GGUF's `Q6_K`, its parts apart ([`super::planes_of_q6_k`]).
    Q6K,
}

/// Where the parts of a matrix `[rows, columns]` (outputs, inputs) lie. All addresses are multiples of 16.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Weights {
    /// `[rows, columns]`: bf16, e4m3, 4-bit codes (8 too great, the lower half of a byte first), blocks of `Q4_K`, signed bytes of `Q8_0`, the lower
    /// four bits of `Q6_K`.
    pub codes: DevicePointer,
    /// The upper two bits of `Q6_K`; else null.
    pub upper: DevicePointer,
    /// e4m3: f32 `[rows]`; 4-bit: bf16 `[rows, columns / 128 rounded up]`; `Q8_0`: f16 `[rows, columns / 32]`; `Q6_K`: signed bytes
    /// `[rows, columns / 16]`; else null.
    pub scales: DevicePointer,
    /// `Q6_K`: f16 `[rows, columns / 256]`; else null.
    pub block_scales: DevicePointer,
    /// Outputs.
    pub rows: u32,
    /// Inputs; a multiple of [`WeightFormat::column_step`].
    pub columns: u32,
}

/// What happens to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum Store {
    /// It is stored as f32.
    #[default]
    F32 = 0,
    /// It is added to the f32 that is there: a residual stream.
    AddF32 = 1,
    /// It is rounded to bf16.
    Bf16 = 2,
}

impl Store {
    const ALL: [Store; 3] = [Store::F32, Store::AddF32, Store::Bf16];
}

/// What products take: `out[row, output] = bias[output] + input[row] . weights[output]`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct ProductArguments {
    /// The matrix.
    pub weights: Weights,
    /// `[rows, weights.columns]` of bf16.
    pub input: DevicePointer,
    /// `[weights.rows]` of f32, or null.
    pub bias: DevicePointer,
    /// `[rows, out_stride]` of f32 or bf16; the first `weights.rows` of each row are stored.
    pub out: DevicePointer,
    /// Rows of the input.
    pub rows: u32,
    /// Elements from one row of the result to the next.
    pub out_stride: u32,
    /// What happens to a result.
    pub store: Store,
    /// Fills the struct up; 0.
    pub unused: u32,
}

impl WeightFormat {
    /// All of them.
    pub const ALL: [WeightFormat; 6] = [
        WeightFormat::Bf16,
        WeightFormat::Fp8,
        WeightFormat::Int4,
        WeightFormat::Q8_0,
        WeightFormat::Q4K,
        WeightFormat::Q6K,
    ];

    /// What columns must be a multiple of.
    pub fn column_step(self) -> usize {
        match self {
            WeightFormat::Bf16 | WeightFormat::Fp8 => 16,
            WeightFormat::Int4 | WeightFormat::Q8_0 => 32,
            WeightFormat::Q4K | WeightFormat::Q6K => 256,
        }
    }

    /// The kernels for up to 8, 16, 32 and 64 rows.
    fn skinny(self) -> (Artefact, [&'static str; 4]) {
        match self {
            WeightFormat::Bf16 => (
                Artefact::SkinnyFloat,
                [
                    "skinny_bf16_8",
                    "skinny_bf16_16",
                    "skinny_bf16_32",
                    "skinny_bf16_64",
                ],
            ),
            WeightFormat::Fp8 => (
                Artefact::SkinnyFloat,
                ["skinny_fp8_8", "skinny_fp8_16", "skinny_fp8_32", "skinny_fp8_64"],
            ),
            WeightFormat::Int4 => (
                Artefact::SkinnyInteger,
                [
                    "skinny_int4_8",
                    "skinny_int4_16",
                    "skinny_int4_32",
                    "skinny_int4_64",
                ],
            ),
            WeightFormat::Q8_0 => (
                Artefact::SkinnyInteger,
                [
                    "skinny_q8_0_8",
                    "skinny_q8_0_16",
                    "skinny_q8_0_32",
                    "skinny_q8_0_64",
                ],
            ),
            WeightFormat::Q4K => (
                Artefact::SkinnyBlocks,
                [
                    "skinny_q4_k_8",
                    "skinny_q4_k_16",
                    "skinny_q4_k_32",
                    "skinny_q4_k_64",
                ],
            ),
            WeightFormat::Q6K => (
                Artefact::SkinnyBlocks,
                [
                    "skinny_q6_k_8",
                    "skinny_q6_k_16",
                    "skinny_q6_k_32",
                    "skinny_q6_k_64",
                ],
            ),
        }
    }

    /// The kernel that turns it into bf16, and the columns of its chunks; `None` for what is bf16.
    fn dequantiser(self) -> Option<(&'static str, usize)> {
        match self {
            WeightFormat::Bf16 => None,
            WeightFormat::Fp8 => Some(("dequantise_fp8", 64)),
            WeightFormat::Int4 => Some(("dequantise_int4", 128)),
            WeightFormat::Q8_0 => Some(("dequantise_q8_0", 64)),
            WeightFormat::Q4K => Some(("dequantise_q4_k", 256)),
            WeightFormat::Q6K => Some(("dequantise_q6_k", 128)),
        }
    }

    /// Outputs that a block of a skinny kernel computes.
    fn skinny_features(self, rows: usize) -> usize {
        if rows <= 8 || self == WeightFormat::Q4K {
            16
        } else {
            32
        }
    }
}

/// The most rows that [`ProductArguments::skinny`] takes.
pub const SKINNY_ROWS: usize = 64;

impl ProductArguments {
    /// The launch for 1 to 64 rows. A row's result is the same, bit for bit, whatever the number of rows.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows or too many, or the columns are not as the format wants them.
    pub fn skinny(self, format: WeightFormat) -> Result<Launch<ProductArguments>, ShapeError> {
        let (artefact, names) = format.skinny();
        let rows = self.rows as usize;
        let [up_to_8, up_to_16, up_to_32, up_to_64] = names;
        let name = match rows {
            0..=8 => up_to_8,
            9..=16 => up_to_16,
            17..=32 => up_to_32,
            _ => up_to_64,
        };
        check(
            (1..=SKINNY_ROWS).contains(&rows),
            name,
            "the number of rows",
            rows,
            "between 1 and 64",
        )?;
        self.check(name, format)?;
        let features = format.skinny_features(rows);
        let blocks = (self.weights.rows as usize).div_ceil(features);
        Ok(Launch {
            kernel: Kernel { artefact, name },
            grid: [count(name, "the number of outputs", blocks)?, 1, 1],
            threads: WARPS as u32 * 32,
            shared_bytes: (WARPS * 8 * features * 4) as u32,
            arguments: self,
        })
    }

    /// The launch for any number of rows; the weights are bf16 (others by [`DequantiseArguments`] first).
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or the columns are not a multiple of 16.
    pub fn gemm(self) -> Result<Launch<ProductArguments>, ShapeError> {
        let name = GEMM.name;
        self.check(name, WeightFormat::Bf16)?;
        let rows = (self.rows as usize).div_ceil(GEMM_BLOCK);
        let outputs = (self.weights.rows as usize).div_ceil(GEMM_BLOCK);
        Ok(Launch {
            kernel: GEMM,
            grid: [
                count(name, "the number of rows", rows)?,
                second_axis(name, "the number of outputs", outputs)?,
                1,
            ],
            threads: WARPS as u32 * 32,
            shared_bytes: GEMM_SHARED_BYTES,
            arguments: self,
        })
    }

    /// What [`ProductArguments::gemm`] made a launch of; `None` for every other launch.
    pub(super) fn of_gemm(launch: &RecordedLaunch) -> Option<ProductArguments> {
        if launch.kernel != GEMM {
            return None;
        }
        // The struct's members in their order, two of four bytes a word.
        let words = <[u64; 10]>::try_from(launch.argument.as_slice()).ok()?;
        let [
            codes,
            upper,
            scales,
            block_scales,
            shape,
            input,
            bias,
            out,
            rows,
            store,
        ] = words;
        let [codes, upper, scales, block_scales, input, bias, out] =
            [codes, upper, scales, block_scales, input, bias, out].map(DevicePointer);
        let [[outputs, columns], [rows, out_stride], [store, unused]] = [shape, rows, store].map(halves);
        Some(ProductArguments {
            weights: Weights {
                codes,
                upper,
                scales,
                block_scales,
                rows: outputs,
                columns,
            },
            input,
            bias,
            out,
            rows,
            out_stride,
            store: Store::ALL.into_iter().find(|one| *one as u32 == store)?,
            unused,
        })
    }

    fn check(&self, name: &'static str, format: WeightFormat) -> Result<(), ShapeError> {
        self.weights.check(name, format)?;
        check(
            self.out_stride >= self.weights.rows,
            name,
            "the stride of results",
            self.out_stride as usize,
            "at least the number of outputs",
        )
    }
}

/// The two numbers that lie in a word, in their order in memory.
fn halves(word: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
    [[a, b, c, d], [e, f, g, h]].map(u32::from_ne_bytes)
}

impl Weights {
    fn check(&self, name: &'static str, format: WeightFormat) -> Result<(), ShapeError> {
        let columns = self.columns as usize;
        check(
            columns > 0 && columns.is_multiple_of(format.column_step()),
            name,
            "the number of columns",
            columns,
            "a multiple of 16 (bf16, fp8), 32 (4-bit, Q8_0) or 256 (Q4_K, Q6_K)",
        )
    }
}

/// What the kernels `dequantise_*` take.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct DequantiseArguments {
    /// The matrix.
    pub weights: Weights,
    /// `[weights.rows, weights.columns]` of bf16: each weight by its scale, rounded once.
    pub out: DevicePointer,
}

impl DequantiseArguments {
    /// The launch; `None` when the weights are bf16 already.
    ///
    /// # Errors
    /// [`ShapeError`] when there are no rows, or the columns are not as the format wants them.
    pub fn launch(self, format: WeightFormat) -> Result<Option<Launch<DequantiseArguments>>, ShapeError> {
        let Some((name, chunk)) = format.dequantiser() else {
            return Ok(None);
        };
        self.weights.check(name, format)?;
        let chunks = (self.weights.columns as usize).div_ceil(chunk);
        Ok(Some(Launch {
            kernel: Kernel {
                artefact: Artefact::Gemm,
                name,
            },
            grid: [
                count(
                    name,
                    "the number of rows",
                    (self.weights.rows as usize).div_ceil(16),
                )?,
                second_axis(name, "the number of columns", chunks.div_ceil(WARPS))?,
                1,
            ],
            threads: WARPS as u32 * 32,
            shared_bytes: 0,
            arguments: self,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_a_product_come_out_of_its_launch() {
        for store in Store::ALL {
            let arguments = ProductArguments {
                weights: Weights {
                    codes: DevicePointer(1),
                    upper: DevicePointer(2),
                    scales: DevicePointer(3),
                    block_scales: DevicePointer(4),
                    rows: 5,
                    columns: 16,
                },
                input: DevicePointer(7),
                bias: DevicePointer(u64::MAX),
                out: DevicePointer(9),
                rows: 10,
                out_stride: 11,
                store,
                unused: 0,
            };
            let launch = arguments.gemm().unwrap().record();
            let found = ProductArguments::of_gemm(&launch).unwrap();
            assert_eq!(found.gemm().unwrap().record(), launch);
            assert_eq!(format!("{found:?}"), format!("{arguments:?}"));
            let few = arguments.skinny(WeightFormat::Bf16).unwrap().record();
            assert!(ProductArguments::of_gemm(&few).is_none());
        }
    }
}
