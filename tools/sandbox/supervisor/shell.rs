//! The persistent bash: its standard input is a terminal nobody sits at, its outputs are one pipe, and it reads its
//! commands from a named pipe that no program it starts inherits.
//!
//! A command reaches it as `eval '…'`, so that open quotes and here-documents cannot swallow what follows. The next line
//! reports the exit status through another named pipe, with a number that was never written before: a command
//! can print what it likes, and no end is seen but the real one. Both pipes are opened by name, so no
//! program inherits a descriptor from the session.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::OnceLock;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

use super::super::namespaces::SESSION;
use super::super::protocol::{Isolation, Plan};
use super::super::system;
use super::job::{limit_resources, output_pipe, prefer_as_victim};
use super::terminal::Terminal;

/// Longer commands are handed over in a file: bash reads a pipe byte by byte.
const LONG_COMMAND: usize = 2048;
/// Output of background processes kept for the next command.
const BACKGROUND: usize = 64 << 10;
/// Names bash's command pipe, and so also the name bash gives itself in its messages.
const SCRIPT: &str = "bash";
const REPORT: &str = "report";

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
    std::fs::create_dir_all(folder.join("output"))?;
    let _ = FOLDER.set(folder);
    Ok(())
}

pub(super) struct Shell {
    pub(super) pid: i32,
    script: OwnedFd,
    output: Rc<OwnedFd>,
    terminal: Terminal,
    report: OwnedFd,
    report_bytes: Vec<u8>,
    nonce: String,
    last_status: i32,
    background: Vec<u8>,
}

impl Shell {
    pub(super) fn start(plan: &Plan) -> io::Result<Shell> {
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
            .stderr(output_end);
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
        let shell = Shell {
            pid,
            script,
            output: Rc::new(output),
            terminal,
            report,
            report_bytes: Vec::new(),
            nonce: String::new(),
            last_status: 0,
            background: Vec::new(),
        };
        let start = quoted(plan.policy.working_directory.as_os_str().as_bytes());
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
        self.terminal.reset();
        self.report_bytes.clear();
        super::connection::drain(&self.report);
        self.nonce = random_number()?;
        // A shell's text cannot hold NUL.
        let script: Vec<u8> = script.iter().copied().filter(|&byte| byte != 0).collect();
        let mut lines = Vec::new();
        if script.len() > LONG_COMMAND {
            let file = session_folder().join("command");
            std::fs::write(&file, &script)?;
            let file = quoted(file.as_os_str().as_bytes());
            lines.extend(b"IFS= builtin read -rd '' __cwm_command <");
            lines.extend(file);
            lines.extend(b" || :\n");
        }
        if self.last_status != 0 {
            // So that `$?` is the last command's, as in any shell.
            lines.extend(format!("__cwm_status {} || ", self.last_status).into_bytes());
        }
        lines.extend(b"eval ");
        if script.len() > LONG_COMMAND {
            lines.extend(b"\"$__cwm_command\"");
        } else {
            lines.extend(quoted(&script));
        }
        let report = quoted(session_folder().join(REPORT).as_os_str().as_bytes());
        // On the same line, so that both are parsed before the command can leave bash's parser confused.
        lines.extend(
            format!(
                "; {{ builtin printf '%s %s\\n' {} \"$?\"; }} 2>/dev/null >",
                self.nonce
            )
            .into_bytes(),
        );
        lines.extend(report);
        lines.push(b'\n');
        self.write_script(&lines)
    }

    /// The pipe holds 64 KiB and bash has read all earlier lines, or is not reading at all.
    fn write_script(&self, lines: &[u8]) -> io::Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            let count = rustix::io::write(&self.script, rest)?;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(())
    }

    pub(super) fn add_interest<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, idle: bool) {
        fds.push(PollFd::new(&self.report, PollFlags::IN));
        if idle {
            fds.push(PollFd::new(&*self.output, PollFlags::IN));
            fds.push(PollFd::new(&*self.terminal.master, PollFlags::IN));
        }
    }

    /// While a command runs: keeps readers of the terminal from waiting.
    pub(super) fn tend(&mut self) {
        self.terminal.answer_readers();
    }

    /// The command's exit status, once it is reported.
    pub(super) fn take_report(&mut self) -> Option<i32> {
        let mut bytes = [0; 256];
        while let Ok(count @ 1..) = rustix::io::read(&self.report, &mut bytes) {
            // Whoever writes here without the number is not listened to, and costs no memory.
            self.report_bytes
                .extend_from_slice(bytes.get(..count).unwrap_or_default());
            if self.report_bytes.len() > 4096 {
                self.report_bytes.clear();
            }
        }
        let text = String::from_utf8_lossy(&self.report_bytes);
        let status = text.lines().filter(|_| text.ends_with('\n')).find_map(|line| {
            let (nonce, status) = line.split_once(' ')?;
            (nonce == self.nonce).then(|| status.parse().ok()).flatten()
        })?;
        self.report_bytes.clear();
        self.last_status = status;
        // Bash has its commands' pipe open by now; nobody else needs its name.
        let _ = std::fs::remove_file(session_folder().join(SCRIPT));
        Some(status)
    }

    /// Where the shell is now.
    pub(super) fn working_directory(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    /// Between commands: background processes must be able to write, and the last of it is kept.
    pub(super) fn keep_background_output(&mut self) {
        let mut bytes = [0; 16 << 10];
        for fd in [self.output.clone(), self.terminal.master.clone()] {
            while let Ok(count @ 1..) = rustix::io::read(&*fd, &mut bytes) {
                self.background
                    .extend_from_slice(bytes.get(..count).unwrap_or_default());
                let excess = self.background.len().saturating_sub(BACKGROUND);
                self.background.drain(..excess);
            }
        }
    }
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
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    // Both ways, so that neither side ever waits for, or loses, the other.
    Ok(open(
        path,
        OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

/// A shell's word of exactly these bytes.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut word = vec![b'\''];
    for &byte in bytes {
        if byte == b'\'' {
            word.extend(b"'\\''");
        } else {
            word.push(byte);
        }
    }
    word.push(b'\'');
    word
}

fn random_number() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    let mut random = std::fs::File::open("/dev/urandom")?;
    io::Read::read_exact(&mut random, &mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
