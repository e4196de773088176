//! Special tokens that are known by name, whatever their ids.

/// Names that only the Code World Model's vocabulary has: those of its execution traces.
const TRACES: [&str; 4] = [
    "<|trace_context_start|>",
    "<|frame_sep|>",
    "<|action_sep|>",
    "<|return_sep|>",
];

/// Whether a control token of that name ends a turn or a text, in the families that run here.
pub(super) fn is_stop(token: &str) -> bool {
    matches!(
        token,
        "<|im_end|>" | "<|eot_id|>" | "<|eom_id|>" | "<|end_of_text|>" | "<|endoftext|>"
    )
}

/// How a vocabulary gives a Code World Model away, in words, when one of its tokens is this.
pub(super) fn trace_token(token: &str) -> Option<String> {
    TRACES
        .contains(&token)
        .then(|| format!("its vocabulary has the token {token}"))
}
