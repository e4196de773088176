//! How keys and values lie in a page of the KV cache.
//!
//! A page holds `page_tokens` positions of `layers` layers: layer after layer, and within a layer one KV head after the other, each
//! with its keys and then its values. Keys are transposed, `[head_dim][page_tokens]`, so that one vector holds the same element of
//! sixteen positions and scores need no sums over lanes; values are `[page_tokens][head_dim]`. With 8-bit elements each half is
//! followed by its 16-bit scales: `[groups][page_tokens]` for keys, `[page_tokens][groups]` for values. All numbers are
//! little-endian, and nothing is aligned.

use half::{bf16, f16};

use super::Isa;
use crate::KvElement;
use crate::blocks::e4m3_from_f32;

/// Elements of a head that share a scale in [`KvElement::Q8`].
pub(super) const GROUP: usize = 32;

/// The form of the pages of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPages {
    /// Positions a page; a multiple of 16.
    pub page_tokens: usize,
    /// Layers a page.
    pub layers: usize,
    /// KV heads a layer.
    pub kv_heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// How elements are stored.
    pub element: KvElement,
}

/// The keys and values of one layer and KV head in a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadPart<'a> {
    /// `[head_dim][page_tokens]`.
    pub(super) keys: &'a [u8],
    /// `[groups][page_tokens]` of f16; empty but for 8-bit elements.
    pub(super) key_scales: &'a [u8],
    /// `[page_tokens][head_dim]`.
    pub(super) values: &'a [u8],
    /// `[page_tokens][groups]` of f16; empty but for 8-bit elements.
    pub(super) value_scales: &'a [u8],
}

impl KvPages {
    /// The bytes of a page.
    pub fn page_bytes(&self) -> usize {
        self.layers * self.kv_heads * self.head_part_bytes()
    }

    /// Keys and values of one head in one layer.
    fn head_part_bytes(&self) -> usize {
        2 * self.page_tokens * self.element.head_bytes(self.head_dim)
    }

    fn element_bytes(&self) -> usize {
        match self.element {
            KvElement::F32 => 4,
            KvElement::F16 | KvElement::BF16 => 2,
            KvElement::Q8 | KvElement::E4M3 => 1,
        }
    }

    /// Scales a head and position.
    pub(super) fn groups(&self) -> usize {
        match self.element {
            KvElement::Q8 => self.head_dim.div_ceil(GROUP),
            KvElement::F32 | KvElement::F16 | KvElement::BF16 | KvElement::E4M3 => 0,
        }
    }

    fn head_part_begin(&self, page: &[u8], layer: usize, kv_head: usize) -> usize {
        assert!(
            page.len() == self.page_bytes() && layer < self.layers && kv_head < self.kv_heads,
            "the page, the layer and the head are of this layout"
        );
        (layer * self.kv_heads + kv_head) * self.head_part_bytes()
    }

    pub(super) fn head_part<'a>(&self, page: &'a [u8], layer: usize, kv_head: usize) -> HeadPart<'a> {
        let begin = self.head_part_begin(page, layer, kv_head);
        let part = &page[begin..begin + self.head_part_bytes()];
        let elements = self.page_tokens * self.head_dim * self.element_bytes();
        let (keys, values) = part.split_at(part.len() / 2);
        let ((keys, key_scales), (values, value_scales)) =
            (keys.split_at(elements), values.split_at(elements));
        HeadPart {
            keys,
            key_scales,
            values,
            value_scales,
        }
    }
}

/// Stores the keys and values of one position, each `[kv_heads, head_dim]`, in slot `slot` (the position modulo `page_tokens`) of
/// a page. What 16-bit floats cannot hold becomes their greatest value; 8-bit elements are scaled by the greatest of their group.
///
/// # Panics
/// When the page, the layer, the slot or a length is not of this layout.
pub fn write_key_value(
    _isa: Isa,
    pages: &KvPages,
    page: &mut [u8],
    layer: usize,
    slot: usize,
    keys: &[f32],
    values: &[f32],
) {
    let width = pages.kv_heads * pages.head_dim;
    assert!(
        keys.len() == width && values.len() == width && slot < pages.page_tokens,
        "keys and values are of this layout"
    );
    let heads = keys
        .chunks_exact(pages.head_dim)
        .zip(values.chunks_exact(pages.head_dim));
    for (kv_head, (key, value)) in heads.enumerate() {
        let begin = pages.head_part_begin(page, layer, kv_head);
        let part = &mut page[begin..begin + pages.head_part_bytes()];
        let (key_part, value_part) = part.split_at_mut(pages.head_part_bytes() / 2);
        // Element d of a key lies `page_tokens` elements behind element d - 1; that of a value right behind.
        write_head(
            pages,
            key_part,
            key,
            slot,
            pages.page_tokens,
            slot,
            pages.page_tokens,
        );
        write_head(
            pages,
            value_part,
            value,
            slot * pages.head_dim,
            1,
            slot * pages.groups(),
            1,
        );
    }
}

/// Stores a head's elements from element `at` on, `stride` elements apart, and its scales in the same way.
fn write_head(
    pages: &KvPages,
    part: &mut [u8],
    head: &[f32],
    at: usize,
    stride: usize,
    scales_at: usize,
    scale_stride: usize,
) {
    let places = (at..).step_by(stride);
    match pages.element {
        KvElement::F32 => {
            for (place, x) in places.zip(head) {
                part[place * 4..place * 4 + 4].copy_from_slice(&x.to_le_bytes());
            }
        }
        KvElement::F16 => {
            for (place, x) in places.zip(head) {
                part[place * 2..place * 2 + 2].copy_from_slice(&saturating_f16(*x).to_le_bytes());
            }
        }
        KvElement::BF16 => {
            for (place, x) in places.zip(head) {
                part[place * 2..place * 2 + 2].copy_from_slice(&saturating_bf16(*x).to_le_bytes());
            }
        }
        KvElement::E4M3 => {
            for (place, x) in places.zip(head) {
                part[place] = e4m3_from_f32(*x);
            }
        }
        KvElement::Q8 => {
            let (elements, scales) = part.split_at_mut(pages.page_tokens * pages.head_dim);
            let mut places = places;
            let scale_places = (scales_at..).step_by(scale_stride);
            for (scale_place, group) in scale_places.zip(head.chunks(GROUP)) {
                let scale = group_scale(group);
                scales[scale_place * 2..scale_place * 2 + 2].copy_from_slice(&scale.to_le_bytes());
                for (x, place) in group.iter().zip(&mut places) {
                    elements[place] = quantise(*x, scale.to_f32()) as u8;
                }
            }
        }
    }
}

fn saturating_f16(x: f32) -> f16 {
    f16::from_f32(x.clamp(-65504.0, 65504.0))
}

fn saturating_bf16(x: f32) -> bf16 {
    let greatest = bf16::MAX.to_f32();
    bf16::from_f32(x.clamp(-greatest, greatest))
}

/// The scale that maps the greatest magnitude to 127; NaN when there is a NaN, so that a broken model does not look sane.
fn group_scale(group: &[f32]) -> f16 {
    let greatest = group.iter().fold(0.0f32, |best, x| {
        if x.abs() > best || x.is_nan() {
            x.abs()
        } else {
            best
        }
    });
    saturating_f16(greatest / 127.0)
}

fn quantise(x: f32, scale: f32) -> i8 {
    if scale == 0.0 {
        return 0;
    }
    (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
