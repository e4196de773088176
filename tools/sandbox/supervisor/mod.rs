//! The process that stays inside a sandbox: it starts programs, owns their outputs, counts their time, and
//! answers the host over one socket. In the namespaces back end it is PID 1, so its end is everybody's end.
//!
//! One thread and one `poll` loop, so that it may fork at any time and nothing in it can deadlock. Its memory is
//! bounded: when the host does not read, it stops reading programs' outputs, and the programs wait.
//! When the host is gone, so is the sandbox.

mod connection;
mod job;
mod processes;
mod shell;
mod spool;
mod terminal;
mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::connection::Connection;
use self::job::{Finish, Job};
use self::processes::Processes;
use self::shell::Shell;
use self::watch::Watch;
use super::container::inside;
use super::namespaces::{self, SetupError};
use super::protocol::{self, Ending, FromInside, Isolation, JobSpec, KillReason, Plan, SpoolSpec, ToInside};
use super::system::{self, WaitStatus};

/// How often a running shell command's terminal and the limits without a kernel's counter are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often the same limits are looked at while no job runs, for background processes may pass them too.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How long an interrupted job may clean up.
const INTERRUPT_GRACE: Duration = Duration::from_secs(3);
/// How long killed processes may take to be gone before the job is reported all the same.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// Runs the helper: sets up the sandbox that the host describes, then serves until the host is gone.
pub(super) fn run() -> i32 {
    let socket = inside::control_socket().unwrap_or_else(namespaces::take_control_socket);
    let Ok(mut socket) = socket else {
        return 125;
    };
    let mut plan = match protocol::read_frame::<ToInside>(&mut socket) {
        Ok(Some(ToInside::Begin(plan))) => plan,
        _ => return 125,
    };
    match set_up(&mut plan) {
        Ok((processes, signals, weaker)) => {
            if protocol::write_frame(&mut socket, &FromInside::Ready { weaker }).is_err() {
                return 0;
            }
            match Supervisor::new(socket, *plan, processes, signals).and_then(Supervisor::serve) {
                Ok(()) => 0,
                Err(_) => 1,
            }
        }
        Err(SetupError { stage, error }) => {
            let errno = error.raw_os_error().unwrap_or(0);
            let failed = FromInside::Failed {
                stage,
                errno,
                message: error.to_string(),
            };
            let _ = protocol::write_frame(&mut socket, &failed);
            125
        }
    }
}

fn set_up(plan: &mut Plan) -> Result<(Processes, OwnedFd, Vec<String>), SetupError> {
    use super::namespaces::AtStage;
    match plan.isolation {
        Isolation::Namespaces => {
            namespaces::enter(plan)?;
            namespaces::build_view(plan)?;
        }
        Isolation::Container => inside::prepare(&mut plan.policy, shell::bash().is_ok())?,
        Isolation::External => {}
    }
    system::adopt_orphans().at("adopt orphaned processes")?;
    let processes = Processes::new(plan.isolation, &plan.policy.limits);
    if plan.isolation == Isolation::Container && processes.counted_by_kernel {
        // The limit of one user's processes would count those outside of the container too.
        plan.policy.limits.processes = u32::MAX;
    }
    system::ignore_signals();
    shell::make_session_folder(plan.isolation).at("create the session's folder")?;
    rustix::process::chdir(&plan.policy.working_directory)
        .at(format!("enter {}", plan.policy.working_directory.display()))?;
    let weaker = match plan.isolation {
        Isolation::Namespaces => namespaces::lock_down(&plan.policy)?,
        Isolation::Container => inside::lock_down(&plan.policy)?,
        Isolation::External => Vec::new(),
    };
    system::forbid_inspection().at("close the supervisor to inspection")?;
    let signals = system::child_signals().at("watch for ended processes")?;
    Ok((processes, signals, weaker))
}

