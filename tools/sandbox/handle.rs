//! The host's end of a sandbox: starts it, has one thing at a time run in it, and ends it when dropped.

use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cgroup::Cgroup;
use super::helper;
use super::policy::{Mount, Policy};
use super::protocol::{
    self, Ending, FromInside, Isolation, JobSpec, KeptOutput, KillReason, Plan, ProgramSpec, SpoolSpec,
    Stream, ToInside,
};
use super::task::Task;

/// How long a sandbox may take to stand.
const START: Duration = Duration::from_secs(30);
/// How long the command of a trial may take.
const PROBE: Duration = Duration::from_secs(10);
/// How long a sandbox may take to end by itself.
const END: Duration = Duration::from_secs(5);
/// Between two looks at it.
const END_LOOK: Duration = Duration::from_micros(300);
/// How much longer than a command's own timeout the host waits for the supervisor's word.
const GRACE: Duration = Duration::from_secs(30);

/// Why a sandbox cannot be had, or is lost.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The system lacks what the sandbox needs.
    #[error("no sandbox: could not {stage}: {message}. {advice}")]
    Unavailable {
        /// The step that failed.
        stage: String,
        /// The system's word.
        message: String,
        /// What to do.
        advice: String,
    },
    /// The helper could not be started.
    #[error("no sandbox: could not start its helper `{}`: {error}", program.display())]
    Helper {
        /// The program that was to be started.
        program: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The sandbox ended while it was needed.
    #[error("the sandbox ended unexpectedly ({0}); out of memory is the usual cause")]
    Lost(String),
    /// What was asked for cannot be asked.
    #[error("{0}")]
    Refused(String),
}

/// What a trial of the sandbox found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// From nothing to a command's end.
    pub time: Duration,
    /// As [`Sandbox::weaker`].
    pub weaker: Vec<String>,
}

/// Receives output as it comes.
pub trait Sink {
    /// Takes bytes; slow takers slow the program down.
    fn take(&mut self, stream: Stream, bytes: &[u8]);
}

impl<F: FnMut(Stream, &[u8])> Sink for F {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        self(stream, bytes);
    }
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// How.
    pub ending: Ending,
    /// Where the shell stands now, inside.
    pub working_directory: Option<PathBuf>,
    /// The file, inside, that keeps a long output.
    pub spool: Option<KeptOutput>,
    /// The shell had ended unseen since its last command, in this way: this one ran in a fresh one.
    pub lost_before: Option<Ending>,
}

/// What keeps a sandbox's processes, outside.
pub(crate) trait Holder: Send {
    /// Ends them all, whatever state they are in. Called once the control socket is closed, which ends a healthy sandbox
    /// by itself.
    fn end(&mut self);
}

/// The process that waits for a namespace's PID 1, and the control group around both. When that process dies the
/// kernel kills the namespace.
struct HeldProcess {
    child: Child,
    // Removed when dropped, once the processes are gone.
    _cgroup: Cgroup,
}

