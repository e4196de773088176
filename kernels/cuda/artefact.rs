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
}

impl Artefact {
    /// All of them.
    pub const ALL: [Artefact; 3] = [Artefact::Elementwise, Artefact::Norm, Artefact::Rope];

    /// The name of the source, without its ending.
    pub fn name(self) -> &'static str {
        match self {
            Artefact::Elementwise => "elementwise",
            Artefact::Norm => "norm",
            Artefact::Rope => "rope",
        }
    }

    /// The compiled code: a fat binary, compressed, with code for some devices and PTX that drivers compile for all later ones. Drivers load it
    /// as it is (`cuModuleLoadData`).
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Artefact::Elementwise => include_bytes!("prebuilt/elementwise.fatbin"),
            Artefact::Norm => include_bytes!("prebuilt/norm.fatbin"),
            Artefact::Rope => include_bytes!("prebuilt/rope.fatbin"),
        }
    }
}

#[cfg(test)]
#[path = "artefact_tests.rs"]
mod tests;
