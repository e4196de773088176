//! Random weights of a model's shape, made on a device: to measure how fast a model is whose weights are not at hand.
//!
//! A block of random bytes is written again and again, so that the host needs no room for a model. Products of such weights are finite, and
//! mean nothing.

use std::path::Path;

use cwm_kernels::ElementType;
use cwm_kernels::KvElement;
use cwm_kernels::cuda::checks::Random;
use cwm_kernels::cuda::{Accelerator, DeviceError, DevicePointer, Weights as KernelWeights};
use half::bf16;

use crate::backend::cuda::CudaBackend;
use crate::backend::cuda::backend::{cache_bytes, page_form};
use crate::backend::cuda::matrices::{
    DeviceLayer, DeviceMatrix, DeviceWeights, MatrixPart, format_of, plane_row_bytes,
};
use crate::backend::weights::LoadError;
use crate::cache::PageLayout;
use crate::model::{LayerTensor, ModelSpec, TensorRole, WeightFormat};

/// The most bytes that are written at once.
const BLOCK_BYTES: usize = 32 << 20;
/// About how large weights, keys and values are.
const DEVIATION: f32 = 0.02;

impl CudaBackend {
    /// A model of that shape with random weights, and pages that hold small numbers from the beginning. Pages take at most `most_page_bytes`, and no
    /// more than is left. Norms are ones, and there are no biases.
    ///
    /// # Errors
    /// Pages or shapes that no kernel is made for, too little memory, or a device that fails.
    pub(crate) fn random(
        spec: ModelSpec,
        layout: PageLayout,
        format: WeightFormat,
        mut device: Box<dyn Accelerator>,
        most_page_bytes: u64,
    ) -> Result<CudaBackend, LoadError> {
        let form = page_form(Path::new("random weights"), &spec, &layout)?;
        let mut maker = Maker {
            device: device.as_mut(),
            random: Random::new(1),
            blocks: Vec::new(),
            allocated: Vec::new(),
        };
        let weights = maker.weights(&spec, format)?;
        let allocated = maker.allocated;
        let left = cache_bytes(device.as_mut(), &form, None)?;
        let bytes = cache_bytes(device.as_mut(), &form, Some(most_page_bytes))?.min(left);
        let element = match layout.element {
            KvElement::E4M3 => ElementType::E4M3,
            _ => ElementType::BF16,
        };
        let mut backend = CudaBackend::with_weights(spec, layout, form, device, (weights, allocated), bytes)?;
        // The last that was allocated is the pages' memory.
        if let Some(pages) = backend.allocated.last().copied() {
            let bytes = backend.arena.bytes();
            let block = block_of(element, 0, bytes, &mut Random::new(2));
            write_again(backend.device.as_mut(), pages, bytes, &block)?;
        }
        Ok(backend)
    }
}

struct Maker<'d> {
    device: &'d mut dyn Accelerator,
    random: Random,
    /// What planes are filled with, by the element and the number of the plane.
    blocks: Vec<(ElementType, usize, Vec<u8>)>,
    allocated: Vec<DevicePointer>,
}

