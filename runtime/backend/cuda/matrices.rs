//! A model's weights in a device's memory, in the formats that kernels read.
//!
//! Matrices that have an input in common (queries, keys and values; gate and up) become one, or one for each format that occurs. What has no
//! kernels of its own becomes bf16. Rows go over a few at a time, so that the host needs no room for a model.

use std::ops::Range;

use cwm_kernels::ElementType;
use cwm_kernels::cuda::{
    Accelerator, DevicePointer, Planes, WeightFormat, Weights as KernelWeights, planes_of_q6_k,
    planes_of_q8_0,
};

use crate::backend::weights::{LayerWeights, LoadError, Projection, Weights, unusable};
use crate::formats::{Conversion, Tensor, Wrong, row_chunks};
use crate::model::WeightFormat as Requested;

/// All weights of a model.
pub(super) struct DeviceWeights {
    /// bf16 `[vocabulary, hidden]`.
    pub(super) embedding: DevicePointer,
    pub(super) layers: Vec<DeviceLayer>,
    /// f32 `[hidden]`.
    pub(super) output_norm: DevicePointer,
    pub(super) output: DeviceMatrix,
}

/// The weights of one block.
pub(super) struct DeviceLayer {
    pub(super) attention_norm: DevicePointer,
    /// `[(heads + 2 * kv_heads) * head_dim, hidden]`.
    pub(super) heads: DeviceMatrix,
    /// f32, one for each output of `heads`; or null.
    pub(super) heads_bias: DevicePointer,
    pub(super) attention_output: DeviceMatrix,
    pub(super) feed_forward_norm: DevicePointer,
    /// `[2 * intermediate, hidden]`: gates, then what they gate.
    pub(super) gate_up: DeviceMatrix,
    pub(super) down: DeviceMatrix,
}

/// A matrix, in parts if its rows are of several formats.
pub(super) struct DeviceMatrix {
    pub(super) parts: Vec<MatrixPart>,
    /// Outputs.
    pub(super) rows: usize,
}

/// Rows of a matrix that are of one format.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatrixPart {
    pub(super) format: WeightFormat,
    pub(super) weights: KernelWeights,
    /// The first of its outputs.
    pub(super) first: usize,
}

impl MatrixPart {
    /// The bytes that it takes as bf16.
    pub(super) fn bf16_bytes(&self) -> u64 {
        u64::from(self.weights.rows) * u64::from(self.weights.columns) * 2
    }
}

impl DeviceWeights {
    /// The most bytes that a matrix takes when it is turned into bf16; 0 when all are.
    pub(super) fn largest_as_bf16(&self) -> u64 {
        let of_layers = self.layers.iter();
        let matrices =
            of_layers.flat_map(|layer| [&layer.heads, &layer.attention_output, &layer.gate_up, &layer.down]);
        let parts = matrices.flat_map(|matrix| &matrix.parts);
        parts
            .filter(|part| part.format != WeightFormat::Bf16)
            .map(MatrixPart::bf16_bytes)
            .max()
            .unwrap_or(0)
    }
}

impl Weights {
    /// The bytes that all of it takes on a device.
    pub(super) fn bytes_on_device(&self, requested: Option<Requested>) -> u64 {
        let bytes = |tensor: &Tensor, element| -> u64 {
            let row: usize = plane_row_bytes(element, tensor.columns()).iter().sum();
            tensor.rows() as u64 * row as u64
        };
        let matrix = |tensor: &Tensor| bytes(tensor, target(tensor, requested));
        let layer = |layer: &LayerWeights| -> u64 {
            [
                &layer.query.matrix,
                &layer.key.matrix,
                &layer.value.matrix,
                &layer.attention_output,
                &layer.gate,
                &layer.up,
                &layer.down,
            ]
            .into_iter()
            .map(matrix)
            .sum()
        };
        let (head, requested) = head_target(self, requested);
        let output = match head {
            Head::Embedding => 0,
            Head::Own => bytes(&self.output, target(&self.output, requested)),
        };
        self.layers.iter().map(layer).sum::<u64>() + bytes(&self.embedding, ElementType::BF16) + output
    }
}

/// What the last product is computed with.
enum Head {
    /// The embedding, as it is on the device.
    Embedding,
    /// A matrix of its own.
    Own,
}

/// The last product decides between tokens, and is read once a step: never less than 8 bits, and a tied head is as the embedding is.
fn head_target(weights: &Weights, requested: Option<Requested>) -> (Head, Option<Requested>) {
    let tied = std::ptr::eq(weights.output.bytes(), weights.embedding.bytes());
    let requested = match requested {
        _ if tied => None,
        Some(Requested::Int4) => Some(Requested::Fp8),
        requested => requested,
    };
    if tied && target(&weights.output, None) == ElementType::BF16 {
        return (Head::Embedding, None);
    }
    (Head::Own, requested)
}

