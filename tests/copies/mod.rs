//! Isolated copies from a user's seat: `cwm sandbox` and `cwm apply` on real repositories, judged by git.

mod applying;
mod diffs;
mod environments;
mod git_inside;
mod many;
mod options;
mod repository;

pub(crate) use repository::{Done, Picture, Repository, assert_same, picture};
