//! The checks that are made for anything.

use cwm_kernels::cuda::checks::{Family, Scale, all};

use crate::support::subject;

/// The same in every run.
const SEED: u64 = 0;

fn run(name: &str) {
    let check = all().iter().find(|check| check.name == name).unwrap();
    let found = check.run(&subject(SEED)).map_err(|finding| finding.to_string());
    assert_eq!(found, Ok(()));
}

/// A test for each check, so that they run side by side and can be chosen.
macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

tests! {
    memory_holds_what_is_put_there
    prepared_launches_run_one_after_another
    embeddings_are_rows_of_the_table
    gates_are_those_of_the_scalar_kernel
    pages_are_copied_whole_and_no_other_is_touched
    rows_are_normed_as_by_the_scalar_kernel
    bf16_pages_are_those_of_the_scalar_kernel
    fp8_pages_hold_keys_and_values
    products_of_every_format_are_right
    a_row_has_the_same_bits_among_any_number_of_rows
    a_tiny_models_products_are_right
    weights_of_every_format_become_bf16
    products_of_many_rows_are_right
    a_tiny_models_products_of_many_rows_are_right
    few_rows_attend_to_what_they_see
    a_row_has_the_same_bits_alone_and_among_drafts
    many_rows_attend_to_what_they_see
    a_tiny_models_rows_attend_to_what_they_see
    penalties_change_single_logits
    draws_are_those_of_the_sorted_vocabulary
    rows_with_broken_logits_have_no_token
}

#[test]
fn every_check_is_a_test() {
    // The emulation has no library.
    let small = all()
        .iter()
        .filter(|check| check.scale == Scale::Small && check.family != Family::Library);
    let names: Vec<&str> = small.map(|check| check.name).collect();
    assert_eq!(names, NAMES);
}
