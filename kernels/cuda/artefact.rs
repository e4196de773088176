//! The compiled kernels, embedded.

/// One source's kernels, compiled: what a driver loads as one module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Artefact {
    /// Embeddings, the gated activation, copies of pages.
    Elementwise,
    /// RMSNorm.
    Norm,
    /// Rotation, and keys and values into their pages.
    Rope,
    /// Products of a few rows with weights of bf16 and e4m3.
    SkinnyFloat,
    /// Products of a few rows with 4-bit integers and `Q8_0`.
    SkinnyInteger,
    /// Products of a few rows with `Q4_K` and `Q6_K`.
    SkinnyBlocks,
}

impl Artefact {
    /// All of them.
    pub const ALL: [Artefact; 6] = [
        Artefact::Elementwise,
        Artefact::Norm,
        Artefact::Rope,
        Artefact::SkinnyFloat,
        Artefact::SkinnyInteger,
        Artefact::SkinnyBlocks,
    ];

    /// The name of the source, without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Artefact::Elementwise => "elementwise",
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
            Artefact::Elementwise => include_bytes!("prebuilt/elementwise.fatbin"),
            Artefact::Norm => include_bytes!("prebuilt/norm.fatbin"),
            Artefact::Rope => include_bytes!("prebuilt/rope.fatbin"),
            Artefact::SkinnyFloat => include_bytes!("prebuilt/skinny_float.fatbin"),
            Artefact::SkinnyInteger => include_bytes!("prebuilt/skinny_integer.fatbin"),
            Artefact::SkinnyBlocks => include_bytes!("prebuilt/skinny_blocks.fatbin"),
        }
    }
}

#[cfg(test)]
#[path = "artefact_tests.rs"]
mod tests;
