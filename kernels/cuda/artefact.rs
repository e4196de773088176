//! The compiled kernels, embedded.

/// One source's kernels, compiled: what a driver loads as one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Artefact {
    /// Attention of few rows, and what merges its splits.
    Decode,
    /// Embeddings, the gated activation, copies of pages.
    Elementwise,
    /// Products of many rows, and weights of all formats as bf16.
    Gemm,
    /// RMSNorm.
    Norm,
    /// Attention of many rows.
    Prefill,
    /// Rotation, and keys and values into their pages.
    Rope,
    /// From logits to tokens.
    Sampling,
    /// Products of a few rows with weights of bf16 and e4m3.
    SkinnyFloat,
    /// Products of a few rows with 4-bit integers and `Q8_0`.
    SkinnyInteger,
    /// Products of a few rows with `Q4_K` and `Q6_K`.
    SkinnyBlocks,
}

impl Artefact {
    /// All of them.
    pub const ALL: [Artefact; 10] = [
        Artefact::Decode,
        Artefact::Elementwise,
        Artefact::Gemm,
        Artefact::Norm,
        Artefact::Prefill,
        Artefact::Rope,
        Artefact::Sampling,
        Artefact::SkinnyFloat,
        Artefact::SkinnyInteger,
        Artefact::SkinnyBlocks,
    ];

    /// The name of the source, without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Artefact::Decode => "decode",
            Artefact::Prefill => "prefill",
            Artefact::Elementwise => "elementwise",
            Artefact::Gemm => "gemm",
            Artefact::Sampling => "sampling",
            Artefact::Norm => "norm",
            Artefact::Rope => "rope",
            Artefact::SkinnyFloat => "skinny_float",
            Artefact::SkinnyInteger => "skinny_integer",
            Artefact::SkinnyBlocks => "skinny_blocks",
        }
    }

    /// The compiled code: a fat binary, compressed, with code for some devices and PTX that drivers compile for all later ones. Drivers load it
    /// as it is (`cuModuleLoadData`).
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Artefact::Decode => include_bytes!("prebuilt/decode.fatbin"),
            Artefact::Prefill => include_bytes!("prebuilt/prefill.fatbin"),
            Artefact::Elementwise => include_bytes!("prebuilt/elementwise.fatbin"),
            Artefact::Gemm => include_bytes!("prebuilt/gemm.fatbin"),
            Artefact::Sampling => include_bytes!("prebuilt/sampling.fatbin"),
            Artefact::Norm => include_bytes!("prebuilt/norm.fatbin"),
            Artefact::Rope => include_bytes!("prebuilt/rope.fatbin"),
            Artefact::SkinnyFloat => include_bytes!("prebuilt/skinny_float.fatbin"),
            Artefact::SkinnyInteger => include_bytes!("prebuilt/skinny_integer.fatbin"),
            Artefact::SkinnyBlocks => include_bytes!("prebuilt/skinny_blocks.fatbin"),
        }
    }
}
