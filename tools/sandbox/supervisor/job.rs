//! The one thing that runs for the host: a command in the shell, a program of its own, or a task of our own code.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use super::super::policy::Policy;
use super::super::protocol::{
    Ending, FromInside, KeptOutput, KillReason, OUTPUT_CHUNK, ProgramSpec, SpoolSpec, Stream,
};
use super::super::system::{self, Forked, WaitStatus};
use super::super::task::Task;
use super::connection::Connection;
use super::spool::Spool;

/// Chunks read from one source before the others have their turn.
const TURN: usize = 8;
/// Enough that a program rarely waits for the supervisor.
const PIPE_SIZE: usize = 256 << 10;
/// More than a terminal's buffers hold.
const MOST_TERMINAL: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shell,
    Program,
    Task,
}

/// Where output comes from, and how much of it still counts once the job's end is known.
struct Source {
    fd: Rc<OwnedFd>,
    stream: Stream,
    /// Bytes to take before it is done; unknown while the job runs.
    left: Option<usize>,
    done: bool,
}

struct Input {
    fd: OwnedFd,
    waiting: VecDeque<u8>,
    ended: bool,
}

/// How a job ended, for the host.
pub(super) struct Finish {
    pub(super) ending: Ending,
    pub(super) working_directory: Option<PathBuf>,
}

pub(super) struct Job {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) deadline: Instant,
    /// What a passed deadline means.
    pub(super) expiry: KillReason,
    pub(super) killed: Option<(KillReason, Instant)>,
    pid: Option<i32>,
    sources: Vec<Source>,
    input: Option<Input>,
    spool: Option<Spool>,
    /// Output of background processes from before this command.
    earlier: Vec<u8>,
    finish: Option<Finish>,
}

impl Job {
    fn new(id: u32, kind: Kind) -> Job {
        Job {
            id,
            kind,
            deadline: Instant::now(),
            expiry: KillReason::Timeout,
            killed: None,
            pid: None,
            sources: Vec::new(),
            input: None,
            spool: None,
            earlier: Vec::new(),
            finish: None,
        }
    }

    /// A command of the shell whose outputs these are.
    pub(super) fn shell(id: u32, spool: SpoolSpec, outputs: [Rc<OwnedFd>; 2], earlier: Vec<u8>) -> Job {
        let sources = outputs.map(|fd| Source {
            fd,
            stream: Stream::Output,
            left: None,
            done: false,
        });
        Job {
            sources: sources.into(),
            spool: Some(Spool::new(id, spool)),
            earlier,
            ..Job::new(id, Kind::Shell)
        }
    }

