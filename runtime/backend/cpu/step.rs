//! One step: all rows of all sequences go through the layers as one matrix.

use std::collections::HashMap;

use cwm_kernels::cpu::{
    Activations, AttentionCall, AttentionSequence, Isa, Product, ThreadPool, add, attention, matmul,
    rms_norm, rope, silu_multiply, write_key_value,
};

use crate::backend::cpu::CpuBackend;
use crate::backend::cpu::matrices::{CpuLayer, CpuMatrix};
use crate::backend::cpu::pages::SlotTable;
use crate::backend::cpu::rows::each_row;
use crate::backend::{BackendError, StepPlan};
use crate::cache::PoolKind;
use crate::model::{Attention, TokenId};

/// Activations, kept from step to step. Each is `[rows, width]`.
#[derive(Default)]
pub(super) struct Buffers {
    /// The residual stream.
    hidden: Vec<f32>,
    normed: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    attended: Vec<f32>,
    /// What a block adds to the residual stream.
    delta: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    /// The input of the next product.
    input: Activations,
}

/// What stays the same through all layers of a step.
struct Step<'a> {
    plan: &'a StepPlan,
    /// The position of each row.
    positions: Vec<usize>,
    angles: Angles,
    full: Vec<SlotTable>,
    window: Vec<SlotTable>,
}

