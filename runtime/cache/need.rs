//! How much of the cache a request takes at most.

use super::page::{PageLayout, PoolKind};
use super::sequence::Reach;

/// A request's size: one prompt, computed in steps, then several samples that grow token by token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the prompt, which all samples share.
    pub prompt_tokens: usize,
    /// The most tokens that each sample adds.
    pub new_tokens: usize,
    /// How many samples there are, at least 1.
    pub samples: usize,
    /// The most tokens that a step computes of the prompt.
    pub step_tokens: usize,
}

impl Need {
    /// The most bytes that it takes at any time in a cache of that layout, whose sequences can be rolled back by `slack` tokens.
    pub fn bytes_in(self, layout: &PageLayout, slack: usize) -> usize {
        self.bytes(Reach::new(layout, slack), layout)
    }

    /// The most bytes that it takes at any time, when it is alone and finds nothing in the prefix tree.
    pub(super) fn bytes(self, reach: Reach, layout: &PageLayout) -> usize {
        let bytes = |full: usize, window: usize| {
            let full = if layout.full_layers > 0 { full } else { 0 };
            let window = if reach.window.is_some() { window } else { 0 };
            full.saturating_mul(layout.page_bytes(PoolKind::Full))
                .saturating_add(window.saturating_mul(layout.page_bytes(PoolKind::Window)))
        };
        let prompt_pages = reach.pages(self.prompt_tokens);
        let prefill = bytes(prompt_pages, self.prefill_window_pages(reach));
        let own = reach.pages(self.prompt_tokens.saturating_add(self.new_tokens))
            - self.prompt_tokens / reach.page_tokens;
        let full = (self.prompt_tokens / reach.page_tokens).saturating_add(self.samples.saturating_mul(own));
        prefill.max(bytes(full, self.decode_window_pages(reach)))
    }

    /// While the prompt is computed: what is kept before a step, and the step, wherever its pages begin.
    fn prefill_window_pages(self, reach: Reach) -> usize {
        let window = reach.window.unwrap_or(usize::MAX);
        let positions = window
            .saturating_add(reach.slack)
            .saturating_add(self.step_tokens)
            .saturating_sub(2);
        let spread = positions.div_ceil(reach.page_tokens).saturating_add(1);
        spread.min(reach.pages(self.prompt_tokens))
    }

    /// While samples grow: they share the pages before the prompt's last one as long as these are within their windows. A step may
    /// try as many tokens more as it can take back.
    fn decode_window_pages(self, reach: Reach) -> usize {
        let Some(window) = reach.window else {
            return 0;
        };
        let shared = self.prompt_tokens / reach.page_tokens;
        let end = self.prompt_tokens.saturating_add(self.new_tokens);
        // Once the windows have left the prompt behind, everything repeats itself page by page.
        let grown = window
            .saturating_add(reach.slack)
            .saturating_add(2 * reach.page_tokens);
        let last = self.prompt_tokens.saturating_add(self.new_tokens.min(grown));
        (self.prompt_tokens..last.max(self.prompt_tokens + 1))
            .map(|len| {
                let first = reach.kept_from(len);
                let pages = reach.pages(len.saturating_add(1 + reach.slack).min(end).max(len));
                let own = pages - first.max(shared).min(pages);
                shared
                    .saturating_sub(first)
                    .saturating_add(self.samples.saturating_mul(own))
            })
            .max()
            .unwrap_or(0)
    }
}