impl Holder for HeldProcess {
    fn end(&mut self) {
        // The supervisor has seen its socket close, ends all processes and then itself; only then can the control group be
        // removed. One that does not is killed, and in a namespace all others with it.
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(END_LOOK),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running sandbox. One job at a time; several sandboxes may run at once. Dropping it ends every process in it.
pub struct Sandbox {
    socket: UnixStream,
    holder: Box<dyn Holder>,
    next_job: u32,
    current: Arc<AtomicU32>,
    writer: Arc<Mutex<UnixStream>>,
    weaker: Vec<String>,
    policy: Policy,
}

/// Interrupts a sandbox's running job from another thread.
#[derive(Clone)]
pub struct Interrupt {
    current: Arc<AtomicU32>,
    writer: Arc<Mutex<UnixStream>>,
}

impl Interrupt {
    /// Lets the running job clean up as after Ctrl-C; it is killed soon after.
    pub fn interrupt(&self) {
        self.send(|job| ToInside::Interrupt { job });
    }

    /// Kills the running job and all it started.
    pub fn kill(&self, reason: KillReason) {
        self.send(|job| ToInside::Kill { job, reason });
    }

    fn send(&self, message: impl FnOnce(u32) -> ToInside) {
        let job = self.current.load(Ordering::SeqCst);
        if job != 0 {
            let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = protocol::write_frame(&mut *writer, &message(job));
        }
    }
}

impl Sandbox {
    /// Starts a sandbox in namespaces of its own. `program` is the `cwm` binary, or another that calls
    /// [`helper::dispatch`] first.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] names what the system lacks and what to do about it. Nothing weaker is tried.
    pub fn start(program: &Path, policy: Policy) -> Result<Sandbox, SandboxError> {
        Sandbox::start_process(program, policy, Isolation::Namespaces)
    }

    /// Starts a sandbox in namespaces, runs a command in its shell, and ends it: to know that it works here.
    pub fn probe(program: &Path, policy: Policy) -> Result<Probe, SandboxError> {
        let start = Instant::now();
        let mut sandbox = Sandbox::start(program, policy)?;
        let spool = SpoolSpec {
            after: u64::MAX,
            name: None,
        };
        let outcome = sandbox.run_in_shell(b":", PROBE, spool, &mut |_: Stream, _: &[u8]| {})?;
        match outcome.ending {
            Ending::Exited(0) => Ok(Probe {
                time: start.elapsed(),
                weaker: std::mem::take(&mut sandbox.weaker),
            }),
            ending => Err(SandboxError::Refused(format!(
                "a shell in the sandbox did not work: {ending}"
            ))),
        }
    }

    /// Starts the same supervisor with nothing around it but limits and the policy's environment: the user's own word that
    /// this machine is the sandbox already. Mounts, hidden paths and the network of the policy mean nothing here, but
    /// for `writable`, the folder that the file tools are confined to.
    pub fn start_external(
        program: &Path,
        mut policy: Policy,
        writable: PathBuf,
    ) -> Result<Sandbox, SandboxError> {
        policy.mounts = vec![Mount::Writable {
            source: writable.clone(),
            target: writable,
        }];
        Sandbox::start_process(program, policy, Isolation::External)
    }

    fn start_process(program: &Path, policy: Policy, isolation: Isolation) -> Result<Sandbox, SandboxError> {
        let (socket, inside) = UnixStream::pair().map_err(|error| SandboxError::Lost(error.to_string()))?;
        let mut command = Command::new(program);
        command.arg(helper::WORD).env_clear().current_dir("/");
        command
            .stdin(Stdio::from(OwnedFd::from(inside)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A terminal's Ctrl-C is the host's to handle.
        command.process_group(0);
        let child = command.spawn().map_err(|error| SandboxError::Helper {
            program: program.to_owned(),
            error,
        })?;
        drop(command);
        // The helper waits for its first message before it starts anything, so nothing escapes the group.
        let cgroup = Cgroup::create(&policy.limits);
        cgroup.add(child.id());
        let holder = HeldProcess {
            child,
            _cgroup: cgroup,
        };
        Sandbox::begin_with(socket, Box::new(holder), policy, isolation)
    }

    /// Begins a sandbox whose helper listens at the other end of `socket`, and which `holder` can end.
    pub(crate) fn begin_with(
        socket: UnixStream,
        holder: Box<dyn Holder>,
        policy: Policy,
        isolation: Isolation,
    ) -> Result<Sandbox, SandboxError> {
        let writer = socket
            .try_clone()
            .map_err(|error| SandboxError::Lost(error.to_string()))?;
        let mut sandbox = Sandbox {
            socket,
            holder,
            next_job: 1,
            current: Arc::new(AtomicU32::new(0)),
            writer: Arc::new(Mutex::new(writer)),
            weaker: Vec::new(),
            policy,
        };
        sandbox.begin(isolation)?;
        Ok(sandbox)
    }

    fn begin(&mut self, isolation: Isolation) -> Result<(), SandboxError> {
        let plan = Plan {
            policy: self.policy.clone(),
            isolation,
        };
        self.send(&ToInside::Begin(Box::new(plan)))?;
        match self.receive(START)? {
            FromInside::Ready { weaker } => {
                self.weaker = weaker;
                Ok(())
            }
            FromInside::Failed {
                stage,
                errno,
                message,
            } => {
                let advice = super::advice::for_failure(&stage, errno);
                Err(SandboxError::Unavailable {
                    stage,
                    message,
                    advice,
                })
            }
            _ => Err(SandboxError::Lost("its first word was not understood".to_owned())),
        }
    }

    /// What this system could not lock, and what need not be locked for the sandbox to hold.
    pub fn weaker(&self) -> &[String] {
        &self.weaker
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Something to interrupt jobs with.
    pub fn interrupter(&self) -> Interrupt {
        Interrupt {
            current: self.current.clone(),
            writer: self.writer.clone(),
        }
    }

    /// Runs a program, its two outputs apart. `input` is sent to it; `None` gives it no input.
    pub fn run(
        &mut self,
        mut spec: ProgramSpec,
        timeout: Duration,
        input: Option<&mut (dyn io::Read + Send)>,
        sink: &mut dyn Sink,
    ) -> Result<JobOutcome, SandboxError> {
        spec.input = input.is_some();
        let job = self.begin_job(JobSpec::Program(spec), timeout)?;
        let Some(input) = input else {
            return self.follow(job, timeout, sink);
        };
        let writer = self.writer.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || send_input(job, input, &writer));
            self.follow(job, timeout, sink)
        })
    }

    /// Runs a command in the persistent shell. A long output is kept in a file inside.
    pub(crate) fn run_in_shell(
        &mut self,
        script: &[u8],
        timeout: Duration,
        spool: SpoolSpec,
        sink: &mut dyn Sink,
    ) -> Result<JobOutcome, SandboxError> {
        let job = self.begin_job(
            JobSpec::Shell {
                script: script.to_vec(),
                spool,
            },
            timeout,
        )?;
        self.follow(job, timeout, sink)
    }

    /// Has our own code do something inside. Its result comes as output.
    pub(crate) fn run_task(
        &mut self,
        task: Task,
        timeout: Duration,
        sink: &mut dyn Sink,
    ) -> Result<JobOutcome, SandboxError> {
        let job = self.begin_job(JobSpec::Task(Box::new(task)), timeout)?;
        self.follow(job, timeout, sink)
    }

    fn begin_job(&mut self, what: JobSpec, timeout: Duration) -> Result<u32, SandboxError> {
        let job = self.next_job;
        self.next_job = self.next_job.checked_add(1).unwrap_or(1);
        self.current.store(job, Ordering::SeqCst);
        self.send(&ToInside::Start { job, what, timeout })?;
        Ok(job)
    }

    /// Passes on a job's output until it ends.
    fn follow(
        &mut self,
        job: u32,
        timeout: Duration,
        sink: &mut dyn Sink,
    ) -> Result<JobOutcome, SandboxError> {
        let outcome = loop {
            match self.receive(timeout.saturating_add(GRACE))? {
                FromInside::Output {
                    job: of,
                    stream,
                    bytes,
                } if of == job => sink.take(stream, &bytes),
                FromInside::Ended {
                    job: of,
                    ending,
                    working_directory,
                    spool,
                    lost_before,
                } if of == job => {
                    break JobOutcome {
                        ending,
                        working_directory,
                        spool,
                        lost_before,
                    };
                }
                _ => return Err(self.lost("it spoke of a job that is not running")),
            }
        };
        self.current.store(0, Ordering::SeqCst);
        Ok(outcome)
    }

    fn send(&mut self, message: &ToInside) -> Result<(), SandboxError> {
        let frame = protocol::encode(message).map_err(|error| SandboxError::Refused(error.to_string()))?;
        let sent = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&frame);
        sent.map_err(|error| self.lost(&error.to_string()))
    }

    fn receive(&mut self, patience: Duration) -> Result<FromInside, SandboxError> {
        let set = self.socket.set_read_timeout(Some(patience));
        match set.and_then(|()| protocol::read_frame(&mut self.socket)) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.lost("its supervisor is gone")),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(self.lost("its supervisor does not answer"))
            }
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// Ends what is left, so that nothing runs on unseen.
    fn lost(&mut self, why: &str) -> SandboxError {
        self.end();
        SandboxError::Lost(why.to_owned())
    }

    fn end(&mut self) {
        // The supervisor ends itself, and with it all processes, when its socket closes. Killing its outer parent makes
        // the kernel do the same, should it not.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.holder.end();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

fn send_input(job: u32, input: &mut (dyn io::Read + Send), writer: &Mutex<UnixStream>) {
    let mut chunk = vec![0; protocol::OUTPUT_CHUNK];
    loop {
        let message = match input.read(&mut chunk) {
            Ok(0) => ToInside::InputEnd { job },
            Ok(count) => ToInside::Input {
                job,
                bytes: chunk.get(..count).unwrap_or_default().to_vec(),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => ToInside::InputEnd { job },
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = protocol::write_frame(&mut *writer, &message);
        if sent.is_err() || matches!(message, ToInside::InputEnd { .. }) {
            return;
        }
    }
}
