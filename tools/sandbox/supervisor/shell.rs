//! The persistent bash: its standard input is a terminal nobody sits at, its outputs are one pipe, and it reads its
//! commands from a named pipe that no program it starts inherits.
//!
//! A command reaches it as `eval '…'`, so that open quotes and here-documents cannot swallow what follows. The rest of that
//! line reports the exit status through another named pipe, with a number that was never written before: a command
//! can print what it likes, and no end is seen but the real one. Both pipes are opened by name, so no
//! program inherits a descriptor from the session; whoever removes or spoils them finds them mended.

use std::collections::VecDeque;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

use super::super::namespaces::SESSION;
use super::super::protocol::{Isolation, Plan};
use super::super::system;
use super::job::{limit_resources, output_pipe, prefer_as_victim};
use super::terminal::Terminal;
use crate::shell_word::quoted_bytes;

/// Longer commands are handed over in a file: bash reads a pipe byte by byte.
const LONG_COMMAND: usize = 2048;
/// Output of background processes kept for the next command.
const BACKGROUND: usize = 64 << 10;
/// Background processes that write more than that at once are read again only after this pause, so that they cannot keep
/// the supervisor busy.
const BACKGROUND_PAUSE: Duration = Duration::from_millis(10);
/// The most read at once of background processes' output.
const MOST_BACKGROUND: usize = 256 << 10;
/// The most read at once of what comes as a report.
const MOST_REPORT: usize = 64 << 10;
/// No report is longer than this.
const REPORT_LENGTH: usize = 512;
/// Names bash's command pipe, and so also the name bash gives itself in its messages.
const SCRIPT: &str = "bash";
const REPORT: &str = "report";
const COMMAND: &str = "command";

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Where the session's pipes and files are, inside.
pub(super) fn session_folder() -> &'static Path {
    FOLDER.get().map_or(Path::new(SESSION), PathBuf::as_path)
}

/// Makes that folder: in the namespaces' view it is a mount of its own, elsewhere a fresh one in `/tmp`.
pub(super) fn make_session_folder(isolation: Isolation) -> io::Result<()> {
    let folder = match isolation {
        Isolation::Namespaces => PathBuf::from(SESSION),
        Isolation::Container | Isolation::External => {
            tempfile::Builder::new().prefix("cwm-session-").tempdir()?.keep()
        }
    };
    fs::create_dir_all(folder.join("output"))?;
    let _ = FOLDER.set(folder);
    Ok(())
}

pub(super) struct Shell {
    pub(super) pid: i32,
    script: OwnedFd,
    /// Of what bash is to read, that for which its pipe had no room yet.
    unwritten: VecDeque<u8>,
    output: Rc<OwnedFd>,
    /// Held so that the pipe is never without a writer, which would count as readable for ever.
    _output_end: OwnedFd,
    terminal: Terminal,
    report: OwnedFd,
    report_bytes: Vec<u8>,
    nonce: String,
    last_status: i32,
    /// A command may have taken away one of the words that commands are run by.
    words_redefined: bool,
    background: Vec<u8>,
    next_background: Instant,
}

impl Shell {
    pub(super) fn start(plan: &Plan) -> io::Result<Shell> {
        // A program may have locked the folder against everybody.
        let _ = fs::set_permissions(session_folder(), Permissions::from_mode(0o700));
        let folder = session_folder();
        let script = named_pipe(&folder.join(SCRIPT))?;
        let report = named_pipe(&folder.join(REPORT))?;
        let terminal = Terminal::open()?;
        let (output, output_end) = output_pipe()?;
        let mut command = Command::new(bash()?);
        command
            .args(["--noprofile", "--norc", SCRIPT])
            .current_dir(folder);
        command.env_clear().envs(&plan.policy.environment);
        command
            .stdin(terminal.for_shell()?)
            .stdout(output_end.try_clone()?)
            .stderr(output_end.try_clone()?);
        let limits = plan.policy.limits.clone();
        system::before_exec(&mut command, move || {
            system::default_signals();
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            limit_resources(&limits)
        });
        let child = command.spawn()?;
        drop(command);
        let pid = child.id().cast_signed();
        prefer_as_victim(pid);
        let mut shell = Shell {
            pid,
            script,
            unwritten: VecDeque::new(),
            output: Rc::new(output),
            _output_end: output_end,
            terminal,
            report,
            report_bytes: Vec::new(),
            nonce: String::new(),
            last_status: 0,
            words_redefined: false,
            background: Vec::new(),
            next_background: Instant::now(),
        };
        let start = quoted_bytes(plan.policy.working_directory.as_os_str().as_bytes());
        let mut prelude = b"__cwm_status() { return \"$1\"; }\nbuiltin cd -- ".to_vec();
        prelude.extend(start);
        prelude.extend(b"; unset OLDPWD\n");
        shell.write_script(&prelude)?;
        Ok(shell)
    }