/// Puts weights into a device's memory.
pub(super) struct Loader<'d> {
    device: &'d mut dyn Accelerator,
    /// What matrices of floats are rounded to; as they are when `None`.
    requested: Option<Requested>,
    /// All addresses that were allocated.
    pub(super) allocated: Vec<DevicePointer>,
}

impl<'d> Loader<'d> {
    pub(super) fn new(device: &'d mut dyn Accelerator, requested: Option<Requested>) -> Loader<'d> {
        Loader {
            device,
            requested,
            allocated: Vec::new(),
        }
    }

    pub(super) fn weights(&mut self, weights: &Weights) -> Result<DeviceWeights, LoadError> {
        let embedding = self.upload(&[(&weights.embedding, ElementType::BF16)])?;
        let layers = weights.layers.iter().map(|layer| self.layer(layer));
        let layers = layers.collect::<Result<_, _>>()?;
        let output = self.output(weights, embedding)?;
        Ok(DeviceWeights {
            embedding: embedding.codes,
            layers,
            output_norm: self.floats(&weights.output_norm)?,
            output,
        })
    }

    fn output(&mut self, weights: &Weights, embedding: KernelWeights) -> Result<DeviceMatrix, LoadError> {
        let (head, requested) = head_target(weights, self.requested);
        if let Head::Own = head {
            return self.matrix_as(&[&weights.output], requested);
        }
        let part = MatrixPart {
            format: WeightFormat::Bf16,
            weights: embedding,
            first: 0,
        };
        Ok(DeviceMatrix {
            parts: vec![part],
            rows: embedding.rows as usize,
        })
    }

    fn layer(&mut self, layer: &LayerWeights) -> Result<DeviceLayer, LoadError> {
        let projections = [&layer.query, &layer.key, &layer.value];
        let biases = projections.map(|projection: &Projection| projection.bias.clone());
        let bias: Vec<f32> = biases.into_iter().flatten().flatten().collect();
        Ok(DeviceLayer {
            attention_norm: self.floats(&layer.attention_norm)?,
            heads: self.matrix(&projections.map(|projection| &projection.matrix))?,
            heads_bias: if bias.is_empty() {
                DevicePointer::NULL
            } else {
                self.floats(&bias)?
            },
            attention_output: self.matrix(&[&layer.attention_output])?,
            feed_forward_norm: self.floats(&layer.feed_forward_norm)?,
            gate_up: self.matrix(&[&layer.gate, &layer.up])?,
            down: self.matrix(&[&layer.down])?,
        })
    }

    fn matrix(&mut self, tensors: &[&Tensor]) -> Result<DeviceMatrix, LoadError> {
        self.matrix_as(tensors, self.requested)
    }

    /// The rows of some tensors with the same columns, one tensor after another.
    fn matrix_as(
        &mut self,
        tensors: &[&Tensor],
        requested: Option<Requested>,
    ) -> Result<DeviceMatrix, LoadError> {
        let targets: Vec<(&Tensor, ElementType)> = tensors
            .iter()
            .map(|tensor| (*tensor, target(tensor, requested)))
            .collect();
        let mut matrix = DeviceMatrix {
            parts: Vec::new(),
            rows: 0,
        };
        for same in targets.chunk_by(|(_, left), (_, right)| left == right) {
            let Some((_, element)) = same.first() else {
                continue;
            };
            let weights = self.upload(same)?;
            matrix.parts.push(MatrixPart {
                format: format_of(*element),
                weights,
                first: matrix.rows,
            });
            matrix.rows += weights.rows as usize;
        }
        Ok(matrix)
    }

    /// Rows of some tensors, all to be of the same type, in planes that are one piece each.
    fn upload(&mut self, tensors: &[(&Tensor, ElementType)]) -> Result<KernelWeights, LoadError> {
        let columns = tensors.first().map_or(0, |(tensor, _)| tensor.columns());
        let rows: usize = tensors.iter().map(|(tensor, _)| tensor.rows()).sum();
        let Some((first, element)) = tensors.first() else {
            return Ok(KernelWeights::default());
        };
        let step = format_of(*element).column_step();
        if !columns.is_multiple_of(step) {
            let reason = format!("kernels want a multiple of {step} columns, and it has {columns}");
            return Err(unusable(first, reason));
        }
        let sizes = plane_row_bytes(*element, columns);
        let mut planes = [DevicePointer::NULL; 4];
        for (plane, size) in planes.iter_mut().zip(sizes) {
            if size > 0 {
                *plane = self.allocate((size * rows) as u64)?;
            }
        }
        let count = |number: usize| {
            u32::try_from(number).map_err(|_| unusable(first, format!("it is too large: {rows} x {columns}")))
        };
        let weights = KernelWeights {
            codes: planes[0],
            upper: planes[1],
            scales: planes[2],
            block_scales: planes[3],
            rows: count(rows)?,
            columns: count(columns)?,
        };
        for (tensor, element) in tensors {
            for chunk in row_chunks(tensor) {
                let end = chunk.end;
                let parts = planes_of(tensor, *element, chunk)?;
                let parts = [parts.codes, parts.upper, parts.scales, parts.block_scales];
                for (plane, bytes) in planes.iter_mut().zip(parts) {
                    if !bytes.is_empty() {
                        self.device.write(*plane, &bytes)?;
                        *plane = plane.offset(bytes.len() as u64);
                    }
                }
                tensor.forget_rows(end);
            }
        }
        Ok(weights)
    }

    fn floats(&mut self, values: &[f32]) -> Result<DevicePointer, LoadError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let memory = self.allocate(bytes.len() as u64)?;
        self.device.write(memory, &bytes)?;
        Ok(memory)
    }

