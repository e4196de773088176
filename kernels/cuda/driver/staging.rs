//! What bytes pass through between this process and a device: memory that the device can copy from and to by itself ("pinned"), so that
//! copying goes on while this process does other things.
//!
//! Writes go through a ring of pieces. A piece is filled by as many writes as it holds, is followed by an event when it is full, and is
//! filled again when that event has come. So a write waits for the device only when the device is a whole ring behind; a write of
//! gigabytes fills one piece while the device copies the last ones. Reads have two pieces of their own.

#![allow(unsafe_code, reason = "the driver speaks C")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

use super::context::{Context, Event, Memory, Opaque, Stream, check, check_memory};
use crate::cuda::DeviceError;

/// Bytes of a piece. Copying that many takes the device tens of microseconds, several times what starting the copy does.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that writes go through.
const WRITE_PIECES: usize = 8;
/// Pieces that reads go through.
const READ_PIECES: usize = 2;
/// What the places of writes are multiples of: a line of the processor's cache.
const ALIGNMENT: usize = 64;

/// Pieces of pinned memory, and where the next write goes.
pub(super) struct Staging {
    context: Arc<Context>,
    pinned: Pinned,
    write_pieces: Vec<Piece>,
    read_pieces: Vec<Piece>,
    /// The piece that writes go to.
    current: usize,
    /// The bytes of it that are taken.
    used: usize,
}

/// A piece of the pinned memory.
struct Piece {
    /// Where it begins.
    start: usize,
    /// Comes when the device is done with it.
    done: Event,
    /// Whether the event has to be waited for.
    pending: bool,
}

impl Staging {
    /// Of a context that is current.
    pub(super) fn new(context: &Arc<Context>) -> Result<Staging, DeviceError> {
        let pinned = Pinned::new(context, (WRITE_PIECES + READ_PIECES) * PIECE_BYTES)?;
        let pieces = |numbers: std::ops::Range<usize>| {
            numbers
                .map(|number| {
                    Ok(Piece {
                        start: number * PIECE_BYTES,
                        done: Event::new(context, false)?,
                        pending: false,
                    })
                })
                .collect::<Result<Vec<Piece>, DeviceError>>()
        };
        Ok(Staging {
            write_pieces: pieces(0..WRITE_PIECES)?,
            read_pieces: pieces(WRITE_PIECES..WRITE_PIECES + READ_PIECES)?,
            context: Arc::clone(context),
            pinned,
            current: 0,
            used: 0,
        })
    }

