//! Why the cache refuses something.

use std::fmt;

/// A number of bytes as a person reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        for (unit, size) in UNITS {
            if self.0 >= size {
                return write!(formatter, "{:.1} {unit}", self.0 as f64 / size as f64);
            }
        }
        write!(formatter, "{} bytes", self.0)
    }
}

/// Why the cache refuses a request, a step or a rollback. Nothing has changed when it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheRefusal {
    /// A request that the budget cannot hold, even with nothing else in the cache.
    #[error(
        "a prompt of {prompt_tokens} tokens with {new_tokens} new tokens for each of {samples} samples needs {} of KV cache, \
         but the budget is {}; ask for a shorter context, fewer samples or a larger --kv-memory",
        Bytes(*needed_bytes), Bytes(*budget_bytes)
    )]
    RequestTooLarge {
        /// The prompt's length.
        prompt_tokens: usize,
        /// The most tokens that a sample may add.
        new_tokens: usize,
        /// How many samples.
        samples: usize,
        /// What it needs at most.
        needed_bytes: usize,
        /// What there is.
        budget_bytes: usize,
    },
    /// A step for which there is no room beside what running sequences hold, even with the whole prefix tree evicted.
    #[error(
        "{tokens} more tokens for a sequence of {len} need {} of KV cache, but running sequences hold {} of the budget of {}; \
         wait until one ends, or ask for a shorter context, fewer samples or a larger --kv-memory",
        Bytes(*needed_bytes), Bytes(*live_bytes), Bytes(*budget_bytes)
    )]
    NoRoom {
        /// The sequence's length.
        len: usize,
        /// How many positions were to be added.
        tokens: usize,
        /// What they need.
        needed_bytes: usize,
        /// What running sequences hold, this one included.
        live_bytes: usize,
        /// What there is.
        budget_bytes: usize,
    },
    /// A rollback to where pages of the sliding window are gone already.
    #[error(
        "a sequence of {len} tokens cannot go back to {wanted}: its sliding-window layers reach back to {earliest} at most; \
         start it anew, or keep a larger rollback slack"
    )]
    RollbackTooFar {
        /// The sequence's length.
        len: usize,
        /// The length that was asked for.
        wanted: usize,
        /// The shortest length above 0 that it can go back to.
        earliest: usize,
    },
    /// A rollback to a length that the sequence does not have yet.
    #[error("a sequence of {len} tokens cannot go back to {wanted}, which is ahead of it")]
    RollbackAhead {
        /// The sequence's length.
        len: usize,
        /// The length that was asked for.
        wanted: usize,
    },
}
