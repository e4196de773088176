//! The memory of a step's activations on a device, kept from step to step and made larger as steps need it.

use cwm_kernels::cuda::{Accelerator, DevicePointer, SKINNY_ROWS};

use crate::backend::BackendError;
use crate::backend::cuda::batch::Shape;
use crate::model::ModelSpec;

/// One piece of memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buffer {
    pub(super) at: DevicePointer,
    bytes: u64,
}

/// All of them. Sizes are of the step with the most rows until now.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// What [`crate::backend::cuda::batch::Batch::array`] gives.
    pub(super) inputs: Buffer,
    /// f32 `[rows, hidden]`: the residual stream.
    pub(super) residual: Buffer,
    /// bf16 `[rows, hidden]`.
    pub(super) normed: Buffer,
    /// f32 `[rows, heads + 2 * kv_heads, head_dim]`.
    pub(super) projected: Buffer,
    /// bf16 `[rows, heads, head_dim]`.
    pub(super) queries: Buffer,
    /// bf16 `[rows, heads, head_dim]`.
    pub(super) attended: Buffer,
    /// f32 `[rows, 2, intermediate]`.
    pub(super) gate_up: Buffer,
    /// bf16 `[rows, intermediate]`.
    pub(super) gated: Buffer,
    /// f32 `[few rows, heads, splits, head_dim]`.
    pub(super) partial: Buffer,
    /// f32 `[few rows, heads, splits]`.
    pub(super) partial_weights: Buffer,
    /// bf16: a matrix for the rows that are many.
    pub(super) dequantised: Buffer,
    /// bf16 `[64, hidden]`: the last norm of rows that want logits.
    pub(super) last: Buffer,
    /// f32 `[64, vocabulary]`.
    pub(super) logits: Buffer,
    /// f32 `[positions, head_dim / 2, 2]`: cosines and sines.
    pub(super) angles: Buffer,
    /// u32 `[copies, 2]`: pages that are copied before a step.
    pub(super) copies: Buffer,
}

impl Workspace {
    /// Makes room for a step; whether anything got another address.
    pub(super) fn make_room(
        &mut self,
        device: &mut dyn Accelerator,
        spec: &ModelSpec,
        shape: &Shape,
        input_bytes: usize,
        largest_as_bf16: u64,
    ) -> Result<bool, BackendError> {
        let rows = shape.rows() as u64;
        let [hidden, intermediate, vocabulary] =
            [spec.hidden, spec.intermediate, spec.vocabulary].map(|size| size as u64);
        let head = spec.head_dim as u64;
        let (heads, all_heads) = (spec.heads as u64, (spec.heads + 2 * spec.kv_heads) as u64);
        let splits = shape.few as u64 * heads * shape.full.splits.max(shape.window.splits) as u64;
        let logit_rows = SKINNY_ROWS as u64;
        let needs = [
            (&mut self.inputs, input_bytes as u64),
            (&mut self.residual, rows * hidden * 4),
            (&mut self.normed, rows * hidden * 2),
            (&mut self.projected, rows * all_heads * head * 4),
            (&mut self.queries, rows * heads * head * 2),
            (&mut self.attended, rows * heads * head * 2),
            (&mut self.gate_up, rows * 2 * intermediate * 4),
            (&mut self.gated, rows * intermediate * 2),
            (&mut self.partial, splits * head * 4),
            (&mut self.partial_weights, splits * 4),
            (
                &mut self.dequantised,
                if shape.many > 0 { largest_as_bf16 } else { 0 },
            ),
            (&mut self.last, logit_rows * hidden * 2),
            (&mut self.logits, logit_rows * vocabulary * 4),
        ];
        let mut moved = false;
        for (buffer, bytes) in needs {
            moved |= buffer.make_room(device, bytes)?;
        }
        Ok(moved)
    }

    /// Where there is memory to give back.
    pub(super) fn addresses(&self) -> impl Iterator<Item = DevicePointer> + use<> {
        let all = [
            self.inputs,
            self.residual,
            self.normed,
            self.projected,
            self.queries,
            self.attended,
            self.gate_up,
            self.gated,
            self.partial,
            self.partial_weights,
            self.dequantised,
            self.last,
            self.logits,
            self.angles,
            self.copies,
        ];
        all.into_iter()
            .filter(|buffer| buffer.bytes > 0)
            .map(|buffer| buffer.at)
    }
}

impl Buffer {
    /// Makes it at least so large; whether it got another address, and lost what was in it.
    pub(super) fn make_room(
        &mut self,
        device: &mut dyn Accelerator,
        bytes: u64,
    ) -> Result<bool, BackendError> {
        if bytes <= self.bytes {
            return Ok(false);
        }
        if self.bytes > 0 {
            device.free(self.at);
            *self = Buffer::default();
        }
        // Small ones grow in large steps: they change their size often.
        let bytes = if bytes < 1 << 24 {
            bytes.next_power_of_two()
        } else {
            bytes
        };
        *self = Buffer {
            at: device.allocate(bytes)?,
            bytes,
        };
        Ok(true)
    }
}
