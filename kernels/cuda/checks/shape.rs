//! The shapes of models that kernels are checked and measured with.

/// What a model's launches are as large as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelShape {
    /// Elements of a row of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// KV heads.
    pub kv_heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// Elements that the gated activation gives.
    pub intermediate: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// Positions that layers with a window see.
    pub window: usize,
}

impl ModelShape {
    /// Code World Model, 32 billion parameters.
    pub const CWM_32B: ModelShape = ModelShape {
        hidden: 6144,
        heads: 48,
        kv_heads: 8,
        head_dim: 128,
        intermediate: 21504,
        vocabulary: 128_256,
        window: 8192,
    };

    /// No model's: small enough for the emulation, and possible in every format.
    pub const TINY: ModelShape = ModelShape {
        hidden: 256,
        heads: 16,
        kv_heads: 2,
        head_dim: 16,
        intermediate: 256,
        vocabulary: 600,
        window: 100,
    };

    /// The matrices of a layer and the head: name, outputs, inputs.
    pub fn matrices(&self) -> [(&'static str, usize, usize); 5] {
        let attention = self.heads * self.head_dim;
        [
            ("qkv", attention + 2 * self.kv_heads * self.head_dim, self.hidden),
            ("attention output", self.hidden, attention),
            ("gate_up", 2 * self.intermediate, self.hidden),
            ("down", self.hidden, self.intermediate),
            ("head", self.vocabulary, self.hidden),
        ]
    }
}