struct Supervisor {
    connection: Connection,
    plan: Plan,
    processes: Processes,
    signals: OwnedFd,
    watch: Watch,
    shell: Option<Shell>,
    /// How a shell ended while no command ran in it; the next command's result tells.
    lost: Option<Ending>,
    job: Option<Job>,
}

impl Supervisor {
    fn new(socket: UnixStream, plan: Plan, processes: Processes, signals: OwnedFd) -> io::Result<Supervisor> {
        let watch = Watch::new(&plan.policy.limits);
        Ok(Supervisor {
            connection: Connection::new(socket)?,
            plan,
            processes,
            signals,
            watch,
            shell: None,
            lost: None,
            job: None,
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let end = Instant::now() + self.plan.policy.limits.wall_time;
        loop {
            self.wait(end)?;
            if Instant::now() >= end || !self.connection.exchange()? {
                self.processes.kill_all();
                return Ok(());
            }
            while let Some(message) = self.connection.next()? {
                self.take(message)?;
            }
            self.reap()?;
            if let Some(shell) = self
                .shell
                .as_mut()
                .filter(|_| self.job.as_ref().is_some_and(Job::is_shell))
            {
                shell.tend();
            }
            self.advance()?;
            self.check_limits();
        }
    }

    /// Sleeps until something can be done.
    fn wait(&self, end: Instant) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::from_borrowed_fd(self.connection.as_fd(), self.connection.interest()),
        ];
        let roomy = self.connection.has_room();
        if let Some(job) = &self.job {
            job.add_interest(&mut fds, roomy);
        }
        if let Some(shell) = &self.shell {
            shell.add_interest(&mut fds, !self.job.as_ref().is_some_and(Job::is_shell));
        }
        let mut until = end;
        if let Some(job) = &self.job {
            until = until.min(job.deadline).min(Instant::now() + TICK);
        } else if let Some(shell) = &self.shell {
            let wake = shell.wakes_at().unwrap_or(end);
            until = until.min(wake).min(Instant::now() + IDLE_TICK);
        }
        let timeout = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, message: ToInside) -> io::Result<()> {
        match message {
            ToInside::Begin(_) => Err(io::Error::other("the sandbox was begun twice")),
            ToInside::Start { job, what, timeout } => self.start(job, what, timeout),
            ToInside::Input { job, bytes } => {
                self.running(job, |job| job.push_input(bytes));
                Ok(())
            }
            ToInside::InputEnd { job } => {
                self.running(job, Job::end_input);
                Ok(())
            }
            ToInside::Kill { job, reason } => {
                if self.job.as_ref().is_some_and(|running| running.id == job) {
                    self.kill(reason);
                }
                Ok(())
            }
            ToInside::Interrupt { job } => {
                let is_it = self.job.as_ref().is_some_and(|running| running.id == job);
                if is_it {
                    self.processes.signal_all(libc::SIGINT);
                    self.running(job, |job| {
                        job.expire_within(INTERRUPT_GRACE, KillReason::Cancelled)
                    });
                }
                Ok(())
            }
        }
    }

    fn running(&mut self, id: u32, act: impl FnOnce(&mut Job)) {
        if let Some(job) = self.job.as_mut().filter(|job| job.id == id) {
            act(job);
        }
    }

    fn start(&mut self, id: u32, what: JobSpec, timeout: Duration) -> io::Result<()> {
        if self.job.is_some() {
            return self.refuse(id, &io::Error::other("another command is still running"));
        }
        let started = match what {
            JobSpec::Shell { script, spool } => self.start_shell_command(id, &script, spool),
            JobSpec::Program(spec) => Job::program(id, &spec, &self.plan.policy),
            JobSpec::Task(task) => Job::task(id, *task, &self.plan.policy),
        };
        match started {
            Ok(mut job) => {
                job.deadline = Instant::now() + timeout;
                self.job = Some(job);
                Ok(())
            }
            Err(error) => self.refuse(id, &error),
        }
    }