/// Cosines and sines of the step's positions.
struct Angles {
    /// Which row of `cos` and `sin` a row of the step takes.
    of_row: Vec<usize>,
    /// `[positions, head_dim / 2]`.
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl CpuBackend {
    /// Runs a plan that has been checked, for the tokens of all its sequences one after another, and returns the logits that it asks
    /// for.
    pub(super) fn run(&mut self, plan: &StepPlan, tokens: &[TokenId]) -> Result<Vec<f32>, BackendError> {
        let positions: Vec<usize> = plan
            .sequences
            .iter()
            .flat_map(|step| (0..step.tokens.len()).map(|index| step.first_position + index))
            .collect();
        let step = Step {
            angles: Angles::new(&positions, &self.inverse_frequencies),
            full: self.pages.resolve(PoolKind::Full, plan, None)?,
            window: self.pages.resolve(PoolKind::Window, plan, self.layout.window)?,
            positions,
            plan,
        };
        self.embed(tokens)?;
        let (mut full, mut window) = (0, 0);
        for layer in 0..self.spec.layers.len() {
            let attention = self.spec.layers.get(layer).map(|layer| layer.attention);
            let (pool, number, width) = match attention {
                Some(Attention::Window(width)) => (PoolKind::Window, &mut window, Some(width)),
                _ => (PoolKind::Full, &mut full, None),
            };
            self.attend(&step, layer, pool, *number, width)?;
            self.feed_forward(layer)?;
            *number += 1;
        }
        self.head(plan)
    }

    /// Puts the tokens' embeddings into the residual stream.
    fn embed(&mut self, tokens: &[TokenId]) -> Result<(), BackendError> {
        let width = self.spec.hidden;
        let embedding = &self.weights.embedding;
        resize(&mut self.buffers.hidden, tokens.len() * width)?;
        for (token, out) in tokens.iter().zip(self.buffers.hidden.chunks_exact_mut(width)) {
            embedding.read_rows(*token as usize, out)?;
        }
        Ok(())
    }

    /// The first half of a block: norm, projections, rotation, attention, and back to the residual stream.
    fn attend(
        &mut self,
        step: &Step<'_>,
        layer: usize,
        pool: PoolKind,
        number: usize,
        window: Option<usize>,
    ) -> Result<(), BackendError> {
        let Some(weights) = self.weights.layers.get(layer) else {
            return Ok(());
        };
        let tools = Tools {
            isa: self.isa,
            pool: &self.pool,
        };
        let buffers = &mut self.buffers;
        tools.norm(buffers, &weights.attention_norm, self.spec.norm_epsilon)?;
        tools.project_heads(buffers, weights)?;
        let (pairs, head_dim) = (self.rope_pairs(), self.spec.head_dim);
        let buffers = &mut self.buffers;
        for (heads, count) in [
            (&mut buffers.queries, self.spec.heads),
            (&mut buffers.keys, self.spec.kv_heads),
        ] {
            each_row(&self.pool, heads, count * head_dim, &|row, heads| {
                let (cos, sin) = step.angles.row(row);
                rope(self.isa, pairs, head_dim, cos, sin, heads);
            });
        }
        self.write(step, pool, number);
        self.attention(step, pool, number, window)?;
        let tools = Tools {
            isa: self.isa,
            pool: &self.pool,
        };
        let Some(weights) = self.weights.layers.get(layer) else {
            return Ok(());
        };
        let buffers = &mut self.buffers;
        let width = self.spec.heads * head_dim;
        tools.multiply(
            &mut buffers.input,
            &buffers.attended,
            width,
            &mut [(&weights.attention_output, None, &mut buffers.delta)],
        )?;
        tools.add(buffers, self.spec.hidden);
        Ok(())
    }

    /// Puts the keys and values of all rows into their pages.
    fn write(&mut self, step: &Step<'_>, pool: PoolKind, number: usize) {
        let form = self.pages.form(pool).clone();
        let width = form.kv_heads * form.head_dim;
        let mut keys = self.buffers.keys.chunks_exact(width);
        let mut values = self.buffers.values.chunks_exact(width);
        let mut positions = step.positions.iter();
        for (sequence, table) in step.plan.sequences.iter().zip(step.tables(pool)) {
            for _ in &sequence.tokens {
                let (Some(key), Some(value), Some(position)) = (keys.next(), values.next(), positions.next())
                else {
                    return;
                };
                let Some(page) = self.pages.page_mut(pool, table, *position) else {
                    continue;
                };
                let slot = position % form.page_tokens;
                write_key_value(self.isa, &form, page, number, slot, key, value);
            }
        }
    }

    /// Attention of all rows over their sequences' pages.
    fn attention(
        &mut self,
        step: &Step<'_>,
        pool: PoolKind,
        number: usize,
        window: Option<usize>,
    ) -> Result<(), BackendError> {
        let width = self.spec.heads * self.spec.head_dim;
        resize(&mut self.buffers.attended, self.buffers.queries.len())?;
        let mut queries = self.buffers.queries.as_slice();
        let mut out = self.buffers.attended.as_mut_slice();
        let mut sequences = Vec::with_capacity(step.plan.sequences.len());
        for (sequence, table) in step.plan.sequences.iter().zip(step.tables(pool)) {
            let values = sequence.tokens.len() * width;
            let (here, rest) = queries.split_at(values.min(queries.len()));
            queries = rest;
            let (out_here, rest) = out.split_at_mut(values.min(out.len()));
            out = rest;
            if sequence.tokens.is_empty() {
                continue;
            }
            sequences.push(AttentionSequence {
                first_position: sequence.first_position,
                queries: here,
                out: out_here,
                first_page: table.first_page,
                tables: self.pages.pages_of(pool, table),
            });
        }
        let call = AttentionCall {
            isa: self.isa,
            pool: &self.pool,
            pages: self.pages.form(pool),
            layer: number,
            heads: self.spec.heads,
            scale: self.spec.attention_scale(),
            window,
        };
        attention(&call, &mut sequences);
        Ok(())
    }

    /// The second half of a block.
    fn feed_forward(&mut self, layer: usize) -> Result<(), BackendError> {
        let Some(weights) = self.weights.layers.get(layer) else {
            return Ok(());
        };
        let tools = Tools {
            isa: self.isa,
            pool: &self.pool,
        };
        let buffers = &mut self.buffers;
        tools.norm(buffers, &weights.feed_forward_norm, self.spec.norm_epsilon)?;
        tools.multiply(
            &mut buffers.input,
            &buffers.normed,
            self.spec.hidden,
            &mut [
                (&weights.gate, None, &mut buffers.gate),
                (&weights.up, None, &mut buffers.up),
            ],
        )?;
        let width = self.spec.intermediate;
        let up = &buffers.up;
        each_row(&self.pool, &mut buffers.gate, width, &|row, gate| {
            if let Some(up) = up.get(row * width..(row + 1) * width) {
                silu_multiply(self.isa, gate, up);
            }
        });
        tools.multiply(
            &mut buffers.input,
            &buffers.gate,
            width,
            &mut [(&weights.down, None, &mut buffers.delta)],
        )?;
        tools.add(buffers, self.spec.hidden);
        Ok(())
    }

    /// The logits of the rows that the plan wants.
    fn head(&mut self, plan: &StepPlan) -> Result<Vec<f32>, BackendError> {
        let width = self.spec.hidden;
        let mut first_rows = Vec::with_capacity(plan.sequences.len());
        let mut rows = 0;
        for sequence in &plan.sequences {
            first_rows.push(rows);
            rows += sequence.tokens.len();
        }
        let wanted = plan.logits.iter().filter_map(|row| {
            let row = first_rows.get(row.sequence)? + row.token;
            self.buffers.hidden.get(row * width..(row + 1) * width)
        });
        let wanted: Vec<f32> = wanted.flatten().copied().collect();
        let mut logits = Vec::new();
        if wanted.is_empty() {
            return Ok(logits);
        }
        self.buffers.hidden = wanted;
        let tools = Tools {
            isa: self.isa,
            pool: &self.pool,
        };
        let buffers = &mut self.buffers;
        tools.norm(buffers, &self.weights.output_norm, self.spec.norm_epsilon)?;
        tools.multiply(
            &mut buffers.input,
            &buffers.normed,
            width,
            &mut [(&self.weights.output, None, &mut logits)],
        )?;
        Ok(logits)
    }
}

/// What every kernel call needs.
#[derive(Clone, Copy)]
struct Tools<'a> {
    isa: Isa,
    pool: &'a ThreadPool,
}

