//! Which tokens end a generation, by their names.

/// Whether a control token of that name ends a turn or a text, in the families that run here.
pub(super) fn is_stop(token: &str) -> bool {
    matches!(
        token,
        "<|im_end|>" | "<|eot_id|>" | "<|eom_id|>" | "<|end_of_text|>" | "<|endoftext|>"
    )
}
