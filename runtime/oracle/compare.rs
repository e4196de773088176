//! A back end beside `candle`.

use crate::backend::{Backend, DriveError, Driver, Rows};
use crate::comparison::{Comparison, Gathering};
use crate::formats::Checkpoint;
use crate::model::TokenId;
use crate::oracle::{Oracle, OracleError};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The other side.
    #[error(transparent)]
    Oracle(#[from] OracleError),
    /// Our side.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

/// Compares a back end with `candle` on the same checkpoint, for a text that begins with `tokens`.
pub fn compare(
    checkpoint: &Checkpoint,
    backend: &mut dyn Backend,
    tokens: &[TokenId],
) -> Result<Comparison, CompareError> {
    let mut oracle = Oracle::load(checkpoint)?;
    let expected = oracle.logits(tokens)?;
    let mut expected = expected.iter().enumerate();
    let mut found = Gathering::new(checkpoint.is_exact());
    Driver::new(backend).feed(tokens, tokens.len(), Rows::All, |logits| {
        if let Some((position, expected)) = expected.next() {
            found.add(logits, expected, tokens.get(position + 1).copied());
        }
    })?;
    Ok(found.finish())
}