impl Maker<'_> {
    fn weights(&mut self, spec: &ModelSpec, format: WeightFormat) -> Result<DeviceWeights, DeviceError> {
        let embedding = self.matrix(spec, format, &[TensorRole::Embedding])?;
        let layers = (0..spec.layers.len()).map(|layer| self.layer(spec, format, layer));
        let layers = layers.collect::<Result<_, _>>()?;
        let output = self.matrix(spec, format, &[TensorRole::Output])?;
        let codes = embedding.parts.first().map(|part| part.weights.codes);
        Ok(DeviceWeights {
            embedding: codes.unwrap_or(DevicePointer::NULL),
            layers,
            output_norm: self.ones(spec.hidden)?,
            output,
        })
    }

    fn layer(
        &mut self,
        spec: &ModelSpec,
        format: WeightFormat,
        layer: usize,
    ) -> Result<DeviceLayer, DeviceError> {
        let role = |tensor| TensorRole::Layer(layer, tensor);
        let heads = [LayerTensor::Query, LayerTensor::Key, LayerTensor::Value].map(role);
        let gate_up = [LayerTensor::Gate, LayerTensor::Up].map(role);
        Ok(DeviceLayer {
            attention_norm: self.ones(spec.hidden)?,
            heads: self.matrix(spec, format, &heads)?,
            heads_bias: DevicePointer::NULL,
            attention_output: self.matrix(spec, format, &[role(LayerTensor::AttentionOutput)])?,
            feed_forward_norm: self.ones(spec.hidden)?,
            gate_up: self.matrix(spec, format, &gate_up)?,
            down: self.matrix(spec, format, &[role(LayerTensor::Down)])?,
        })
    }

    /// One matrix of the rows of all roles, which have the same columns.
    fn matrix(
        &mut self,
        spec: &ModelSpec,
        format: WeightFormat,
        roles: &[TensorRole],
    ) -> Result<DeviceMatrix, DeviceError> {
        let (mut rows, mut columns, mut element) = (0, 0, ElementType::BF16);
        for role in roles {
            if let [outputs, inputs] = spec.shape(*role).as_slice() {
                (rows, columns) = (rows + outputs, *inputs);
                element = format.element(spec, *role);
            }
        }
        let mut planes = [DevicePointer::NULL; 4];
        for (number, row) in plane_row_bytes(element, columns).into_iter().enumerate() {
            if row > 0 {
                planes[number] = self.plane(element, number, (rows * row) as u64)?;
            }
        }
        let [codes, upper, scales, block_scales] = planes;
        let weights = KernelWeights {
            codes,
            upper,
            scales,
            block_scales,
            rows: rows as u32,
            columns: columns as u32,
        };
        let part = MatrixPart {
            format: format_of(element),
            weights,
            first: 0,
        };
        Ok(DeviceMatrix {
            parts: vec![part],
            rows,
        })
    }

    fn plane(
        &mut self,
        element: ElementType,
        number: usize,
        bytes: u64,
    ) -> Result<DevicePointer, DeviceError> {
        let memory = self.allocate(bytes)?;
        let enough = (bytes as usize).min(BLOCK_BYTES);
        let known = self
            .blocks
            .iter()
            .position(|(of, plane, block)| *of == element && *plane == number && block.len() >= enough);
        let at = match known {
            Some(at) => at,
            None => {
                let block = block_of(element, number, bytes, &mut self.random);
                self.blocks.push((element, number, block));
                self.blocks.len() - 1
            }
        };
        if let Some((_, _, block)) = self.blocks.get(at) {
            write_again(self.device, memory, bytes, block)?;
        }
        Ok(memory)
    }

    fn ones(&mut self, count: usize) -> Result<DevicePointer, DeviceError> {
        let bytes: Vec<u8> = std::iter::repeat_n(1.0_f32.to_le_bytes(), count)
            .flatten()
            .collect();
        let memory = self.allocate(bytes.len() as u64)?;
        self.device.write(memory, &bytes)?;
        Ok(memory)
    }

    fn allocate(&mut self, bytes: u64) -> Result<DevicePointer, DeviceError> {
        let memory = self.device.allocate(bytes)?;
        self.allocated.push(memory);
        Ok(memory)
    }
}

/// Random contents of a plane: as many bytes as it takes, but one block at most. Plane 0 holds codes, plane 2 scales.
fn block_of(element: ElementType, plane: usize, bytes: u64, random: &mut Random) -> Vec<u8> {
    let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(BLOCK_BYTES);
    // Codes of e4m3 are some 150 and those of 4 bits some 4.6, before they are scaled.
    match (element, plane) {
        (ElementType::E4M3, 0) => {
            let mut codes = random.bytes(count);
            // No NaN.
            for code in codes.iter_mut().filter(|code| **code & 0x7f == 0x7f) {
                *code &= 0xbf;
            }
            codes
        }
        (ElementType::I4, 0) => random.bytes(count),
        (ElementType::E4M3, _) => scales(count / 4, DEVIATION / 150.0, random)
            .flat_map(f32::to_le_bytes)
            .collect(),
        (ElementType::I4, _) => scales(count / 2, DEVIATION / 4.6, random)
            .flat_map(|scale| bf16::from_f32(scale).to_le_bytes())
            .collect(),
        _ => (0..count / 2)
            .flat_map(|_| bf16::from_f32(random.normal(DEVIATION)).to_le_bytes())
            .collect(),
    }
}

/// Numbers from half to one and a half of `about`.
fn scales(count: usize, about: f32, random: &mut Random) -> impl Iterator<Item = f32> {
    (0..count).map(move |_| about * (0.5 + random.below(1024) as f32 / 1024.0))
}

/// Fills memory with a block, over and over.
fn write_again(
    device: &mut dyn Accelerator,
    memory: DevicePointer,
    bytes: u64,
    block: &[u8],
) -> Result<(), DeviceError> {
    let mut at = 0;
    while at < bytes && !block.is_empty() {
        let count = block.len().min(usize::try_from(bytes - at).unwrap_or(usize::MAX));
        device.write(memory.offset(at), block.get(..count).unwrap_or(block))?;
        at += count as u64;
    }
    Ok(())
}
