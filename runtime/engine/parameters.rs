//! Which sampling parameters make sense.

use crate::engine::SamplingParameters;

/// A sampling parameter out of its range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{name} is {value}, but it must be {range}")]
pub struct ParameterError {
    /// Its name.
    pub name: &'static str,
    /// What was given.
    pub value: f32,
    /// What may be given.
    pub range: &'static str,
}

impl SamplingParameters {
    /// Checks every number.
    pub fn check(&self) -> Result<(), ParameterError> {
        let finite = f32::is_finite;
        let checks: [(&'static str, f32, bool, &'static str); 6] = [
            (
                "temperature",
                self.temperature,
                finite(self.temperature) && self.temperature >= 0.0,
                "0 (the most likely token) or a positive number",
            ),
            (
                "top_p",
                self.top_p,
                self.top_p > 0.0 && self.top_p <= 1.0,
                "above 0 and at most 1",
            ),
            (
                "min_p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "from 0 to 1",
            ),
            (
                "repetition_penalty",
                self.repetition_penalty,
                finite(self.repetition_penalty) && self.repetition_penalty > 0.0,
                "a positive number; 1 changes nothing",
            ),
            (
                "frequency_penalty",
                self.frequency_penalty,
                finite(self.frequency_penalty),
                "a finite number; 0 changes nothing",
            ),
            (
                "presence_penalty",
                self.presence_penalty,
                finite(self.presence_penalty),
                "a finite number; 0 changes nothing",
            ),
        ];
        match checks.into_iter().find(|(_, _, holds, _)| !holds) {
            Some((name, value, _, range)) => Err(ParameterError { name, value, range }),
            None => Ok(()),
        }
    }
}
