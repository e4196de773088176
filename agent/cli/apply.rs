//! `cwm apply`: applies a patch to a repository, all of it or nothing.

use std::path::PathBuf;

use clap::Args;

/// Apply a patch to a repository, all of it or nothing
///
/// Takes any git diff or plain unified diff. Wrong hunk counts and drifted line numbers are mended when the
/// context is unique. On a conflict nothing is changed, and the exit code is 5.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cwm apply fix.diff                   change the working tree
  cwm apply --index fix.diff           change the working tree and the index
  cwm apply --check fix.diff           only say whether it would apply
  curl -L URL.diff | cwm apply --3way  read stdin, merge where the files have moved on")]
pub(crate) struct ApplyArguments {
    /// The repository to change, or a folder in it
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) repo: PathBuf,
    /// Change the index as well as the working tree
    #[arg(long)]
    pub(crate) index: bool,
    /// Where the patch does not fit, merge with the versions that it was made from
    #[arg(long = "3way")]
    pub(crate) three_way: bool,
    /// Change nothing; say whether the patch would apply
    #[arg(long)]
    pub(crate) check: bool,
    /// The patch file; `-` is stdin
    #[arg(default_value = "-")]
    pub(crate) patch: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        apply: ApplyArguments,
    }

    #[test]
    fn flags_and_file_arrive() {
        let parse = |words: &[&str]| Line::try_parse_from(words).unwrap().apply;
        let plain = parse(&["apply"]);
        assert_eq!(
            (plain.repo.as_path(), plain.patch.as_path()),
            (".".as_ref(), "-".as_ref())
        );
        assert!(!plain.index && !plain.three_way && !plain.check);
        let full = parse(&[
            "apply", "--repo", "/r", "--index", "--3way", "--check", "fix.diff",
        ]);
        assert_eq!(
            (full.repo.as_path(), full.patch.as_path()),
            ("/r".as_ref(), "fix.diff".as_ref())
        );
        assert!(full.index && full.three_way && full.check);
    }
}