    /// Starts a program.
    pub(super) fn program(id: u32, spec: &ProgramSpec, policy: &Policy) -> io::Result<Job> {
        let (name, arguments) = spec
            .command
            .split_first()
            .ok_or_else(|| io::Error::other("the command to run is empty"))?;
        let (output, output_end) = output_pipe()?;
        let (error, error_end) = output_pipe()?;
        let mut command = Command::new(name);
        command
            .args(arguments)
            .env_clear()
            .envs(&policy.environment)
            .envs(&spec.environment);
        command.current_dir(
            spec.working_directory
                .as_ref()
                .unwrap_or(&policy.working_directory),
        );
        command.stdout(output_end).stderr(error_end);
        let input = if spec.input {
            let (end, input) = pipe_with(PipeFlags::CLOEXEC)?;
            command.stdin(Stdio::from(end));
            fcntl_setfl(&input, fcntl_getfl(&input)? | OFlags::NONBLOCK)?;
            Some(Input {
                fd: input,
                waiting: VecDeque::new(),
                ended: false,
            })
        } else {
            command.stdin(Stdio::null());
            None
        };
        let limits = policy.limits.clone();
        system::before_exec(&mut command, move || {
            system::default_signals();
            rustix::process::setsid()?;
            limit_resources(&limits)
        });
        let child = command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot run `{}`: {error}", name.to_string_lossy()),
            )
        })?;
        drop(command);
        let pid = child.id().cast_signed();
        prefer_as_victim(pid);
        let sources = [(output, Stream::Output), (error, Stream::Error)].map(|(fd, stream)| Source {
            fd: Rc::new(fd),
            stream,
            left: None,
            done: false,
        });
        Ok(Job {
            pid: Some(pid),
            sources: sources.into(),
            input,
            ..Job::new(id, Kind::Program)
        })
    }

    /// Forks a child for a task; its result comes as output.
    pub(super) fn task(id: u32, task: Task, policy: &Policy) -> io::Result<Job> {
        let (output, output_end) = output_pipe()?;
        match system::fork_single_threaded()? {
            Forked::Child => {
                drop(output);
                // A write past the limit shall be an error of the tool, not its death.
                system::ignore_signal(libc::SIGXFSZ);
                let code = match limit_resources(&policy.limits).and_then(|()| task.run_and_write(output_end))
                {
                    Ok(()) => 0,
                    Err(_) => 1,
                };
                system::exit_now(code)
            }
            Forked::Parent(pid) => {
                let source = Source {
                    fd: Rc::new(output),
                    stream: Stream::Output,
                    left: None,
                    done: false,
                };
                Ok(Job {
                    pid: Some(pid),
                    sources: vec![source],
                    ..Job::new(id, Kind::Task)
                })
            }
        }
    }

    pub(super) fn is_shell(&self) -> bool {
        self.kind == Kind::Shell
    }

    pub(super) fn add_interest<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, roomy: bool) {
        if roomy {
            let open = self.sources.iter().filter(|source| !source.done);
            fds.extend(open.map(|source| PollFd::new(&*source.fd, PollFlags::IN)));
        }
        if let Some(input) = self.input.as_ref().filter(|input| !input.waiting.is_empty()) {
            fds.push(PollFd::new(&input.fd, PollFlags::OUT));
        }
    }

    pub(super) fn push_input(&mut self, bytes: Vec<u8>) {
        if let Some(input) = &mut self.input {
            input.waiting.extend(bytes);
        }
    }

    pub(super) fn end_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.ended = true;
        }
    }

    /// Brings the deadline nearer, and says what its passing will mean.
    pub(super) fn expire_within(&mut self, time: Duration, reason: KillReason) {
        self.deadline = self.deadline.min(Instant::now() + time);
        self.expiry = reason;
    }

    /// Notes that a process ended; if it is the job's own, so does the job.
    pub(super) fn child_ended(&mut self, pid: i32, status: WaitStatus) {
        if self.pid != Some(pid) {
            return;
        }
        let ending = match status {
            WaitStatus::Exited(code) => Ending::Exited(code),
            WaitStatus::Signalled(signal) => Ending::Signalled(signal),
        };
        self.finish_with(ending, None);
    }

    /// The job is over but for the output that waits in the pipes right now. What background processes
    /// write later is not its own.
    pub(super) fn finish_with(&mut self, ending: Ending, working_directory: Option<PathBuf>) {
        if self.finish.is_some() {
            return;
        }
        for source in &mut self.sources {
            source.left = Some(waiting_bytes(&source.fd));
        }
        self.finish = Some(Finish {
            ending,
            working_directory,
        });
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.finish.is_some()
    }

    /// Moves bytes both ways, without waiting.
    pub(super) fn forward(&mut self, connection: &mut Connection) -> io::Result<()> {
        self.feed_input();
        let earlier = std::mem::take(&mut self.earlier);
        if !earlier.is_empty() {
            self.send(connection, Stream::Output, earlier)?;
        }
        for index in 0..self.sources.len() {
            for _ in 0..TURN {
                if !connection.has_room() {
                    return Ok(());
                }
                let Some((stream, bytes)) = self.sources.get_mut(index).and_then(Source::take) else {
                    break;
                };
                self.send(connection, stream, bytes)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, connection: &mut Connection, stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
        if let Some(spool) = &mut self.spool {
            spool.push(&bytes);
        }
        connection.send(&FromInside::Output {
            job: self.id,
            stream,
            bytes,
        })
    }

    fn feed_input(&mut self) {
        let Some(input) = &mut self.input else { return };
        while !input.waiting.is_empty() {
            let (front, _) = input.waiting.as_slices();
            match rustix::io::write(&input.fd, front) {
                Ok(count) => drop(input.waiting.drain(..count)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                // The program reads no more.
                Err(_) => {
                    self.input = None;
                    return;
                }
            }
        }
        if input.ended {
            self.input = None;
        }
    }

    /// The job's end, once all of its output has been passed on. `gone` says that a killed job's processes are.
    pub(super) fn finished(&mut self, gone: bool) -> Option<Finish> {
        if let Some((reason, _)) = self.killed {
            if !gone {
                return None;
            }
            // Nobody writes any more; what waits is all there is.
            for source in self.sources.iter_mut().filter(|source| source.left.is_none()) {
                source.left = Some(waiting_bytes(&source.fd));
            }
            let drained = self
                .sources
                .iter()
                .all(|source| source.done || source.left == Some(0));
            return drained.then_some(Finish {
                ending: Ending::Killed(reason),
                working_directory: None,
            });
        }
        let drained = self
            .sources
            .iter()
            .all(|source| source.done || source.left == Some(0));
        if drained { self.finish.take() } else { None }
    }

    /// Whether a killed job's processes have had long enough to be gone.
    pub(super) fn kill_overdue(&self, grace: Duration) -> bool {
        self.killed.is_some_and(|(_, at)| at.elapsed() > grace)
    }

    pub(super) fn take_spool(&mut self) -> Option<KeptOutput> {
        self.spool.take().and_then(Spool::finish)
    }
}

impl Source {
    /// The next bytes, or `None` when there are none for now.
    fn take(&mut self) -> Option<(Stream, Vec<u8>)> {
        if self.done || self.left == Some(0) {
            return None;
        }
        let mut bytes = vec![0; self.left.unwrap_or(OUTPUT_CHUNK).min(OUTPUT_CHUNK)];
        match rustix::io::read(&*self.fd, &mut bytes) {
            Ok(0) => self.done = true,
            Ok(count) => {
                bytes.truncate(count);
                self.left = self.left.map(|left| left.saturating_sub(count));
                return Some((self.stream, bytes));
            }
            Err(rustix::io::Errno::INTR) => {}
            // Less waits than was counted: somebody else read it. Then this is all.
            Err(rustix::io::Errno::AGAIN) => self.done = self.left.is_some(),
            // A terminal whose last user is gone answers EIO.
            Err(_) => self.done = true,
        }
        None
    }
}

/// A pipe for output: the end to read from, which never blocks, and the end to write to.
pub(super) fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller pipe works as well; the system may be short of pipe memory.
    let _ = fcntl_setpipe_size(&write, PIPE_SIZE);
    fcntl_setfl(&read, fcntl_getfl(&read)? | OFlags::NONBLOCK)?;
    Ok((read, write))
}

/// How many bytes to take from a source whose job is over.
fn waiting_bytes(fd: impl AsFd) -> usize {
    // A terminal counts only what has reached its first buffer; it is read until it is empty.
    if rustix::termios::isatty(&fd) {
        return MOST_TERMINAL;
    }
    rustix::io::ioctl_fionread(fd).map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// Limits of single processes, for a child before it starts a program. Those over all processes together are
/// the kernel's cgroups' and the supervisor's.
pub(super) fn limit_resources(limits: &super::super::policy::Limits) -> io::Result<()> {
    use rustix::process::Resource;
    // One byte and not none: the kernel hands dumps to a handler outside whatever the limit, unless it is exactly 1.
    system::limit(Resource::Core, 1)?;
    system::limit(Resource::Fsize, limits.file_size)?;
    system::limit(Resource::Nofile, limits.open_files)?;
    system::limit(Resource::Cpu, limits.cpu_time.as_secs().max(1))?;
    system::limit(Resource::Data, limits.memory)?;
    system::limit(Resource::Nproc, limits.processes.into())
}

/// When memory is short, the kernel shall end programs and not the supervisor.
pub(super) fn prefer_as_victim(pid: i32) {
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}
