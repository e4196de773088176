//! The pseudo-terminal that is a shell's standard input and controlling terminal.
//!
//! Nobody sits at it, so whoever reads from it is told "end of file" at once: programs that page, prompt
//! or open `/dev/tty` go on or give up, and none hangs. In line mode one end-of-file mark is always kept waiting.
//! A program that switched to reading single keys gets one such mark and then empty reads.
//! What is written to the terminal (a prompt, say) is output like any other.
//!
//! `rustix` and not the crate `portable-pty`: that one always makes the terminal a program's output too, and its own
//! child set-up cannot be told otherwise; here commands must write to pipes, byte for byte.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, OutputModes, QueueSelector, SpecialCodeIndex, Termios, Winsize, tcflush,
    tcgetattr, tcsetattr, tcsetwinsize,
};

const END_OF_FILE: u8 = 4;

pub(super) struct Terminal {
    pub(super) master: Rc<OwnedFd>,
    slave: OwnedFd,
    plain: Termios,
    /// A mark was given to a program that reads single keys.
    key_given: bool,
}

impl Terminal {
    pub(super) fn open() -> io::Result<Terminal> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(
            &master,
            OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
        )?;
        let mut plain = tcgetattr(&slave)?;
        plain.local_modes.remove(LocalModes::ECHO | LocalModes::ECHOCTL);
        plain.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        plain.output_modes.remove(OutputModes::OPOST);
        plain.special_codes[SpecialCodeIndex::VEOF] = END_OF_FILE;
        tcsetwinsize(
            &slave,
            Winsize {
                ws_row: 24,
                ws_col: 80,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let terminal = Terminal {
            master: Rc::new(master),
            slave,
            plain,
            key_given: false,
        };
        terminal.reset_modes()?;
        Ok(terminal)
    }

    /// The end that a shell gets.
    pub(super) fn for_shell(&self) -> io::Result<OwnedFd> {
        self.slave.try_clone()
    }

    fn reset_modes(&self) -> io::Result<()> {
        Ok(tcsetattr(&self.slave, OptionalActions::Now, &self.plain)?)
    }

    /// Undoes what the last command did to the terminal.
    pub(super) fn reset(&mut self) {
        self.key_given = false;
        let _ = self.reset_modes();
        let _ = tcflush(&self.slave, QueueSelector::IFlush);
        self.answer_readers();
    }

    /// Sees to it that a reader finds the end of file.
    pub(super) fn answer_readers(&mut self) {
        let Ok(mut modes) = tcgetattr(&self.slave) else {
            return;
        };
        if modes.local_modes.contains(LocalModes::ICANON) {
            self.key_given = false;
            // A program may have given the mark another key.
            let mark = modes.special_codes[SpecialCodeIndex::VEOF];
            if !self.readable() && mark != 0 {
                let _ = rustix::io::write(&*self.master, &[mark]);
            }
        } else if !self.key_given || modes.special_codes[SpecialCodeIndex::VMIN] != 0 {
            modes.special_codes[SpecialCodeIndex::VMIN] = 0;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = tcsetattr(&self.slave, OptionalActions::Now, &modes);
            // Wakes a reader that waits already.
            let _ = rustix::io::write(&*self.master, &[END_OF_FILE]);
            self.key_given = true;
        }
    }

    fn readable(&self) -> bool {
        let mut fds = [PollFd::new(&self.slave, PollFlags::IN)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .is_ok_and(|count| count > 0)
    }
}
