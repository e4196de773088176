//! What a check finds, and comparisons that say where numbers differ.

use crate::cuda::{DeviceError, ShapeError};

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// A kernel does not do what it should.
    #[error("{0}")]
    Wrong(String),
    /// The device failed. It may be of no use afterwards, so that all later checks fail too.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A launch that should be possible was refused.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// Returns a [`Finding::Wrong`] from the function unless something holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        let holds: bool = $holds;
        if !holds {
            return Err($crate::cuda::checks::Finding::Wrong(format!($($message)+)));
        }
    };
}
pub(super) use ensure;

/// All are the same.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &[T],
    expected: &[T],
) -> Result<(), Finding> {
    ensure!(
        found.len() == expected.len(),
        "{what}: there are {}, but should be {}",
        found.len(),
        expected.len()
    );
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        ensure!(
            found == expected,
            "{what}: number {index} is {found:?}, but should be {expected:?}"
        );
    }
    Ok(())
}

/// All are near what they should be, up to a share of that and an absolute difference.
pub(super) fn near(
    what: &str,
    found: &[f32],
    expected: &[f32],
    relative: f32,
    absolute: f32,
) -> Result<(), Finding> {
    ensure!(
        found.len() == expected.len(),
        "{what}: there are {}, but should be {}",
        found.len(),
        expected.len()
    );
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        ensure!(
            (found - expected).abs() <= allowed,
            "{what}: number {index} is {found}, but should be {expected} up to {allowed}"
        );
    }
    Ok(())
}
