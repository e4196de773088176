//! The door for the process inside: the same binary, started again by the host with a word that no command has.

/// The word.
pub(crate) const WORD: &str = "__inside-the-sandbox";

/// To be called first in `main`: when this process was started to be a sandbox's helper, does that work and tells the
/// exit code; otherwise returns `None` at once.
pub fn dispatch() -> Option<std::process::ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|word| word != WORD) || arguments.next().is_some() {
        return None;
    }
    let code = super::supervisor::run();
    Some(std::process::ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
