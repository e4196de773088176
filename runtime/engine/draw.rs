//! One uniform number for each (seed, sequence, position), by a counter-based generator: no state, so no draw depends on another.
//!
//! Philox-4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011).

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// What a draw is keyed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DrawKey {
    /// The request's seed.
    pub seed: u64,
    /// The sample's number within its request.
    pub sequence: u64,
    /// The position in the sequence of the token that is drawn, the prompt's tokens counted.
    pub position: u64,
}

impl DrawKey {
    /// A number in `[0, 1)`, a multiple of 2^-53.
    pub fn uniform(self) -> f64 {
        let [low, high] = halves(self.position);
        let [sequence_low, sequence_high] = halves(self.sequence);
        let [first, second, _, _] = philox([low, high, sequence_low, sequence_high], halves(self.seed));
        let bits = (u64::from(second) << 32 | u64::from(first)) >> 11;
        bits as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// Four random words for a counter and a key.
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut left, mut right] = key;
    for _ in 0..ROUNDS {
        let [low_0, high_0] = halves(u64::from(a) * u64::from(MULTIPLIERS[0]));
        let [low_1, high_1] = halves(u64::from(c) * u64::from(MULTIPLIERS[1]));
        (a, b, c, d) = (high_1 ^ b ^ left, low_1, high_0 ^ d ^ right, low_0);
        left = left.wrapping_add(KEY_STEPS[0]);
        right = right.wrapping_add(KEY_STEPS[1]);
    }
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the generator (Random123's `kat_vectors`).
    #[test]
    fn philox_gives_the_published_answers() {
        let cases = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn each_part_of_the_key_changes_the_draw() {
        let key = DrawKey {
            seed: 7,
            sequence: 3,
            position: 100,
        };
        let others = [
            DrawKey { seed: 8, ..key },
            DrawKey { sequence: 4, ..key },
            DrawKey { position: 101, ..key },
            DrawKey {
                sequence: 100,
                position: 3,
                ..key
            },
        ];
        assert_eq!(key.uniform(), key.uniform());
        for other in others {
            assert_ne!(key.uniform(), other.uniform(), "{other:?}");
        }
    }
}
