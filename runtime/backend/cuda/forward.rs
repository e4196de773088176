//! The launches of a step, as data: what a step of some shape runs, whatever its tokens are.
//!
//! The residual stream is f32, inputs of products are bf16. Products and attention are computed by kernels for few rows, up to 64 at a time,
//! and by those for many; everything else takes all rows at once.

use cwm_kernels::cuda::{
    CudaPages, DecodeArguments, DequantiseArguments, DevicePointer, EmbeddingArguments, GateArguments,
    NormArguments, NormOutput, PrefillArguments, ProductArguments, RecordedLaunch, RopeArguments,
    SKINNY_ROWS, ShapeError, Store, WeightFormat, Weights as KernelWeights,
};

use crate::backend::cuda::batch::{InputPlaces, PoolPlaces, Shape};
use crate::backend::cuda::matrices::{DeviceLayer, DeviceMatrix, DeviceWeights, MatrixPart};
use crate::backend::cuda::workspace::Workspace;
use crate::cache::PoolKind;
use crate::model::{Attention, ModelSpec, RopeLayout};

/// The pages of one pool on a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct DevicePages {
    pub(super) form: CudaPages,
    /// Where page 0 begins.
    pub(super) base: DevicePointer,
}

/// What the launches of a step are made of.
pub(super) struct Forward<'a> {
    pub(super) spec: &'a ModelSpec,
    pub(super) weights: &'a DeviceWeights,
    pub(super) workspace: &'a Workspace,
    pub(super) full: Option<DevicePages>,
    pub(super) window: Option<DevicePages>,
    shape: Shape,
    places: InputPlaces,
    launches: Vec<RecordedLaunch>,
}

/// Where the products of a matrix go.
struct Target {
    input: DevicePointer,
    out: DevicePointer,
    bias: DevicePointer,
    store: Store,
}

type Done = Result<(), ShapeError>;

