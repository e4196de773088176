//! The reference back end: scalar code, one token at a time, to be read against the formulas of the architecture.
//!
//! Weights are dequantised to f32 when the model is loaded. Values are f32; sums over a row are taken in f64 and rounded once, so
//! that no order of summation is part of the definition. Nothing here uses vector kernels: it is what they are compared with.

mod forward;
mod pages;

use std::collections::HashMap;

use crate::backend::weights::{LayerWeights, LoadError, Weights, check_layout, to_f32};
use crate::backend::{Backend, BackendError, StepOutput, StepPlan};
use crate::cache::{PageCopy, PageId, PageLayout, PoolKind};
use crate::formats::Checkpoint;
use crate::model::ModelSpec;
use pages::PageForm;

/// A model in plain f32 arithmetic.
pub struct ReferenceBackend {
    spec: ModelSpec,
    layout: PageLayout,
    weights: DenseWeights,
    /// Radians a position, `[head_dim / 2]`.
    inverse_frequencies: Vec<f32>,
    pages: HashMap<(PoolKind, PageId), Vec<u8>>,
}

/// All weights as f32, matrices row after row.
struct DenseWeights {
    embedding: Vec<f32>,
    layers: Vec<DenseLayer>,
    output_norm: Vec<f32>,
    /// `None`: the embedding.
    output: Option<Vec<f32>>,
}

/// The weights of one block.
struct DenseLayer {
    attention_norm: Vec<f32>,
    query: DenseProjection,
    key: DenseProjection,
    value: DenseProjection,
    attention_output: Vec<f32>,
    feed_forward_norm: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
}

/// A matrix, and what is added to its products.
struct DenseProjection {
    matrix: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl ReferenceBackend {
    /// Dequantises a model.
    ///
    /// # Errors
    /// A tensor that is missing, misshapen or unreadable, pages that do not suit the model, or too little memory.
    pub fn load(checkpoint: &Checkpoint, layout: PageLayout) -> Result<ReferenceBackend, LoadError> {
        check_layout(checkpoint, &layout)?;
        let weights = Weights::of(checkpoint)?;
        let spec = checkpoint.spec.clone();
        Ok(ReferenceBackend {
            inverse_frequencies: spec.rope.inverse_frequencies(spec.head_dim),
            weights: DenseWeights {
                embedding: to_f32(&weights.embedding)?,
                output: (!spec.tied_head).then(|| to_f32(&weights.output)).transpose()?,
                layers: weights
                    .layers
                    .into_iter()
                    .map(DenseLayer::of)
                    .collect::<Result<_, _>>()?,
                output_norm: weights.output_norm,
            },
            spec,
            layout,
            pages: HashMap::new(),
        })
    }

    fn form(&self) -> PageForm {
        PageForm {
            page_tokens: self.layout.page_tokens,
            kv_heads: self.layout.kv_heads,
            head_dim: self.layout.head_dim,
            element: self.layout.element,
        }
    }

    fn page(&self, pool: PoolKind, page: PageId) -> Result<&[u8], BackendError> {
        self.pages
            .get(&(pool, page))
            .map(Vec::as_slice)
            .ok_or(BackendError::MissingPage { pool, page })
    }

    /// The page that is written at `slot`. A page's first slot is written first, and makes it.
    fn page_to_write(
        &mut self,
        pool: PoolKind,
        page: PageId,
        slot: usize,
    ) -> Result<&mut [u8], BackendError> {
        if slot == 0 {
            let bytes = self.layout.page_bytes(pool);
            self.pages.entry((pool, page)).or_insert_with(|| vec![0; bytes]);
        }
        self.pages
            .get_mut(&(pool, page))
            .map(Vec::as_mut_slice)
            .ok_or(BackendError::MissingPage { pool, page })
    }
}

impl DenseLayer {
    fn of(weights: LayerWeights) -> Result<DenseLayer, LoadError> {
        let projection = |projection: crate::backend::weights::Projection| -> Result<_, LoadError> {
            Ok(DenseProjection {
                matrix: to_f32(&projection.matrix)?,
                bias: projection.bias,
            })
        };
        Ok(DenseLayer {
            attention_norm: weights.attention_norm,
            query: projection(weights.query)?,
            key: projection(weights.key)?,
            value: projection(weights.value)?,
            attention_output: to_f32(&weights.attention_output)?,
            feed_forward_norm: weights.feed_forward_norm,
            gate: to_f32(&weights.gate)?,
            up: to_f32(&weights.up)?,
            down: to_f32(&weights.down)?,
        })
    }
}

impl Backend for ReferenceBackend {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn layout(&self) -> &PageLayout {
        &self.layout
    }

    fn vocabulary(&self) -> usize {
        self.spec.vocabulary
    }

    fn step(&mut self, plan: &StepPlan) -> Result<StepOutput, BackendError> {
        plan.check(&self.layout, self.spec.vocabulary, self.spec.context)?;
        let tokens = plan.known_tokens(self.name())?;
        self.copy_pages(&plan.copies)?;
        let mut hidden = Vec::with_capacity(plan.sequences.len());
        for (step, tokens) in plan.sequences.iter().zip(&tokens) {
            let mut rows = Vec::with_capacity(tokens.len());
            for (index, token) in tokens.iter().enumerate() {
                rows.push(self.run_token(step, step.first_position + index, *token)?);
            }
            hidden.push(rows);
        }
        let mut logits = Vec::with_capacity(plan.logits.len() * self.spec.vocabulary);
        for row in &plan.logits {
            // The plan has been checked: the row is there.
            if let Some(hidden) = hidden.get(row.sequence).and_then(|rows| rows.get(row.token)) {
                logits.extend(self.head(hidden));
            }
        }
        Ok(StepOutput {
            logits,
            vocabulary: self.spec.vocabulary,
        })
    }

    fn copy_pages(&mut self, copies: &[PageCopy]) -> Result<(), BackendError> {
        for copy in copies {
            let bytes = self.page(copy.pool, copy.source)?.to_vec();
            self.pages.insert((copy.pool, copy.destination), bytes);
        }
        Ok(())
    }

    fn export_page(&mut self, pool: PoolKind, page: PageId) -> Result<Vec<u8>, BackendError> {
        Ok(self.page(pool, page)?.to_vec())
    }

    fn import_page(&mut self, pool: PoolKind, page: PageId, bytes: &[u8]) -> Result<(), BackendError> {
        let expected = self.layout.page_bytes(pool);
        if bytes.len() != expected {
            return Err(BackendError::PageSize {
                pool,
                expected,
                found: bytes.len(),
            });
        }
        self.pages.insert((pool, page), bytes.to_vec());
        Ok(())
    }

    fn release_pages(&mut self, pool: PoolKind, pages: &[PageId]) {
        for page in pages {
            self.pages.remove(&(pool, *page));
        }
    }
}
