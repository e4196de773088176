//! What is measured, and what it costs a machine at least.

use std::fmt;
use std::time::Duration;

use cwm_runtime::cache::PageLayout;
use cwm_runtime::formats::Checkpoint;
use cwm_runtime::model::TensorRole;
use cwm_runtime::speed::{Speed, SpeedError};

/// The two kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// A prompt at once.
    Prefill,
    /// Token after token.
    Decode,
}

impl Measure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Measure::Prefill => "prefill",
            Measure::Decode => "decode",
        }
    }
}

/// A piece of work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) measure: Measure,
    /// The prompt's length, or the context behind which tokens are decoded.
    pub(super) context: usize,
    pub(super) batch: usize,
    steps: usize,
}

impl Work {
    pub(super) fn prefill(context: usize) -> Work {
        Work {
            measure: Measure::Prefill,
            context,
            batch: 1,
            steps: 0,
        }
    }

    pub(super) fn decode(context: usize, batch: usize, steps: usize) -> Work {
        Work {
            measure: Measure::Decode,
            context,
            batch,
            steps,
        }
    }

    /// How far a sequence reaches.
    pub(super) fn positions(&self) -> usize {
        self.context + self.steps
    }

    /// Does it once.
    pub(super) fn ours(&self, speed: &mut Speed<'_>) -> Result<Duration, SpeedError> {
        match self.measure {
            Measure::Prefill => speed.prefill(self.context),
            Measure::Decode => speed.decode(self.steps, self.context, self.batch),
        }
    }

    pub(super) fn steps(&self) -> usize {
        self.steps
    }

    /// Tokens a second, of all sequences together.
    pub(super) fn rate(&self, time: Duration) -> f64 {
        let tokens = match self.measure {
            Measure::Prefill => self.context,
            Measure::Decode => self.steps * self.batch,
        };
        tokens as f64 / time.as_secs_f64()
    }

    /// The multiplications and additions of a prompt's matrix products; the output projection runs for its last token only.
    pub(super) fn operations(&self, checkpoint: &Checkpoint) -> f64 {
        let spec = &checkpoint.spec;
        let layers = spec
            .roles()
            .into_iter()
            .filter(|role| matches!(role, TensorRole::Layer(..)));
        let elements: usize = layers
            .map(|role| spec.shape(role))
            .filter(|shape| shape.len() == 2)
            .map(|shape| shape.iter().product::<usize>())
            .sum();
        2.0 * elements as f64 * self.context as f64
    }

    /// The bytes that all steps must read at least: the weights once a step, and each sequence's keys and values.
    pub(super) fn bytes(&self, checkpoint: &Checkpoint, layout: &PageLayout) -> f64 {
        let tied = checkpoint.spec.tied_head;
        let read = checkpoint
            .tensors
            .iter()
            .filter(|(role, _)| tied || **role != TensorRole::Embedding);
        let weights: usize = read.map(|(_, tensor)| tensor.stored_bytes()).sum();
        let layers = (layout.full_layers + layout.window_layers).max(1);
        let layer = layout.token_bytes() as f64 / layers as f64;
        let window = layout.window.unwrap_or(usize::MAX);
        let kept = |step: usize| {
            let positions = self.context + step;
            layer * (layout.full_layers * positions + layout.window_layers * positions.min(window)) as f64
        };
        (0..self.steps)
            .map(|step| weights as f64 + self.batch as f64 * kept(step))
            .sum()
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.measure {
            Measure::Prefill => write!(formatter, "prefill of {} tokens", self.context),
            Measure::Decode => write!(formatter, "decode at {}, batch {}", self.context, self.batch),
        }
    }
}
