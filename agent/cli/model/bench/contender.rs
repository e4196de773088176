//! The others: who they are, and the same work done by them.

use std::path::Path;
use std::time::Duration;

use cwm_runtime::formats::Checkpoint;
use cwm_runtime::speed::{Peer, PeerOptions};

use super::work::{Measure, Work};
use crate::cli::{ExitCode, Failure};

/// Another implementation with the model loaded.
pub(super) struct Contender {
    /// What it calls itself.
    pub(super) version: String,
    /// How long it took to load the model.
    pub(super) load: Duration,
    runner: Runner,
}

enum Runner {
    LlamaCpp(Peer),
    #[cfg(feature = "candle")]
    Candle(Box<cwm_runtime::oracle::Oracle>),
}

impl Contender {
    /// llama.cpp in its own process.
    pub(super) fn llama_cpp(
        checkpoint: &Checkpoint,
        python: &Path,
        threads: usize,
        context: usize,
        sequences: usize,
    ) -> anyhow::Result<Contender> {
        if checkpoint.path.extension().is_none_or(|end| end != "gguf") {
            return Err(Failure::new(ExitCode::Usage, "llama.cpp reads GGUF files only.").into());
        }
        let options = PeerOptions {
            python: python.to_owned(),
            threads,
            context,
            sequences,
        };
        let peer = Peer::start(&checkpoint.path, &options).map_err(|error| {
            Failure::new(ExitCode::Environment, format!("{error}.")).with_hint(
                "scripts/fetch-peers llama.cpp builds one and prints its Python; pass that as --python.",
            )
        })?;
        Ok(Contender {
            version: peer.version.clone(),
            load: peer.load,
            runner: Runner::LlamaCpp(peer),
        })
    }

    /// candle in this process.
    #[cfg(feature = "candle")]
    pub(super) fn candle(checkpoint: &Checkpoint) -> anyhow::Result<Contender> {
        let begun = std::time::Instant::now();
        let oracle = cwm_runtime::oracle::Oracle::load(checkpoint)
            .map_err(|error| Failure::new(ExitCode::Environment, format!("{error}.")))?;
        Ok(Contender {
            version: format!("candle, {}, all threads", oracle.name()),
            load: begun.elapsed(),
            runner: Runner::Candle(Box::new(oracle)),
        })
    }

    /// Not in this build.
    #[cfg(not(feature = "candle"))]
    pub(super) fn candle(_checkpoint: &Checkpoint) -> anyhow::Result<Contender> {
        Err(super::super::without_candle().into())
    }

    /// How long it takes for the work; `None` when it cannot do it.
    pub(super) fn time(&mut self, work: &Work) -> anyhow::Result<Option<Duration>> {
        Ok(match &mut self.runner {
            Runner::LlamaCpp(peer) => Some(match work.measure {
                Measure::Prefill => peer.prefill(work.context),
                Measure::Decode => peer.decode(work.steps(), work.context, work.batch),
            }?),
            #[cfg(feature = "candle")]
            Runner::Candle(oracle) => candle_time(oracle, work)?,
        })
    }
}

#[cfg(feature = "candle")]
fn candle_time(oracle: &mut cwm_runtime::oracle::Oracle, work: &Work) -> anyhow::Result<Option<Duration>> {
    if work.batch > 1 {
        return Ok(None);
    }
    oracle.clear();
    let vocabulary = oracle.vocabulary().clamp(1, 20_000);
    let prompt: Vec<u32> = (0..work.context)
        .map(|position| (position * 7919 % vocabulary) as u32)
        .collect();
    let begun = std::time::Instant::now();
    oracle.prefill(&prompt)?;
    if work.measure == Measure::Prefill {
        return Ok(Some(begun.elapsed()));
    }
    let begun = std::time::Instant::now();
    for token in 0..work.steps() as u32 {
        oracle.logits(&[token])?;
    }
    Ok(Some(begun.elapsed()))
}