    /// The descriptors that a command's output comes from, and what background processes wrote before it.
    pub(super) fn outputs(&mut self) -> ([Rc<OwnedFd>; 2], Vec<u8>) {
        (
            [self.output.clone(), self.terminal.master.clone()],
            std::mem::take(&mut self.background),
        )
    }

    /// Has bash run a command.
    pub(super) fn command(&mut self, script: &[u8]) -> io::Result<()> {
        let nonce = random_number()?;
        self.terminal.reset();
        self.mend_report()?;
        super::connection::drain(&self.report);
        self.report_bytes.clear();
        // A shell's text cannot hold NUL.
        let script: Vec<u8> = script.iter().copied().filter(|&byte| byte != 0).collect();
        let mut lines = Vec::new();
        if self.words_redefined {
            // In POSIX mode these words are the shell's own, whatever functions there are.
            lines.extend(
                b"[[ -o posix ]] || { POSIXLY_CORRECT=y; \\unset -f eval return; \\set +o posix; }\n",
            );
            lines.extend(b"\\enable eval return\n");
        }
        self.words_redefined |= redefines_words(&script);
        if self.last_status != 0 {
            // So that `$?` is the last command's, as in any shell.
            lines.extend(format!("__cwm_status {} || ", self.last_status).into_bytes());
        }
        // The backslash is against aliases.
        lines.extend(b"\\eval ");
        let file = session_folder().join(COMMAND);
        if script.len() > LONG_COMMAND && write_fresh(&file, &script).is_ok() {
            lines.extend(b"\"$(<");
            lines.extend(quoted_bytes(file.as_os_str().as_bytes()));
            lines.extend(b")\"");
        } else {
            lines.extend(quoted_bytes(&script));
        }
        // The status is reported by arithmetic's complaint about a text that is none: keywords and a redirection, no word
        // that a function could take the place of, and no process. All is on one line, so that it
        // is parsed before the command can leave bash's parser confused.
        let report = quoted_bytes(session_folder().join(REPORT).as_os_str().as_bytes());
        lines.extend(format!("; {{ ((@ {nonce} $? @)) || ((1)); }} 2>").into_bytes());
        lines.extend(report);
        lines.push(b'\n');
        self.nonce = nonce;
        self.write_script(&lines)
    }

    /// Bash reads these lines when it is done with all earlier ones.
    fn write_script(&mut self, lines: &[u8]) -> io::Result<()> {
        self.unwritten.extend(lines);
        self.feed()
    }