    fn start_shell_command(&mut self, id: u32, script: &[u8], spool: SpoolSpec) -> io::Result<Job> {
        let shell = match &mut self.shell {
            Some(shell) => shell,
            none => none.insert(Shell::start(&self.plan)?),
        };
        shell.command(script)?;
        let (outputs, earlier) = shell.outputs();
        Ok(Job::shell(id, spool, outputs, earlier))
    }

    fn refuse(&mut self, job: u32, error: &io::Error) -> io::Result<()> {
        let ending = Ending::NotStarted {
            missing: error.kind() == io::ErrorKind::NotFound,
            why: error.to_string(),
        };
        self.connection.send(&FromInside::Ended {
            job,
            ending,
            working_directory: None,
            spool: None,
            lost_before: None,
        })
    }

    /// Takes note of ended processes.
    fn reap(&mut self) -> io::Result<()> {
        connection::drain(&self.signals);
        while let Ok(Some((pid, status))) = system::reap_any() {
            if let Some(job) = &mut self.job {
                job.child_ended(pid, status);
            }
            if self.shell.as_ref().is_some_and(|shell| shell.pid == pid) {
                self.shell_ended(status);
            }
        }
        Ok(())
    }

    /// The shell is gone. Its output is still drained for the running command; the next command gets a new one.
    fn shell_ended(&mut self, status: WaitStatus) {
        let ending = match status {
            WaitStatus::Exited(code) => Ending::ShellExited(code),
            WaitStatus::Signalled(signal) => Ending::Signalled(signal),
        };
        self.shell = None;
        match self.job.as_mut().filter(|job| job.is_shell()) {
            Some(job) => job.finish_with(ending, None),
            None => self.lost = Some(ending),
        }
    }

    /// Moves output to the host, and sees whether the job is over.
    fn advance(&mut self) -> io::Result<()> {
        if let Some(shell) = &mut self.shell {
            match self.job.as_mut().filter(|job| job.is_shell()) {
                Some(job) => {
                    if let Some(status) = shell.take_report() {
                        job.finish_with(Ending::Exited(status), shell.working_directory());
                    }
                }
                None => shell.keep_background_output(),
            }
        }
        let Some(job) = &mut self.job else { return Ok(()) };
        job.forward(&mut self.connection)?;
        let gone = job.killed.is_some() && (self.processes.all_gone() || job.kill_overdue(KILL_GRACE));
        if let Some(Finish {
            ending,
            working_directory,
        }) = job.finished(gone)
        {
            let (id, spool) = (job.id, job.take_spool());
            let lost_before = if job.is_shell() { self.lost.take() } else { None };
            self.job = None;
            self.connection.send(&FromInside::Ended {
                job: id,
                ending,
                working_directory,
                spool,
                lost_before,
            })?;
            self.connection.flush()?;
        }
        Ok(())
    }

    /// Ends the job when its time is over, or a limit that the supervisor counts is passed.
    fn check_limits(&mut self) {
        let Some(job) = &self.job else {
            if self.shell.is_some()
                && let Some(reason) = self.watch.exceeded(&self.processes)
            {
                self.shell = None;
                self.lost = Some(Ending::Killed(reason));
                self.processes.kill_all();
            }
            return;
        };
        if job.killed.is_some() {
            self.processes.kill_all();
            return;
        }
        if job.is_finishing() {
            return;
        }
        if Instant::now() >= job.deadline {
            let reason = job.expiry;
            self.kill(reason);
        } else if let Some(reason) = self.watch.exceeded(&self.processes) {
            self.kill(reason);
        }
    }

    fn kill(&mut self, reason: KillReason) {
        if let Some(job) = &mut self.job
            && job.killed.is_none()
        {
            job.killed = Some((reason, Instant::now()));
            // A program's end takes the shell beside it along.
            if self.shell.take().is_some() && !job.is_shell() {
                self.lost = Some(Ending::Killed(reason));
            }
        }
        self.processes.kill_all();
    }
}