    fn allocate(&mut self, bytes: u64) -> Result<DevicePointer, LoadError> {
        let memory = self.device.allocate(bytes)?;
        self.allocated.push(memory);
        Ok(memory)
    }
}

/// What a matrix becomes on a device: the format that was asked for, or the next better one that has kernels for so many columns.
fn target(tensor: &Tensor, requested: Option<Requested>) -> ElementType {
    let wanted: &[ElementType] = match (tensor.element.is_quantised(), requested) {
        (false, Some(Requested::Fp8)) => &[ElementType::E4M3],
        (false, Some(Requested::Int4)) => &[ElementType::I4, ElementType::E4M3],
        _ => &[tensor.element],
    };
    let suits = |element: &&ElementType| {
        let format = format_of(**element);
        format != WeightFormat::Bf16 && tensor.columns().is_multiple_of(format.column_step())
    };
    wanted.iter().find(suits).copied().unwrap_or(ElementType::BF16)
}

pub(super) fn format_of(element: ElementType) -> WeightFormat {
    match element {
        ElementType::E4M3 => WeightFormat::Fp8,
        ElementType::I4 => WeightFormat::Int4,
        ElementType::Q8_0 => WeightFormat::Q8_0,
        ElementType::Q4_K => WeightFormat::Q4K,
        ElementType::Q6_K => WeightFormat::Q6K,
        _ => WeightFormat::Bf16,
    }
}

/// The bytes that a row takes in each plane: codes, upper bits, scales, scales of blocks.
pub(super) fn plane_row_bytes(element: ElementType, columns: usize) -> [usize; 4] {
    match element {
        ElementType::E4M3 => [columns, 0, 4, 0],
        ElementType::I4 => [columns / 2, 0, 2 * columns.div_ceil(128), 0],
        ElementType::Q8_0 => [columns, 0, columns / 16, 0],
        ElementType::Q4_K => [columns / 256 * element.block_bytes(), 0, 0, 0],
        ElementType::Q6_K => [columns / 2, columns / 4, columns / 16, columns / 128],
        _ => [columns * 2, 0, 0, 0],
    }
}

/// Some rows of a tensor as planes.
fn planes_of(tensor: &Tensor, element: ElementType, rows: Range<usize>) -> Result<Planes, LoadError> {
    let missing = || unusable(tensor, format!("it has no rows {} to {}", rows.start, rows.end));
    let part = |bytes: &'_ [u8]| {
        let row = bytes.len().checked_div(tensor.rows())?;
        bytes.get(rows.start * row..rows.end * row).map(<[u8]>::to_vec)
    };
    let codes = || part(tensor.bytes()).ok_or_else(missing);
    if tensor.element != element {
        let conversion = Conversion::new(tensor, element)
            .ok_or_else(|| unusable(tensor, "its rows are no whole number of bytes".to_owned()))?;
        let (codes, scales) = conversion.convert(rows.clone()).map_err(|wrong| match wrong {
            Wrong::Value(row, column) => unusable(
                tensor,
                format!("element {column} of row {row} is no number, or too large for 16 bits"),
            ),
            Wrong::Read(reason) => unusable(tensor, reason),
        })?;
        return Ok(Planes {
            codes,
            scales,
            ..Planes::default()
        });
    }
    let whole = || unusable(tensor, "its bytes are no whole blocks".to_owned());
    match element {
        ElementType::E4M3 | ElementType::I4 => Ok(Planes {
            codes: codes()?,
            scales: part(tensor.scales()).ok_or_else(missing)?,
            ..Planes::default()
        }),
        ElementType::Q8_0 => planes_of_q8_0(&codes()?).ok_or_else(whole),
        ElementType::Q6_K => planes_of_q6_k(&codes()?).ok_or_else(whole),
        _ => Ok(Planes {
            codes: codes()?,
            ..Planes::default()
        }),
    }
}
