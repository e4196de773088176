//! Random numbers that are the same for the same seed.

use half::bf16;

/// A source of random numbers.
pub struct Random(u64);

impl Random {
    /// Numbers of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About normal, with that deviation.
    pub fn normal(&mut self, deviation: f32) -> f32 {
        let sum: f32 = (0..6)
            .map(|_| self.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5)
            .sum();
        sum * deviation * std::f32::consts::SQRT_2
    }

    /// So many of [`Random::normal`].
    pub fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count).map(|_| self.normal(deviation)).collect()
    }

    /// The same, as bf16 holds them.
    pub(super) fn bf16s(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let values = (0..count).map(|_| bf16::from_f32(self.normal(deviation)).to_f32());
        values.collect()
    }

    /// Bytes, each value as likely as the others.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Some order of `0..count`.
    pub(super) fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for index in (1..count).rev() {
            order.swap(index, self.below(index + 1));
        }
        order
    }
}