impl<'a> Forward<'a> {
    pub(super) fn new(
        spec: &'a ModelSpec,
        weights: &'a DeviceWeights,
        workspace: &'a Workspace,
        pages: [Option<DevicePages>; 2],
        shape: Shape,
    ) -> Forward<'a> {
        let [full, window] = pages;
        Forward {
            spec,
            weights,
            workspace,
            full,
            window,
            places: shape.places().0,
            shape,
            launches: Vec::new(),
        }
    }

    /// From tokens to the residual stream behind the last block.
    pub(super) fn body(mut self) -> Result<Vec<RecordedLaunch>, ShapeError> {
        self.layers()?;
        Ok(self.launches)
    }

    /// The same and the logits of all rows, at most 64, in their order.
    pub(super) fn whole(mut self) -> Result<Vec<RecordedLaunch>, ShapeError> {
        self.layers()?;
        let rows = self.shape.rows();
        self.head(DevicePointer::NULL, rows)?;
        Ok(self.launches)
    }

    /// The logits of some of the rows that want them, at most 64, `first` being the first of them.
    pub(super) fn logits(mut self, first: usize, rows: usize) -> Result<Vec<RecordedLaunch>, ShapeError> {
        let sources = self.input(self.places.logit_rows).offset(first as u64 * 4);
        self.head(sources, rows)?;
        Ok(self.launches)
    }

    fn layers(&mut self) -> Done {
        let spec = self.spec;
        let rows = self.shape.rows();
        let embedding = EmbeddingArguments {
            tokens: self.input(self.places.tokens),
            sampled: DevicePointer::NULL,
            table: self.weights.embedding,
            out: self.workspace.residual.at,
            width: spec.hidden as u32,
            vocabulary: spec.vocabulary as u32,
        };
        self.launches.push(embedding.launch(rows)?.record());
        let (mut full, mut window) = (0, 0);
        for (layer, weights) in spec.layers.iter().zip(&self.weights.layers) {
            let (pool, number, width) = match layer.attention {
                Attention::Full => (PoolKind::Full, &mut full, 0),
                Attention::Window(width) => (PoolKind::Window, &mut window, width),
            };
            self.attend(weights, pool, *number, width)?;
            self.feed_forward(weights)?;
            *number += 1;
        }
        Ok(())
    }

    /// The first half of a block. `number` counts the pool's layers, `window` is 0 without one.
    fn attend(&mut self, weights: &DeviceLayer, pool: PoolKind, number: usize, window: usize) -> Done {
        let pages = match pool {
            PoolKind::Full => self.full,
            PoolKind::Window => self.window,
        };
        // A pool that a layer belongs to has pages.
        let Some(pages) = pages else { return Ok(()) };
        let (spec, buffers) = (self.spec, self.workspace);
        let rows = self.shape.rows();
        self.norm(
            weights.attention_norm,
            DevicePointer::NULL,
            buffers.normed.at,
            rows,
        )?;
        self.product(
            &weights.heads,
            &Target {
                input: buffers.normed.at,
                out: buffers.projected.at,
                bias: weights.heads_bias,
                store: Store::F32,
            },
        )?;
        let places = PoolPlaces::of(&self.places, pool);
        let rope = RopeArguments {
            projected: buffers.projected.at,
            queries: buffers.queries.at,
            pages: pages.base,
            row_pages: self.input(places.row_pages),
            positions: self.input(self.places.positions),
            angles: buffers.angles.at,
            heads: spec.heads as u32,
            interleaved: u32::from(spec.rope.layout == RopeLayout::Interleaved),
            ..RopeArguments::default()
        };
        self.launches
            .push(rope.launch(&pages.form, number, rows)?.record());
        self.attention_of_few(&pages, pool, number, window)?;
        self.attention_of_many(&pages, pool, number, window)?;
        self.product(
            &weights.attention_output,
            &Target {
                input: buffers.attended.at,
                out: buffers.residual.at,
                bias: DevicePointer::NULL,
                store: Store::AddF32,
            },
        )
    }

    fn attention_of_few(
        &mut self,
        pages: &DevicePages,
        pool: PoolKind,
        number: usize,
        window: usize,
    ) -> Done {
        let (shape, buffers) = (*self.shape.pool(pool), self.workspace);
        if shape.few_tiles == 0 {
            return Ok(());
        }
        let places = PoolPlaces::of(&self.places, pool);
        let decode = DecodeArguments {
            queries: buffers.queries.at,
            pages: pages.base,
            tiles: self.input(places.few_tiles),
            table: self.input(places.table),
            partial: buffers.partial.at,
            partial_weights: buffers.partial_weights.at,
            heads: self.spec.heads as u32,
            splits: shape.splits as u32,
            window: window as u32,
            scale: self.spec.attention_scale(),
            ..DecodeArguments::default()
        };
        let launch = decode.launch(&pages.form, number, shape.few_tiles)?;
        self.launches.push(launch.record());
        let positions = self.input(self.places.positions);
        let merge = decode.merge(&pages.form, self.shape.few, positions, buffers.attended.at)?;
        self.launches.push(merge.record());
        Ok(())
    }

    fn attention_of_many(
        &mut self,
        pages: &DevicePages,
        pool: PoolKind,
        number: usize,
        window: usize,
    ) -> Done {
        let (shape, buffers) = (*self.shape.pool(pool), self.workspace);
        if shape.many_tiles == 0 {
            return Ok(());
        }
        let places = PoolPlaces::of(&self.places, pool);
        let prefill = PrefillArguments {
            queries: buffers.queries.at,
            pages: pages.base,
            tiles: self.input(places.many_tiles),
            table: self.input(places.table),
            out: buffers.attended.at,
            heads: self.spec.heads as u32,
            window: window as u32,
            scale: self.spec.attention_scale(),
            ..PrefillArguments::default()
        };
        let launch = prefill.launch(&pages.form, number, shape.many_tiles)?;
        self.launches.push(launch.record());
        Ok(())
    }

    /// The second half of a block.
    fn feed_forward(&mut self, weights: &DeviceLayer) -> Done {
        let buffers = self.workspace;
        let rows = self.shape.rows();
        self.norm(
            weights.feed_forward_norm,
            DevicePointer::NULL,
            buffers.normed.at,
            rows,
        )?;
        self.product(
            &weights.gate_up,
            &Target {
                input: buffers.normed.at,
                out: buffers.gate_up.at,
                bias: DevicePointer::NULL,
                store: Store::F32,
            },
        )?;
        let gate = GateArguments {
            gate_up: buffers.gate_up.at,
            out: buffers.gated.at,
            width: self.spec.intermediate as u32,
            unused: 0,
        };
        self.launches.push(gate.launch(rows)?.record());
        self.product(
            &weights.down,
            &Target {
                input: buffers.gated.at,
                out: buffers.residual.at,
                bias: DevicePointer::NULL,
                store: Store::AddF32,
            },
        )
    }

    /// The logits of at most 64 rows of the residual stream, those that `sources` names, or the first ones.
    fn head(&mut self, sources: DevicePointer, rows: usize) -> Done {
        let (weights, buffers) = (self.weights, self.workspace);
        self.norm(weights.output_norm, sources, buffers.last.at, rows)?;
        let target = Target {
            input: buffers.last.at,
            out: buffers.logits.at,
            bias: DevicePointer::NULL,
            store: Store::F32,
        };
        for part in &weights.output.parts {
            self.product_of_few(part, &weights.output, &target, 0, rows)?;
        }
        Ok(())
    }

    fn norm(
        &mut self,
        weight: DevicePointer,
        sources: DevicePointer,
        out: DevicePointer,
        rows: usize,
    ) -> Done {
        let norm = NormArguments {
            residual: self.workspace.residual.at,
            delta: DevicePointer::NULL,
            weight,
            source_rows: sources,
            out,
            scales: DevicePointer::NULL,
            width: self.spec.hidden as u32,
            epsilon: self.spec.norm_epsilon,
        };
        self.launches.push(norm.launch(NormOutput::Bf16, rows)?.record());
        Ok(())
    }

    /// The products of all rows with a matrix.
    fn product(&mut self, matrix: &DeviceMatrix, target: &Target) -> Done {
        let (few, many) = (self.shape.few, self.shape.many);
        for part in &matrix.parts {
            for first in (0..few).step_by(SKINNY_ROWS) {
                self.product_of_few(part, matrix, target, first, SKINNY_ROWS.min(few - first))?;
            }
            if many > 0 {
                self.product_of_many(part, matrix, target, few, many)?;
            }
        }
        Ok(())
    }

    fn product_of_few(
        &mut self,
        part: &MatrixPart,
        matrix: &DeviceMatrix,
        target: &Target,
        first: usize,
        rows: usize,
    ) -> Done {
        let arguments = arguments(part, part.weights, matrix, target, first, rows);
        self.launches.push(arguments.skinny(part.format)?.record());
        Ok(())
    }

    fn product_of_many(
        &mut self,
        part: &MatrixPart,
        matrix: &DeviceMatrix,
        target: &Target,
        first: usize,
        rows: usize,
    ) -> Done {
        let mut weights = part.weights;
        if part.format != WeightFormat::Bf16 {
            let out = self.workspace.dequantised.at;
            if let Some(launch) = (DequantiseArguments { weights, out }).launch(part.format)? {
                self.launches.push(launch.record());
            }
            weights = KernelWeights {
                codes: out,
                rows: weights.rows,
                columns: weights.columns,
                ..KernelWeights::default()
            };
        }
        let arguments = arguments(part, weights, matrix, target, first, rows);
        self.launches.push(arguments.gemm()?.record());
        Ok(())
    }

    fn input(&self, place: u64) -> DevicePointer {
        self.workspace.inputs.at.offset(place)
    }
}

/// A product of some rows with a part of a matrix.
fn arguments(
    part: &MatrixPart,
    weights: KernelWeights,
    matrix: &DeviceMatrix,
    target: &Target,
    first: usize,
    rows: usize,
) -> ProductArguments {
    let columns = u64::from(weights.columns);
    let (first, stride) = (first as u64, matrix.rows as u64);
    ProductArguments {
        weights,
        input: target.input.offset(first * columns * 2),
        bias: match target.bias {
            DevicePointer::NULL => DevicePointer::NULL,
            bias => bias.offset(part.first as u64 * 4),
        },
        out: target.out.offset((first * stride + part.first as u64) * 4),
        rows: rows as u32,
        out_stride: stride as u32,
        store: target.store,
        unused: 0,
    }
}
