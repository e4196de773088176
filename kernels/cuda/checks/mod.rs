//! Proves kernels on an accelerator, a GPU or the emulation: each check launches them as the engine does, on random inputs, and compares
//! with plain arithmetic. [`speed`] measures how fast they are.
//!
//! Each launch runs several times from the same contents of memory, which must give the same bits. All memory has guards on both sides, and
//! begins as NaN.

mod attention;
mod device;
mod elementwise;
mod finding;
mod gemm;
mod library;
mod matrices;
mod norm;
mod random;
mod rope;
mod sampling;
mod shape;
mod skinny;
pub mod speed;
mod subject;

pub use finding::Finding;
pub use random::Random;
pub use shape::ModelShape;
pub use subject::Subject;

/// Which kernels a check is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// None in particular: memory, launches and graphs.
    Device,
    /// `embedding`, `silu_gate`, `copy_pages`.
    Elementwise,
    /// `norm_*`.
    Norm,
    /// `rope_*`.
    Rope,
    /// `skinny_*`.
    Skinny,
    /// `gemm_bf16`, `dequantise_*`.
    Gemm,
    /// What is left to a matrix library; only for subjects that have one.
    Library,
    /// `decode_*`, `merge_splits`, `prefill_*`.
    Attention,
    /// `penalise`, `sample`.
    Sampling,
}

/// What a check is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    /// Anything: the emulation takes seconds.
    Small,
    /// A GPU: the shapes are those of a model of 32 billion parameters, and of large results only some are compared. Takes up to 6 GiB of the
    /// device's memory, and as much of the host's.
    Device,
}

/// Something that must hold on every accelerator.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// What it is of.
    pub family: Family,
    /// What it is made for.
    pub scale: Scale,
    run: fn(&Subject) -> Result<(), Finding>,
}

impl Check {
    /// Checks it.
    ///
    /// # Errors
    /// [`Finding`]: it does not hold, or the device failed.
    pub fn run(&self, subject: &Subject) -> Result<(), Finding> {
        (self.run)(subject)
    }
}

/// All checks: first what others rest on.
pub fn all() -> &'static [Check] {
    ALL
}

macro_rules! check {
    ($family:ident, $scale:ident, $module:ident::$name:ident) => {
        Check {
            name: stringify!($name),
            family: Family::$family,
            scale: Scale::$scale,
            run: $module::$name,
        }
    };
}

const ALL: &[Check] = &[
    check!(Device, Small, device::memory_holds_what_is_put_there),
    check!(Device, Small, device::prepared_launches_run_one_after_another),
    check!(Elementwise, Small, elementwise::embeddings_are_rows_of_the_table),
    check!(
        Elementwise,
        Small,
        elementwise::gates_are_those_of_the_scalar_kernel
    ),
    check!(
        Elementwise,
        Small,
        elementwise::pages_are_copied_whole_and_no_other_is_touched
    ),
    check!(
        Elementwise,
        Device,
        elementwise::a_large_models_elementwise_kernels_are_right
    ),
    check!(Norm, Small, norm::rows_are_normed_as_by_the_scalar_kernel),
    check!(Norm, Device, norm::a_large_models_rows_are_normed),
    check!(Rope, Small, rope::bf16_pages_are_those_of_the_scalar_kernel),
    check!(Rope, Small, rope::fp8_pages_hold_keys_and_values),
    check!(
        Rope,
        Device,
        rope::a_large_models_keys_and_values_get_into_their_pages
    ),
    check!(Skinny, Small, skinny::products_of_every_format_are_right),
    check!(
        Skinny,
        Small,
        skinny::a_row_has_the_same_bits_among_any_number_of_rows
    ),
    check!(Skinny, Small, skinny::a_tiny_models_products_are_right),
    check!(Skinny, Device, skinny::a_large_models_products_are_right),
    check!(Gemm, Small, gemm::weights_of_every_format_become_bf16),
    check!(Gemm, Small, gemm::products_of_many_rows_are_right),
    check!(Gemm, Small, gemm::a_tiny_models_products_of_many_rows_are_right),
    check!(Gemm, Device, gemm::a_large_models_products_of_many_rows_are_right),
    check!(Attention, Small, attention::few_rows_attend_to_what_they_see),
    check!(
        Attention,
        Small,
        attention::a_row_has_the_same_bits_alone_and_among_drafts
    ),
    check!(Attention, Small, attention::many_rows_attend_to_what_they_see),
    check!(
        Attention,
        Small,
        attention::a_tiny_models_rows_attend_to_what_they_see
    ),
    check!(
        Attention,
        Device,
        attention::a_large_models_rows_attend_to_what_they_see
    ),
    check!(
        Attention,
        Device,
        attention::pages_beyond_four_gibibytes_are_found
    ),
    check!(Sampling, Small, sampling::penalties_change_single_logits),
    check!(
        Sampling,
        Small,
        sampling::draws_are_those_of_the_sorted_vocabulary
    ),
    check!(Sampling, Small, sampling::rows_with_broken_logits_have_no_token),
    check!(
        Sampling,
        Device,
        sampling::draws_from_a_large_models_vocabulary_are_right
    ),
    check!(Library, Small, library::the_matrix_librarys_products_are_right),
    check!(
        Library,
        Device,
        library::the_matrix_librarys_products_for_a_large_model_are_right
    ),
];
