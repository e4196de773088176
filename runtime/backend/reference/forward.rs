//! The model, formula by formula, for one token.

use crate::backend::reference::{DenseProjection, ReferenceBackend};
use crate::backend::{BackendError, SequenceStep};
use crate::cache::{PageId, PoolKind};
use crate::model::{Attention, ModelSpec, RopeLayout, TokenId};

/// Where a layer's keys and values lie in the pages of a pool.
#[derive(Clone, Copy)]
struct LayerPages {
    pool: PoolKind,
    /// Its number among the layers of the pool.
    layer: usize,
}

impl ReferenceBackend {
    /// Runs all layers for one token: x += attention(norm(x)), then x += feed_forward(norm(x)), layer by layer. Writes the token's
    /// keys and values, and returns x, `[hidden]`.
    pub(super) fn run_token(
        &mut self,
        step: &SequenceStep,
        position: usize,
        token: TokenId,
    ) -> Result<Vec<f32>, BackendError> {
        let mut x = row(&self.weights.embedding, token as usize, self.spec.hidden).to_vec();
        for layer in 0..self.spec.layers.len() {
            let attended = self.attention(layer, step, position, &x)?;
            add(&mut x, &attended);
            let fed = self.feed_forward(layer, &x);
            add(&mut x, &fed);
        }
        Ok(x)
    }

    /// The logits of a token: output * norm(x), `[vocabulary]`.
    pub(super) fn head(&self, x: &[f32]) -> Vec<f32> {
        let normed = rms_norm(x, &self.weights.output_norm, self.spec.norm_epsilon);
        let output = self.weights.output.as_ref().unwrap_or(&self.weights.embedding);
        multiply(output, &normed)
    }

    /// down * (silu(gate * n) . (up * n)), where n = norm(x).
    fn feed_forward(&self, layer: usize, x: &[f32]) -> Vec<f32> {
        let Some(weights) = self.weights.layers.get(layer) else {
            return Vec::new();
        };
        let normed = rms_norm(x, &weights.feed_forward_norm, self.spec.norm_epsilon);
        let gate = multiply(&weights.gate, &normed);
        let up = multiply(&weights.up, &normed);
        let gated: Vec<f32> = gate.iter().zip(&up).map(|(gate, up)| silu(*gate) * up).collect();
        multiply(&weights.down, &gated)
    }

    /// output * (attention of each head over the positions that the layer sees).
    fn attention(
        &mut self,
        layer: usize,
        step: &SequenceStep,
        position: usize,
        x: &[f32],
    ) -> Result<Vec<f32>, BackendError> {
        let head_dim = self.spec.head_dim;
        let Some(weights) = self.weights.layers.get(layer) else {
            return Ok(Vec::new());
        };
        let normed = rms_norm(x, &weights.attention_norm, self.spec.norm_epsilon);
        let mut queries = project(&weights.query, &normed);
        let mut keys = project(&weights.key, &normed);
        let values = project(&weights.value, &normed);
        for head in queries
            .chunks_exact_mut(head_dim)
            .chain(keys.chunks_exact_mut(head_dim))
        {
            rotate(head, position, &self.inverse_frequencies, self.spec.rope.layout);
        }
        let place = layer_pages(&self.spec, layer);
        self.write(place, step, position, &keys, &values)?;
        let first = match self.spec.layers.get(layer).map(|layer| layer.attention) {
            Some(Attention::Window(window)) => (position + 1).saturating_sub(window),
            _ => 0,
        };
        let mut heads = Vec::with_capacity(queries.len());
        for (head, query) in queries.chunks_exact(head_dim).enumerate() {
            let kv_head = head / self.spec.group_size();
            heads.extend(self.attend(place, step, kv_head, query, first..=position)?);
        }
        let Some(weights) = self.weights.layers.get(layer) else {
            return Ok(Vec::new());
        };
        Ok(multiply(&weights.attention_output, &heads))
    }

