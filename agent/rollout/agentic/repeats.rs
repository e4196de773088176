//! Notices a model that goes in circles: the same call with the same result again and again.

use cwm_tools::call::Call;

use crate::rollout::journal::without_numbers;

/// As often in a row it is said.
const SAID_EVERY: usize = 3;

/// The last call and how often it was made in a row.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: Option<(Call, String)>,
    count: usize,
}

impl Repeats {
    /// Takes the next call; tells how often it was made in a row when that is to be said.
    pub(super) fn take(&mut self, call: &Call, result: &str) -> Option<usize> {
        let now = (call.clone(), without_numbers(result));
        if self.last.as_ref() == Some(&now) {
            self.count += 1;
        } else {
            self.count = 1;
            self.last = Some(now);
        }
        (self.count.is_multiple_of(SAID_EVERY)).then_some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use cwm_tools::call::Tool;

    use super::*;

    #[test]
    fn the_third_same_call_is_said_and_then_every_third() {
        let mut repeats = Repeats::default();
        let call = |content: &str| Call {
            tool: Tool::Bash,
            content: content.to_owned(),
        };
        let said: Vec<_> = (1..=6)
            .map(|second| repeats.take(&call("make"), &format!("failed in {second}{second} s")))
            .collect();
        assert_eq!(said, [None, None, Some(3), None, None, Some(6)]);
        assert_eq!(repeats.take(&call("make"), "passed"), None);
        assert_eq!(repeats.take(&call("make test"), "passed"), None);
        assert_eq!(repeats.take(&call("make test"), "passed"), None);
        assert_eq!(repeats.take(&call("make"), "passed"), None);
    }
}
