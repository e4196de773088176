//! A device that is this process: its memory is the process's, and its kernels are emulated.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::{Emulator, Order};
use crate::cuda::{Accelerator, DeviceError, DevicePointer, Graph, Mark, RecordedLaunch};

/// What addresses of memory are a multiple of, as on a device.
const ALIGNMENT: usize = 256;

/// Emulates a device. What is wrong with the order of a block's threads shows when the same is run in several [`Order`]s.
pub struct EmulatedAccelerator {
    emulator: Emulator,
    /// Launches take them in turn.
    orders: Vec<Order>,
    launched: usize,
    limit: u64,
    /// By their addresses: what was allocated, with room to align it.
    memory: BTreeMap<u64, Vec<u8>>,
    graphs: BTreeMap<Graph, Vec<RecordedLaunch>>,
    marks: BTreeMap<Mark, Instant>,
    next: u64,
}

impl EmulatedAccelerator {
    /// A device with `limit` bytes of memory, whose compiled kernels are kept in `folder`.
    ///
    /// # Safety
    /// All launches that it is given name its own memory only, and no more of it than is there. (Bytes that are written, filled or read
    /// are checked.)
    #[allow(
        unsafe_code,
        reason = "kernels are called with the addresses that launches name"
    )]
    pub unsafe fn new(folder: &Path, order: Order, limit: u64) -> EmulatedAccelerator {
        EmulatedAccelerator {
            emulator: Emulator::new(folder),
            orders: vec![order],
            launched: 0,
            limit,
            memory: BTreeMap::new(),
            graphs: BTreeMap::new(),
            marks: BTreeMap::new(),
            next: 0,
        }
    }

    /// The same device, whose launches run in these orders in turn: a launch that is repeated as often as there are orders has run in each.
    #[must_use]
    pub fn in_turn(self, orders: &[Order]) -> EmulatedAccelerator {
        EmulatedAccelerator {
            orders: orders.to_vec(),
            ..self
        }
    }

    /// The order of the next launch.
    fn next_order(&mut self) -> Order {
        let turn = self.launched.checked_rem(self.orders.len()).unwrap_or_default();
        self.launched += 1;
        self.orders.get(turn).copied().unwrap_or(Order::Forward)
    }

    /// The bytes at an address; `None` when they were not allocated as one.
    fn bytes_at(&mut self, at: DevicePointer, count: usize) -> Result<&mut [u8], DeviceError> {
        let found = self.memory.range_mut(..=at.0).next_back();
        found
            .and_then(|(start, bytes)| {
                let first = aligned(bytes) + usize::try_from(at.0 - start).ok()?;
                bytes.get_mut(first..first.checked_add(count)?)
            })
            .ok_or_else(|| {
                DeviceError::Emulation(format!("{count} bytes at address {:#x} are not its memory", at.0))
            })
    }

    fn used(&self) -> u64 {
        self.memory.values().map(|bytes| bytes.len() as u64).sum()
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Where the first aligned byte is.
fn aligned(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(ALIGNMENT)
}

impl Accelerator for EmulatedAccelerator {
    fn name(&self) -> String {
        "emulated device".to_owned()
    }

    fn memory(&mut self) -> Result<(u64, u64), DeviceError> {
        Ok((self.limit.saturating_sub(self.used()), self.limit))
    }

    fn allocate(&mut self, bytes: u64) -> Result<DevicePointer, DeviceError> {
        let none = DeviceError::OutOfMemory { bytes };
        if self.used().saturating_add(bytes) > self.limit {
            return Err(none);
        }
        let size = usize::try_from(bytes)
            .ok()
            .and_then(|bytes| bytes.checked_add(ALIGNMENT));
        let size = size.ok_or(none)?;
        // NaN in all formats, so that what is read before it is written shows.
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(size)
            .map_err(|_| DeviceError::OutOfMemory { bytes })?;
        memory.resize(size, 0xff);
        let address = memory.as_ptr() as u64 + aligned(&memory) as u64;
        self.memory.insert(address, memory);
        Ok(DevicePointer(address))
    }

    fn free(&mut self, memory: DevicePointer) {
        self.memory.remove(&memory.0);
    }

    fn write(&mut self, to: DevicePointer, bytes: &[u8]) -> Result<(), DeviceError> {
        self.bytes_at(to, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn fill(&mut self, to: DevicePointer, value: u8, bytes: u64) -> Result<(), DeviceError> {
        self.bytes_at(to, bytes as usize)?.fill(value);
        Ok(())
    }

    fn read(&mut self, from: DevicePointer, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.copy_from_slice(self.bytes_at(from, bytes.len())?);
        Ok(())
    }

    #[allow(
        unsafe_code,
        reason = "kernels are called with the addresses that launches name"
    )]
    fn launch(&mut self, launch: &RecordedLaunch) -> Result<(), DeviceError> {
        let order = self.next_order();
        // SAFETY: the argument lives as long as `launch`; that its addresses are good was promised when this device was made.
        let done = unsafe { self.emulator.launch_raw(&launch.raw(), order) };
        done.map_err(|error| DeviceError::Emulation(error.to_string()))
    }

    fn prepare(&mut self, launches: &[RecordedLaunch]) -> Result<Graph, DeviceError> {
        let graph = Graph(self.next());
        self.graphs.insert(graph, launches.to_vec());
        Ok(graph)
    }

    fn run(&mut self, graph: Graph) -> Result<(), DeviceError> {
        let launches = self.graphs.remove(&graph).ok_or(DeviceError::Unknown("graph"))?;
        let done = launches.iter().try_for_each(|launch| self.launch(launch));
        self.graphs.insert(graph, launches);
        done
    }

    fn discard(&mut self, graph: Graph) {
        self.graphs.remove(&graph);
    }

    fn synchronise(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn mark(&mut self) -> Result<Mark, DeviceError> {
        let mark = Mark(self.next());
        self.marks.insert(mark, Instant::now());
        Ok(mark)
    }

    fn elapsed(&mut self, from: Mark, to: Mark) -> Result<f64, DeviceError> {
        let (from, to) = (self.marks.remove(&from), self.marks.remove(&to));
        match (from, to) {
            (Some(from), Some(to)) => Ok(to.saturating_duration_since(from).as_secs_f64()),
            _ => Err(DeviceError::Unknown("mark")),
        }
    }
}
