//! Which files earlier commits changed whose messages sound like the issue.
//!
//! An issue says what is wrong in the words of those who use a program, and so do messages of commits; the code that both are about may have other
//! words. (Past reports that are alike point to files that are to be changed again: Zhou, Zhang and Lo, Where should the bugs be fixed?, 2012.)

use super::signals::{FileSignals, at, is_code};
use super::uses::{Matcher, Telling, in_messages};
use crate::context::index::Index;
use crate::context::query::Query;

/// How much more the most alike messages count than others.
const SHARPNESS: i32 = 3;

/// Adds up for each file how much the messages of its changes are like the issue.
pub(super) fn add(index: &Index, query: &Query, matcher: &Matcher<'_>, all: &mut [FileSignals]) {
    let uses = in_messages(index, matcher);
    let telling = Telling::new(query, &uses);
    let mut sums = vec![0.0; all.len()];
    for (message, uses) in index.messages().zip(&uses) {
        let (words, _) = telling.score(uses, None);
        let alike = words + telling.title_score(uses);
        if alike <= 0.0 {
            continue;
        }
        let files = || message.files.iter().map(|[file]| *file as usize);
        // What a change is about stands in its code; tests and prose go along with it.
        let is_code = |file: &usize| all.get(*file).is_some_and(is_code);
        let code = files().filter(is_code).count();
        let share = alike.powi(SHARPNESS) / if code > 0 { code } else { message.files.len() } as f64;
        for file in files().filter(|file| code == 0 || is_code(file)) {
            if let Some(sum) = sums.get_mut(file) {
                *sum += share;
            }
        }
    }
    for (signals, sum) in all.iter_mut().zip(sums) {
        signals[at::MESSAGES] = sum.powf(1.0 / f64::from(SHARPNESS));
    }
}
