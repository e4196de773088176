//! The bytes of a page, the same on all back ends: for each layer, for each key and value head, the keys `[head_dim, page_tokens]`
//! (so that scores of neighbouring positions are computed side by side), then the values `[page_tokens, head_dim]`.
//!
//! With 8-bit elements the scales of a head's keys, `[groups, page_tokens]`, follow its keys, and those of its values,
//! `[page_tokens, groups]`, its values; a group is 32 elements of a head, or the whole head when it is shorter.

use cwm_kernels::KvElement;
use cwm_kernels::blocks::{e4m3_from_f32, e4m3_to_f32};
use half::{bf16, f16};

/// The form of the pages of one pool.
pub(super) struct PageForm {
    pub(super) page_tokens: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) element: KvElement,
}

/// Elements that share a scale in 8-bit pages.
const GROUP: usize = 32;

impl PageForm {
    /// A head's key at a slot of the page, `[head_dim]`.
    pub(super) fn key(&self, page: &[u8], layer: usize, kv_head: usize, slot: usize) -> Vec<f32> {
        let keys = self.keys(layer, kv_head);
        let elements = (0..self.head_dim).map(|i| {
            let scale = (i / GROUP) * self.page_tokens + slot;
            self.read(page, keys, i * self.page_tokens + slot, scale)
        });
        elements.collect()
    }

    /// A head's value at a slot of the page, `[head_dim]`.
    pub(super) fn value(&self, page: &[u8], layer: usize, kv_head: usize, slot: usize) -> Vec<f32> {
        let values = self.keys(layer, kv_head) + self.half_bytes();
        let groups = self.head_dim.div_ceil(GROUP);
        let elements = (0..self.head_dim)
            .map(|i| self.read(page, values, slot * self.head_dim + i, slot * groups + i / GROUP));
        elements.collect()
    }

    /// Writes a head's key and value, `[head_dim]` each, rounded to the page's elements.
    pub(super) fn write(
        &self,
        page: &mut [u8],
        layer: usize,
        kv_head: usize,
        slot: usize,
        key: &[f32],
        value: &[f32],
    ) {
        let keys = self.keys(layer, kv_head);
        let values = keys + self.half_bytes();
        let groups = self.head_dim.div_ceil(GROUP);
        for (group, elements) in key.chunks(GROUP).enumerate() {
            let scale = self.write_scale(page, keys, group * self.page_tokens + slot, elements);
            for (i, element) in elements.iter().enumerate() {
                let index = (group * GROUP + i) * self.page_tokens + slot;
                self.write_element(page, keys, index, *element, scale);
            }
        }
        for (group, elements) in value.chunks(GROUP).enumerate() {
            let scale = self.write_scale(page, values, slot * groups + group, elements);
            for (i, element) in elements.iter().enumerate() {
                let index = slot * self.head_dim + group * GROUP + i;
                self.write_element(page, values, index, *element, scale);
            }
        }
    }

    /// Where a head's keys begin; its values follow them.
    fn keys(&self, layer: usize, kv_head: usize) -> usize {
        (layer * self.kv_heads + kv_head) * 2 * self.half_bytes()
    }

    /// The bytes of a head's keys (or values) in one layer.
    fn half_bytes(&self) -> usize {
        self.page_tokens * self.element.head_bytes(self.head_dim)
    }

    /// Where the scales lie behind the 8-bit elements that begin at `start`.
    fn scale_at(&self, start: usize, index: usize) -> usize {
        start + self.page_tokens * self.head_dim + index * 2
    }

    fn read(&self, page: &[u8], start: usize, index: usize, scale: usize) -> f32 {
        match self.element {
            KvElement::F32 => f32::from_le_bytes(bytes_at(page, start + index * 4)),
            KvElement::F16 => f16::from_le_bytes(bytes_at(page, start + index * 2)).to_f32(),
            KvElement::BF16 => bf16::from_le_bytes(bytes_at(page, start + index * 2)).to_f32(),
            KvElement::E4M3 => {
                let [code] = bytes_at(page, start + index);
                e4m3_to_f32(code)
            }
            KvElement::Q8 => {
                let [quantised] = bytes_at(page, start + index);
                let scale = f16::from_le_bytes(bytes_at(page, self.scale_at(start, scale)));
                f32::from(quantised.cast_signed()) * scale.to_f32()
            }
        }
    }

    /// Writes and returns the scale of a group: its largest magnitude is 127 steps. 1 for other element types.
    fn write_scale(&self, page: &mut [u8], start: usize, index: usize, elements: &[f32]) -> f32 {
        if self.element != KvElement::Q8 {
            return 1.0;
        }
        // A value that is no number makes the whole group none, so that a broken model does not look sane.
        let largest = elements.iter().fold(0.0_f32, |largest, value| {
            if value.is_nan() || value.abs() > largest {
                value.abs()
            } else {
                largest
            }
        });
        let scale = saturating_f16(largest / 127.0);
        put(page, self.scale_at(start, index), scale.to_le_bytes());
        scale.to_f32()
    }

    fn write_element(&self, page: &mut [u8], start: usize, index: usize, value: f32, scale: f32) {
        match self.element {
            KvElement::F32 => put(page, start + index * 4, value.to_le_bytes()),
            KvElement::F16 => put(page, start + index * 2, saturating_f16(value).to_le_bytes()),
            KvElement::BF16 => put(page, start + index * 2, saturating_bf16(value).to_le_bytes()),
            KvElement::E4M3 => put(page, start + index, [e4m3_from_f32(value)]),
            KvElement::Q8 => {
                let steps = if scale == 0.0 { 0.0 } else { value / scale };
                let quantised = steps.round_ties_even().clamp(-127.0, 127.0) as i8;
                put(page, start + index, quantised.to_le_bytes());
            }
        }
    }
}

/// The nearest 16-bit float; what is too large becomes the largest.
fn saturating_f16(value: f32) -> f16 {
    let largest = f16::MAX.to_f32();
    f16::from_f32(value.clamp(-largest, largest))
}

/// The nearest upper half of a float; what is too large becomes the largest.
fn saturating_bf16(value: f32) -> bf16 {
    let largest = bf16::MAX.to_f32();
    bf16::from_f32(value.clamp(-largest, largest))
}

fn bytes_at<const N: usize>(page: &[u8], start: usize) -> [u8; N] {
    let bytes = page.get(start..start + N).and_then(|bytes| bytes.try_into().ok());
    bytes.unwrap_or([0; N])
}

fn put<const N: usize>(page: &mut [u8], start: usize, bytes: [u8; N]) {
    if let Some(place) = page.get_mut(start..start + N) {
        place.copy_from_slice(&bytes);
    }
}
