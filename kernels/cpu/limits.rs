//! What this machine can do at most: how fast its memory is read, and how many 8-bit operations it does. Kernels are measured by these.

use super::{Isa, ThreadPool};
use std::hint::black_box;
use std::time::Instant;

/// Bytes that are read for the bandwidth: far more than any cache holds.
const READ_BYTES: usize = 512 << 20;
/// Bytes that a thread reads at a time.
const PIECE_BYTES: usize = 4 << 20;
/// Each measurement is the best of this many, since other programs only ever slow one down.
const ATTEMPTS: usize = 8;

/// How many bytes a second the pool's threads read from memory together. Takes some 512 MiB and about a second.
pub fn read_bandwidth(pool: &ThreadPool) -> f64 {
    let words = vec![1u64; READ_BYTES / size_of::<u64>()];
    let pieces: Vec<&[u64]> = words.chunks(PIECE_BYTES / size_of::<u64>()).collect();
    best_rate(READ_BYTES as f64, || {
        pool.run(pieces.len(), &|index| {
            let mut sums = [0u64; 32];
            for words in pieces[index].as_chunks::<32>().0 {
                for (sum, word) in sums.iter_mut().zip(words) {
                    *sum = sum.wrapping_add(*word);
                }
            }
            black_box(sums);
        });
    })
}

/// How many operations a second (a multiplication and an addition are two) the pool's threads do together with the instruction that
/// multiplies 8-bit integers in `isa`, fed from registers.
///
/// # Panics
/// When the processor lacks `isa`.
pub fn int8_peak(isa: Isa, pool: &ThreadPool) -> f64 {
    assert!(isa.is_available(), "this processor lacks {}", isa.name());
    const ROUNDS: usize = 400_000;
    let operations = match isa {
        Isa::Scalar => 2 * SCALAR_VALUES * (ROUNDS / SCALAR_VALUES),
        Isa::Avx2 => 2 * CHAINS * 32 * ROUNDS,
        Isa::Avx512 => 2 * CHAINS * 64 * ROUNDS,
    };
    best_rate((operations * pool.threads()) as f64, || {
        pool.run(pool.threads(), &|_| match isa {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
            // SAFETY: the processor has the instructions, by the check above.
            Isa::Avx512 => unsafe { multiply_avx512(ROUNDS) },
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "calls code for instructions that were looked for")]
            // SAFETY: the processor has the instructions, by the check above.
            Isa::Avx2 => unsafe { multiply_avx2(ROUNDS) },
            _ => multiply_scalar(ROUNDS / SCALAR_VALUES),
        });
    })
}

/// Independent chains of operations, enough to hide the time that one takes.
const CHAINS: usize = 12;
/// Values that the plain loop goes over again and again.
const SCALAR_VALUES: usize = 4096;

fn best_rate(amount: f64, mut work: impl FnMut()) -> f64 {
    let mut best = 0.0f64;
    for _ in 0..ATTEMPTS {
        let start = Instant::now();
        work();
        best = best.max(amount / start.elapsed().as_secs_f64().max(1e-9));
    }
    best
}

fn multiply_scalar(rounds: usize) {
    let (weights, values) = (vec![3u8; SCALAR_VALUES], vec![-5i8; SCALAR_VALUES]);
    for _ in 0..rounds {
        let pairs = black_box(&weights).iter().zip(black_box(&values));
        black_box(
            pairs
                .map(|(weight, value)| i32::from(*weight) * i32::from(*value))
                .sum::<i32>(),
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn multiply_avx2(rounds: usize) {
    use std::arch::x86_64::*;
    let values = _mm256_set1_epi8(black_box(1));
    let mut chains = [values; CHAINS];
    for _ in 0..rounds {
        for chain in &mut chains {
            *chain = _mm256_maddubs_epi16(*chain, values);
        }
    }
    black_box(chains);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply_avx512(rounds: usize) {
    use std::arch::x86_64::*;
    let values = _mm512_set1_epi8(black_box(1));
    let mut chains = [values; CHAINS];
    for _ in 0..rounds {
        for chain in &mut chains {
            *chain = _mm512_dpbusd_epi32(*chain, values, values);
        }
    }
    black_box(chains);
}
