//! How fast a model runs here, beside what the machine could do and what llama.cpp does with the same file.
//!
//! What enters is a back end with a model; what leaves are times. Runs alternate with the peer's, so that both meet the same noise.

mod peer;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cwm_kernels::cpu::{Isa, ThreadPool, int8_peak, read_bandwidth};

use crate::backend::{Backend, DriveError, Driver, Rows};
use crate::model::TokenId;

pub use peer::{Peer, PeerOptions};

/// Why nothing could be timed.
#[derive(Debug, thiserror::Error)]
pub enum SpeedError {
    /// Our own side failed.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The peer failed.
    #[error("llama.cpp in {} gave no figure: {message}", python.display())]
    Peer {
        /// Its Python.
        python: PathBuf,
        /// What went wrong.
        message: String,
    },
}

/// What a machine can do at most, measured as it is at the moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The vector instructions that are used.
    pub instructions: &'static str,
    /// Bytes of memory that are read, a second.
    pub bandwidth: f64,
    /// Multiplications and additions of 8-bit integers, a second.
    pub int8: f64,
}

impl Limits {
    /// Measures them, with so many threads; a second or so.
    pub fn measure(threads: usize) -> Limits {
        let pool = ThreadPool::new(threads);
        Limits {
            instructions: Isa::best().name(),
            bandwidth: read_bandwidth(&pool),
            int8: int8_peak(Isa::best(), &pool),
        }
    }
}

/// Rows of a prompt that run at once.
const CHUNK: usize = 512;

/// Our own side.
pub struct Speed<'a> {
    driver: Driver<'a>,
    vocabulary: usize,
}

impl<'a> Speed<'a> {
    /// Times a back end.
    pub fn of(backend: &'a mut dyn Backend) -> Speed<'a> {
        let vocabulary = backend.vocabulary();
        Speed {
            driver: Driver::new(backend),
            vocabulary,
        }
    }

    /// How long a prompt of so many tokens takes, to the logits of its last one.
    pub fn prefill(&mut self, tokens: usize) -> Result<Duration, SpeedError> {
        self.driver.clear();
        let prompt: Vec<_> = (0..tokens).map(|position| self.token(0, position)).collect();
        let begun = Instant::now();
        self.driver.feed(&prompt, CHUNK, Rows::Last, |_| ())?;
        Ok(begun.elapsed())
    }

    /// How long so many steps of a batch take, behind a context that its sequences share.
    pub fn decode(&mut self, steps: usize, context: usize, batch: usize) -> Result<Duration, SpeedError> {
        self.prefill(context)?;
        self.driver.fork(batch);
        let begun = Instant::now();
        for step in 0..steps {
            let tokens: Vec<_> = (0..batch)
                .map(|sequence| self.token(sequence, context + step))
                .collect();
            self.driver.decode(&tokens)?;
        }
        Ok(begun.elapsed())
    }

    /// Any token will do, but all the same would be kinder to caches than text is.
    fn token(&self, sequence: usize, position: usize) -> TokenId {
        let spread = (position * 7919 + sequence * 104_729) % self.vocabulary.clamp(1, 20_000);
        TokenId::try_from(spread).unwrap_or_default()
    }
}

/// The middle one of some times.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
