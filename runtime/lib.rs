//! From weights on disk to tokens; knows nothing of repositories or tools.
//!
//! Empty for now: no format, model or back end has been written, and nothing in the program depends on this crate.
//! Only the agent may call it, and it may call only `cwm-kernels`.
