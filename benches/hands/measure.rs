//! Pairs of measurements taken in turn in one run, so that whatever else the machine does meets both sides alike.

use std::time::{Duration, Instant};

/// Measured times of one side.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// The middle one.
    pub(crate) fn median(&self) -> Duration {
        self.at(50)
    }

    /// The time that so many in a hundred do not exceed.
    pub(crate) fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Something to be timed: what it returns is its time, so that preparation and clearing away can stay out of it.
pub(crate) type Contender<'a> = &'a mut dyn FnMut() -> anyhow::Result<Duration>;

/// Runs the contenders in turn, A B A B …, after one round that does not count.
pub(crate) fn in_turn<const N: usize>(
    rounds: usize,
    mut contenders: [Contender<'_>; N],
) -> anyhow::Result<[Times; N]> {
    let mut times: [Times; N] = std::array::from_fn(|_| Times(Vec::with_capacity(rounds)));
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let time = contender()?;
            if round > 0 {
                times.0.push(time);
            }
        }
    }
    Ok(times)
}

/// The time that an action takes.
pub(crate) fn timed<T>(action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Duration> {
    let start = Instant::now();
    action()?;
    Ok(start.elapsed())
}

/// A line of the report: what was measured, ours, the peer's, and how many times ours the peer's is.
pub(crate) fn compare(what: &str, ours: &Times, peer_name: &str, peer: &Times) {
    let (own, other) = (ours.median(), peer.median());
    println!(
        "  {what}: {} (90 %: {}) | {peer_name}: {} | ratio {:.2}",
        shown(own),
        shown(ours.at(90)),
        shown(other),
        other.as_secs_f64() / own.as_secs_f64().max(1e-9),
    );
}

/// A duration in milliseconds.
pub(crate) fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}