    fn feed(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            let (front, _) = self.unwritten.as_slices();
            match rustix::io::write(&self.script, front) {
                Ok(count) => drop(self.unwritten.drain(..count)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(super) fn add_interest<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, idle: bool) {
        if !idle {
            fds.push(PollFd::new(&self.report, PollFlags::IN));
            if !self.unwritten.is_empty() {
                fds.push(PollFd::new(&self.script, PollFlags::OUT));
            }
        } else if Instant::now() >= self.next_background {
            fds.push(PollFd::new(&*self.output, PollFlags::IN));
            fds.push(PollFd::new(&*self.terminal.master, PollFlags::IN));
        }
    }

    /// While no command runs: when to look at background processes' output again, should that not be at once.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        (self.next_background > Instant::now()).then_some(self.next_background)
    }

    /// While a command runs: keeps readers of the terminal from waiting, and the way of the report open.
    pub(super) fn tend(&mut self) {
        self.terminal.answer_readers();
        // Should either fail, the command's time will end.
        let _ = self.feed();
        let _ = self.mend_report();
    }

    /// The command's exit status, once it is reported.
    pub(super) fn take_report(&mut self) -> Option<i32> {
        let mut bytes = [0; 4096];
        for _ in 0..MOST_REPORT / bytes.len() {
            let Ok(count @ 1..) = rustix::io::read(&self.report, &mut bytes) else {
                break;
            };
            self.report_bytes
                .extend_from_slice(bytes.get(..count).unwrap_or_default());
        }
        let Some(status) = reported_status(&self.report_bytes, self.nonce.as_bytes()) else {
            // Whoever writes here without the number is not listened to, and costs no memory.
            let excess = self.report_bytes.len().saturating_sub(REPORT_LENGTH);
            self.report_bytes.drain(..excess);
            return None;
        };
        self.report_bytes.clear();
        self.last_status = status;
        // Bash has its commands' pipe open by now; nobody else needs its name.
        let _ = fs::remove_file(session_folder().join(SCRIPT));
        Some(status)
    }

    /// Makes the report's pipe anew when a command removed or replaced it.
    fn mend_report(&mut self) -> io::Result<()> {
        let path = session_folder().join(REPORT);
        let own = rustix::fs::fstat(&self.report)?;
        match path.symlink_metadata() {
            Ok(now) if now.dev() == own.st_dev && now.ino() == own.st_ino => {
                if now.mode() & 0o700 != 0o600 {
                    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
                }
                return Ok(());
            }
            // What bash wrote to what took the pipe's place counts.
            Ok(_) => self.report_bytes.extend(read_some(&path)),
            Err(_) => {}
        }
        remove(&path);
        fs::create_dir_all(session_folder())?;
        self.report = named_pipe(&path)?;
        Ok(())
    }

    /// Where the shell is now; where its folder was removed, the nearest one above that is left.
    pub(super) fn working_directory(&self) -> Option<PathBuf> {
        let link = PathBuf::from(format!("/proc/{}/cwd", self.pid));
        let named = fs::read_link(&link).ok()?;
        let own = fs::metadata(&link).ok()?;
        let is_it = |path: &Path| {
            path.symlink_metadata()
                .is_ok_and(|found| found.dev() == own.dev() && found.ino() == own.ino())
        };
        // A removed folder's name is told with a remark behind it, which could be a real name's end as well.
        if is_it(&named) {
            return Some(named);
        }
        named.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
    }

    /// Between commands: background processes must be able to write, and the last of it is kept.
    pub(super) fn keep_background_output(&mut self) {
        if Instant::now() < self.next_background {
            return;
        }
        super::connection::drain(&self.report);
        let mut bytes = [0; 16 << 10];
        for fd in [self.output.clone(), self.terminal.master.clone()] {
            for turn in 1.. {
                let Ok(count @ 1..) = rustix::io::read(&*fd, &mut bytes) else {
                    break;
                };
                self.background
                    .extend_from_slice(bytes.get(..count).unwrap_or_default());
                let excess = self.background.len().saturating_sub(BACKGROUND);
                self.background.drain(..excess);
                if turn * bytes.len() >= MOST_BACKGROUND {
                    self.next_background = Instant::now() + BACKGROUND_PAUSE;
                    break;
                }
            }
        }
    }
}

/// The status that a report with this number holds: the number, a space, the status, a space.
fn reported_status(bytes: &[u8], nonce: &[u8]) -> Option<i32> {
    let at = memchr::memmem::find(bytes, nonce)?;
    let rest = bytes.get(at + nonce.len()..)?.strip_prefix(b" ")?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// Whether a command looks as if it made functions of `eval` or `return`, or switched them off. To be wrong costs
/// nothing but time.
fn redefines_words(script: &[u8]) -> bool {
    let defines = |word: &[u8]| {
        memchr::memmem::find_iter(script, word).any(|at| {
            let (before, behind) = (
                script.get(..at).unwrap_or_default().trim_ascii_end(),
                script
                    .get(at + word.len()..)
                    .unwrap_or_default()
                    .trim_ascii_start(),
            );
            before.ends_with(b"function") || behind.starts_with(b"(")
        })
    };
    memchr::memmem::find(script, b"enable").is_some() || defines(b"eval") || defines(b"return")
}

/// A new file of ours, whatever is in its place.
fn write_fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    remove(path);
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    if written.is_err() {
        remove(path);
    }
    written
}

fn remove(path: &Path) {
    if fs::remove_file(path).is_err() && path.is_dir() {
        let _ = fs::remove_dir_all(path);
    }
}

/// The beginning of a regular file, and nothing of any other.
fn read_some(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    if let Ok(file) = options.open(path)
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
    {
        let _ = file.take(MOST_REPORT as u64).read_to_end(&mut bytes);
    }
    bytes
}

/// Where bash is.
pub(super) fn bash() -> io::Result<&'static str> {
    [
        "/bin/bash",
        "/usr/bin/bash",
        "/usr/local/bin/bash",
        "/run/current-system/sw/bin/bash",
    ]
    .into_iter()
    .find(|path| Path::new(path).exists())
    .ok_or_else(|| io::Error::other("there is no bash in the sandbox; install bash"))
}

fn named_pipe(path: &Path) -> io::Result<OwnedFd> {
    remove(path);
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    // Both ways, so that neither side ever waits for, or loses, the other.
    Ok(open(
        path,
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

fn random_number() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    let mut random = File::open("/dev/urandom")?;
    random.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