    /// One head: the mean of the values at `positions`, weighed by softmax(scale * query . key).
    fn attend(
        &self,
        place: LayerPages,
        step: &SequenceStep,
        kv_head: usize,
        query: &[f32],
        positions: std::ops::RangeInclusive<usize>,
    ) -> Result<Vec<f32>, BackendError> {
        let form = self.form();
        let scale = self.spec.attention_scale();
        let mut scores = Vec::new();
        let mut values = Vec::new();
        for position in positions {
            let page = self.page(place.pool, self.page_id(place.pool, step, position)?)?;
            let slot = position % form.page_tokens;
            scores.push(scale * dot(query, &form.key(page, place.layer, kv_head, slot)));
            values.push(form.value(page, place.layer, kv_head, slot));
        }
        let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
        let total: f64 = exponentials.iter().map(|value| f64::from(*value)).sum();
        let mut mean = vec![0.0_f64; self.spec.head_dim];
        for (exponential, value) in exponentials.iter().zip(&values) {
            let share = f64::from(*exponential) / total;
            for (sum, element) in mean.iter_mut().zip(value) {
                *sum += share * f64::from(*element);
            }
        }
        Ok(mean.into_iter().map(|sum| sum as f32).collect())
    }

    /// Puts a position's keys and values, `[kv_heads, head_dim]` each, into its page.
    fn write(
        &mut self,
        place: LayerPages,
        step: &SequenceStep,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), BackendError> {
        let form = self.form();
        let id = self.page_id(place.pool, step, position)?;
        let slot = position % form.page_tokens;
        let page = self.page_to_write(place.pool, id, slot)?;
        let heads = keys
            .chunks_exact(form.head_dim)
            .zip(values.chunks_exact(form.head_dim));
        for (kv_head, (key, value)) in heads.enumerate() {
            form.write(page, place.layer, kv_head, slot, key, value);
        }
        Ok(())
    }

    fn page_id(&self, pool: PoolKind, step: &SequenceStep, position: usize) -> Result<PageId, BackendError> {
        step.page_of(pool, position, self.layout.page_tokens)
            .map_err(BackendError::Plan)
    }
}

/// The layer's number among those that share its pool.
fn layer_pages(spec: &ModelSpec, layer: usize) -> LayerPages {
    let is_full = |index: usize| spec.layers.get(index).map(|layer| layer.attention) == Some(Attention::Full);
    let full = is_full(layer);
    LayerPages {
        pool: if full { PoolKind::Full } else { PoolKind::Window },
        layer: (0..layer).filter(|index| is_full(*index) == full).count(),
    }
}

/// x / sqrt(mean(x^2) + epsilon) * weight (RMSNorm, arXiv:1910.07467).
fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let squares: f64 = x.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    let mean = (squares / x.len() as f64) as f32;
    let scale = 1.0 / (mean + epsilon).sqrt();
    x.iter()
        .zip(weight)
        .map(|(value, weight)| value * scale * weight)
        .collect()
}

/// Rotates pairs (a, b) of a head's elements by `position * inverse_frequency`: (a cos - b sin, b cos + a sin) (RoPE,
/// arXiv:2104.09864). Angles are f32 products, as in the implementations that models are trained with.
fn rotate(head: &mut [f32], position: usize, inverse_frequencies: &[f32], layout: RopeLayout) {
    let half = head.len() / 2;
    for (i, inverse_frequency) in inverse_frequencies.iter().enumerate() {
        let (first, second) = match layout {
            RopeLayout::HalfSplit => (i, i + half),
            RopeLayout::Interleaved => (2 * i, 2 * i + 1),
        };
        let angle = position as f32 * inverse_frequency;
        let (sin, cos) = angle.sin_cos();
        if let Ok([a, b]) = head.get_disjoint_mut([first, second]) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

/// x / (1 + exp(-x)).
fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

/// matrix * x + bias.
fn project(projection: &DenseProjection, x: &[f32]) -> Vec<f32> {
    let mut product = multiply(&projection.matrix, x);
    if let Some(bias) = &projection.bias {
        add(&mut product, bias);
    }
    product
}

/// matrix * x, the matrix row after row, each as long as x.
fn multiply(matrix: &[f32], x: &[f32]) -> Vec<f32> {
    matrix.chunks_exact(x.len()).map(|row| dot(row, x)).collect()
}

/// The sum of products. Four sums run side by side only so that a real model does not take all day.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_fours, a_rest) = a.as_chunks::<4>();
    let (b_fours, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0_f64; 4];
    for (a, b) in a_fours.iter().zip(b_fours) {
        for lane in 0..4 {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest: f64 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    (sums[0] + sums[1] + sums[2] + sums[3] + rest) as f32
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

fn row(matrix: &[f32], row: usize, columns: usize) -> &[f32] {
    matrix.chunks_exact(columns).nth(row).unwrap_or_default()
}
