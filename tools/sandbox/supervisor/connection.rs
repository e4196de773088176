//! The supervisor's end of the control socket: non-blocking, with a bounded queue of what waits to be sent.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::PollFlags;

use super::super::protocol::{self, FromInside, ToInside};

/// Past this, programs' outputs are left in their pipes.
const ROOM: usize = 1 << 20;

pub(super) struct Connection {
    socket: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
}

impl Connection {
    pub(super) fn new(socket: UnixStream) -> io::Result<Connection> {
        socket.set_nonblocking(true)?;
        Ok(Connection {
            socket,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
        })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn interest(&self) -> PollFlags {
        if self.outgoing.len() > self.sent {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.outgoing.len() - self.sent < ROOM
    }

    /// Reads and writes what can be without waiting. `false` when the host is gone.
    pub(super) fn exchange(&mut self) -> io::Result<bool> {
        self.flush()?;
        let mut chunk = [0; 64 << 10];
        loop {
            // A host that sends faster than it is served waits in its own socket.
            if self.incoming.len() > protocol::MAX_FRAME {
                return Ok(true);
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return Ok(false),
                Ok(count) => self
                    .incoming
                    .extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(false),
            }
        }
    }

    /// The next whole message that has arrived.
    pub(super) fn next(&mut self) -> io::Result<Option<ToInside>> {
        let Some(&head) = self.incoming.first_chunk::<4>() else {
            return Ok(None);
        };
        let end = 4 + protocol::frame_length(head)?;
        let Some(body) = self.incoming.get(4..end) else {
            return Ok(None);
        };
        let message = protocol::decode(body)?;
        self.incoming.drain(..end);
        Ok(Some(message))
    }

    pub(super) fn send(&mut self, message: &FromInside) -> io::Result<()> {
        self.outgoing.extend(protocol::encode(message)?);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The host is gone: the next read tells.
                Err(_) => {
                    self.outgoing.clear();
                    self.sent = 0;
                    return Ok(());
                }
            }
        }
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        } else if self.sent > ROOM {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
        Ok(())
    }
}

/// Reads and drops what waits in a non-blocking descriptor: all of it, unless somebody writes as fast as it is read.
pub(super) fn drain(fd: impl AsFd) {
    let mut scrap = [0u8; 4096];
    let mut turns = 0..256;
    while turns.next().is_some() && rustix::io::read(&fd, &mut scrap).is_ok_and(|count| count > 0) {}
}
