//! What of two looks at the same tests is believed.

use super::*;
use crate::scaling::testing::run_of;

#[test]
fn a_command_that_hangs_only_sometimes_is_flaky_and_proves_nothing() {
    for (first, second, flaky) in [
        ("time", "time", &[][..]),
        ("time", "0 a+", &["make test"]),
        ("0 a+", "time", &["make test"]),
        // What fails in one run only and is not told by the other is no proof.
        ("time a+", "1 a+ b-", &["b", "make test"]),
        ("1 a+ b-", "time a+ b-", &["make test"]),
        ("disk", "disk", &[]),
        ("disk", "1 b-", &["b", "make test"]),
        ("time", "disk", &[]),
        ("time a+", "time a-", &["a"]),
        ("time a+", "time", &[]),
        ("1 a+ b-", "1 a+ b-", &[]),
        ("1 a+ b-", "0 a+ b+", &["b"]),
    ] {
        let (first, second) = ([run_of("make test", first)], [run_of("make test", second)]);
        assert_eq!(unsteady(&first, &second), flaky, "{first:?} {second:?}");
    }
}

#[test]
fn the_run_that_ended_by_itself_counts() {
    for (first, second, kept) in [
        ("time", "1 a+ b-", "1 a+ b-"),
        ("1 a+ b-", "time", "1 a+ b-"),
        ("time a+", "time", "time a+"),
    ] {
        let mut runs = vec![run_of("make test", first)];
        settle(&mut runs, vec![run_of("make test", second)]);
        assert_eq!(runs, [run_of("make test", kept)]);
    }
}