/// A matrix, its bias, and where its products go.
type Target<'a> = (&'a CpuMatrix, Option<&'a [f32]>, &'a mut Vec<f32>);

impl Tools<'_> {
    /// `normed` = norm of the residual stream.
    fn norm(self, buffers: &mut Buffers, weight: &[f32], epsilon: f32) -> Result<(), BackendError> {
        let width = weight.len();
        resize(&mut buffers.normed, buffers.hidden.len())?;
        let hidden = &buffers.hidden;
        each_row(self.pool, &mut buffers.normed, width, &|row, out| {
            if let Some(values) = hidden.get(row * width..(row + 1) * width) {
                rms_norm(self.isa, values, weight, epsilon, out);
            }
        });
        Ok(())
    }

    /// The residual stream += `delta`.
    fn add(self, buffers: &mut Buffers, width: usize) {
        let delta = &buffers.delta;
        each_row(self.pool, &mut buffers.hidden, width, &|row, values| {
            if let Some(delta) = delta.get(row * width..(row + 1) * width) {
                add(self.isa, values, delta);
            }
        });
    }

    /// Queries, keys and values from the normed rows.
    fn project_heads(self, buffers: &mut Buffers, weights: &CpuLayer) -> Result<(), BackendError> {
        let projections = [
            (&weights.query, &mut buffers.queries),
            (&weights.key, &mut buffers.keys),
            (&weights.value, &mut buffers.values),
        ];
        let mut targets =
            projections.map(|(projection, out)| (&projection.matrix, projection.bias.as_deref(), out));
        let width = weights.attention_norm.len();
        self.multiply(&mut buffers.input, &buffers.normed, width, &mut targets)
    }

    /// The products of `values`, `[rows, width]`, with some matrices, in one parallel region.
    fn multiply(
        self,
        input: &mut Activations,
        values: &[f32],
        width: usize,
        targets: &mut [Target<'_>],
    ) -> Result<(), BackendError> {
        let quantise = targets.iter().any(|(matrix, ..)| matrix.is_packed());
        input.set(self.isa, self.pool, values, width, quantise);
        let rows = values.len() / width.max(1);
        let mut products = Vec::with_capacity(targets.len());
        for (matrix, bias, out) in targets {
            let weights = matrix.view()?;
            resize(out, rows * weights.rows())?;
            products.push(Product {
                weights,
                bias: *bias,
                out,
            });
        }
        matmul(self.isa, self.pool, input, &mut products);
        Ok(())
    }
}

impl Step<'_> {
    fn tables(&self, pool: PoolKind) -> &[SlotTable] {
        match pool {
            PoolKind::Full => &self.full,
            PoolKind::Window => &self.window,
        }
    }
}

impl Angles {
    /// The angles of each distinct position: f32 products, as in the implementations that models are trained with.
    fn new(positions: &[usize], inverse_frequencies: &[f32]) -> Angles {
        let mut places = HashMap::new();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        let mut place = |position: usize| {
            let next = places.len();
            *places.entry(position).or_insert_with(|| {
                for frequency in inverse_frequencies {
                    let (s, c) = (position as f32 * frequency).sin_cos();
                    cos.push(c);
                    sin.push(s);
                }
                next
            })
        };
        Angles {
            of_row: positions.iter().map(|position| place(*position)).collect(),
            cos,
            sin,
            half: inverse_frequencies.len(),
        }
    }

    fn row(&self, row: usize) -> (&[f32], &[f32]) {
        let place = self.of_row.get(row).copied().unwrap_or_default();
        let range = place * self.half..(place + 1) * self.half;
        (
            self.cos.get(range.clone()).unwrap_or_default(),
            self.sin.get(range).unwrap_or_default(),
        )
    }
}

/// Makes room for `len` values, whatever they are.
fn resize(values: &mut Vec<f32>, len: usize) -> Result<(), BackendError> {
    values.truncate(len);
    values
        .try_reserve_exact(len - values.len())
        .map_err(|_| BackendError::OutOfMemory {
            what: "the activations of a step",
            bytes: len * size_of::<f32>(),
        })?;
    values.resize(len, 0.0);
    Ok(())
}