    /// Puts bytes into memory from `offset` on, after what is in the stream.
    pub(super) fn write(
        &mut self,
        stream: &Stream,
        memory: &Memory,
        mut offset: usize,
        mut bytes: &[u8],
    ) -> Result<(), DeviceError> {
        memory.part(offset, bytes.len())?;
        while !bytes.is_empty() {
            if self.used == PIECE_BYTES {
                self.next_piece(stream)?;
            }
            let place = self.current * PIECE_BYTES + self.used;
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.used));
            let from = self.pinned.put(place, now)?;
            let to = memory.part(offset, now.len())?;
            // SAFETY: the device reads bytes of the pinned memory, which are not written again until the stream is past this copy and
            // which stay until the stream is done; it writes bytes of an allocation.
            let code =
                unsafe { (self.context.calls.cuMemcpyHtoDAsync_v2)(to, from, now.len(), stream.handle.0) };
            check("cuMemcpyHtoDAsync_v2", code)?;
            self.used = (self.used + now.len())
                .next_multiple_of(ALIGNMENT)
                .min(PIECE_BYTES);
            offset += now.len();
            bytes = later;
        }
        Ok(())
    }

    /// Leaves the current piece to the device, and takes the next one when the device is done with it.
    fn next_piece(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        if let Some(full) = self.write_pieces.get_mut(self.current) {
            full.done.record(stream)?;
            full.pending = true;
        }
        let next = (self.current + 1) % WRITE_PIECES;
        if let Some(piece) = self.write_pieces.get_mut(next) {
            piece.wait()?;
        }
        self.current = next;
        self.used = 0;
        Ok(())
    }

    /// Takes bytes out of memory from `offset` on, after what is in the stream, all of which is done then. At least one byte.
    pub(super) fn read(
        &mut self,
        stream: &Stream,
        memory: &Memory,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), DeviceError> {
        memory.part(offset, bytes.len())?;
        // What is on its way: always one part more than is being taken out.
        let mut coming: Option<(usize, &mut [u8])> = None;
        for (number, part) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
            let from = memory.part(offset + number * PIECE_BYTES, part.len())?;
            let to = number % READ_PIECES;
            self.fetch(stream, from, to, part.len())?;
            if let Some((piece, out)) = coming.replace((to, part)) {
                self.take(piece, out)?;
            }
        }
        if let Some((piece, out)) = coming {
            self.take(piece, out)?;
        }
        self.idle();
        Ok(())
    }

    /// Starts a copy from the device to a piece for reads, from which everything has been taken.
    fn fetch(&mut self, stream: &Stream, from: u64, piece: usize, count: usize) -> Result<(), DeviceError> {
        let Some(piece) = self.read_pieces.get_mut(piece) else {
            return Ok(());
        };
        let to = self.pinned.place(piece.start, count)?;
        // SAFETY: the device writes bytes of the pinned memory, which nobody reads before the event has come and which stay until the
        // stream is done; it reads bytes of an allocation.
        let code = unsafe { (self.context.calls.cuMemcpyDtoHAsync_v2)(to, from, count, stream.handle.0) };
        check("cuMemcpyDtoHAsync_v2", code)?;
        piece.done.record(stream)?;
        piece.pending = true;
        Ok(())
    }

    /// Waits for a piece for reads, and takes out what is in it.
    fn take(&mut self, piece: usize, out: &mut [u8]) -> Result<(), DeviceError> {
        let Some(piece) = self.read_pieces.get_mut(piece) else {
            return Ok(());
        };
        piece.wait()?;
        self.pinned.get(piece.start, out)
    }

    /// Begins again, since the stream is known to be done with everything.
    pub(super) fn idle(&mut self) {
        for piece in &mut self.write_pieces {
            piece.pending = false;
        }
        self.current = 0;
        self.used = 0;
    }
}

impl Piece {
    /// Waits until the device is done with it.
    fn wait(&mut self) -> Result<(), DeviceError> {
        if self.pending {
            self.done.wait()?;
            self.pending = false;
        }
        Ok(())
    }
}

/// Memory of this process that a device copies from and to.
struct Pinned {
    context: Arc<Context>,
    start: Opaque<c_void>,
    bytes: usize,
}

impl Pinned {
    fn new(context: &Arc<Context>, bytes: usize) -> Result<Pinned, DeviceError> {
        let mut start = null_mut();
        // SAFETY: stores an address.
        let code = unsafe { (context.calls.cuMemAllocHost_v2)(&raw mut start, bytes) };
        check_memory("cuMemAllocHost_v2", code, bytes as u64)?;
        Ok(Pinned {
            context: Arc::clone(context),
            start: Opaque(start),
            bytes,
        })
    }

    /// The address of a part of it.
    fn place(&self, offset: usize, count: usize) -> Result<*mut c_void, DeviceError> {
        match offset.checked_add(count) {
            // SAFETY: it is in the memory.
            Some(end) if end <= self.bytes => Ok(unsafe { self.start.0.byte_add(offset) }),
            _ => Err(DeviceError::Unknown("memory")),
        }
    }

    /// Puts bytes there, which the device is not using. Returns where they are.
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<*const c_void, DeviceError> {
        let to = self.place(offset, bytes.len())?;
        // SAFETY: so many bytes are there, of memory that is nowhere borrowed.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), bytes.len()) };
        Ok(to)
    }

    /// Takes bytes from there, which the device has put there.
    fn get(&self, offset: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let from = self.place(offset, bytes.len())?;
        // SAFETY: so many bytes are there, of memory that is nowhere borrowed.
        unsafe { std::ptr::copy_nonoverlapping(from.cast(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: taken in `new`, given back once. Who owns it has waited for the copies that use it.
        self.context
            .give_back(|calls| unsafe { (calls.cuMemFreeHost)(self.start.0) });
    }
}
