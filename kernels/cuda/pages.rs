//! How keys and values lie in a page on a device, and how they get there from the form that all back ends exchange.
//!
//! A page holds `PAGE_TOKENS` positions of `layers` layers: layer after layer, and within a layer one KV head after the other, each
//! with its keys `[PAGE_TOKENS][head_dim]`, then its values, transposed, `[head_dim][PAGE_TOKENS]`. That is the other way round than
//! in the pages that processors use ([`crate::cpu::KvPages`]), because a matrix unit wants numbers side by side that are summed over.

use super::launch::check;
use super::{Artefact, Kernel, ShapeError};

/// Positions a page.
pub const PAGE_TOKENS: usize = 64;

/// How keys and values are stored on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CudaKvElement {
    /// The upper half of 32-bit floats.
    Bf16,
    /// e4m3 without scales; what is beyond 448 becomes 448.
    Fp8,
}

/// The form of the pages of one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CudaPages {
    /// Layers a page.
    pub layers: usize,
    /// KV heads a layer.
    pub kv_heads: usize,
    /// Elements a head: 16, 64 or 128.
    pub head_dim: usize,
    /// How elements are stored.
    pub element: CudaKvElement,
}

impl CudaPages {
    /// The kernel of a family that is made for these pages; the names are those for bf16 and for e4m3, with heads of 16, 64 and 128.
    pub(super) fn kernel(&self, artefact: Artefact, names: [[&'static str; 3]; 2]) -> Kernel {
        let [bf16, fp8] = names;
        let [small, middle, large] = match self.element {
            CudaKvElement::Bf16 => bf16,
            CudaKvElement::Fp8 => fp8,
        };
        let name = match self.head_dim {
            16 => small,
            64 => middle,
            _ => large,
        };
        Kernel { artefact, name }
    }

    /// The bytes of a page: a multiple of 128.
    pub fn page_bytes(&self) -> u64 {
        self.layers as u64 * self.layer_bytes()
    }

    /// Where a layer begins in a page.
    pub fn layer_offset(&self, layer: usize) -> u64 {
        layer as u64 * self.layer_bytes()
    }

    fn layer_bytes(&self) -> u64 {
        (self.kv_heads * self.head_part_bytes()) as u64
    }

    fn element_bytes(&self) -> usize {
        match self.element {
            CudaKvElement::Bf16 => 2,
            CudaKvElement::Fp8 => 1,
        }
    }

    /// A head's keys and values in one layer.
    fn head_part_bytes(&self) -> usize {
        2 * PAGE_TOKENS * self.head_dim * self.element_bytes()
    }

    /// Checks that there are kernels for this form.
    pub(super) fn check(&self, kernel: &'static str) -> Result<(), ShapeError> {
        check(
            matches!(self.head_dim, 16 | 64 | 128),
            kernel,
            "the head dimension",
            self.head_dim,
            "16, 64 or 128",
        )?;
        check(
            self.kv_heads > 0,
            kernel,
            "the number of KV heads",
            self.kv_heads,
            "at least 1",
        )
    }

    /// Turns the bytes of a page between the two forms; it is its own inverse but for the shape. In the exchanged form keys are
    /// `[head_dim][PAGE_TOKENS]` and values `[PAGE_TOKENS][head_dim]`. `None` when the bytes are not a page.
    pub fn to_exchanged(&self, page: &[u8]) -> Option<Vec<u8>> {
        self.transposed(page, (PAGE_TOKENS, self.head_dim))
    }

    /// The inverse of [`CudaPages::to_exchanged`].
    pub fn from_exchanged(&self, page: &[u8]) -> Option<Vec<u8>> {
        self.transposed(page, (self.head_dim, PAGE_TOKENS))
    }

    /// Transposes the keys, which are a matrix of that many rows and columns, and the values, which are one of the opposite shape.
    fn transposed(&self, page: &[u8], keys: (usize, usize)) -> Option<Vec<u8>> {
        if page.len() as u64 != self.page_bytes() {
            return None;
        }
        let mut out = Vec::with_capacity(page.len());
        let halves = page.chunks_exact(self.head_part_bytes() / 2);
        for (index, half) in halves.enumerate() {
            let (rows, columns) = if index % 2 == 0 { keys } else { (keys.1, keys.0) };
            let size = self.element_bytes();
            for column in 0..columns {
                for row in 0..rows {
                    let at = (row * columns + column) * size;
                    out.extend_from_slice(half.get(at..at + size)?);
                }
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_there_and_back() {
        for element in [CudaKvElement::Bf16, CudaKvElement::Fp8] {
            let pages = CudaPages {
                layers: 2,
                kv_heads: 3,
                head_dim: 16,
                element,
            };
            let page: Vec<u8> = (0..pages.page_bytes()).map(|at| (at * 7 % 251) as u8).collect();
            let exchanged = pages.to_exchanged(&page).unwrap();
            assert_ne!(exchanged, page);
            assert_eq!(pages.from_exchanged(&exchanged).unwrap(), page);
            assert!(pages.to_exchanged(&page[1..]).is_none());
        }
    }
}
