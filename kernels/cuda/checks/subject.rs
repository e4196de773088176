//! What is checked: an accelerator, and its memory with guards on both sides.

use std::cell::RefCell;
use std::sync::LazyLock;

use half::bf16;

use super::finding::{Finding, ensure};
use super::random::Random;
use crate::cuda::{Accelerator, DeviceError, DevicePointer, Launch, MatrixLibraryUse, NoMatrixLibrary};

/// Bytes on both sides of a buffer that nobody may write, and whose floats are NaN.
const GUARD: usize = 256;

/// An accelerator that is being checked, and how.
pub struct Subject {
    accelerator: RefCell<Box<dyn Accelerator>>,
    repeats: usize,
    seed: u64,
}

impl Subject {
    /// Every launch is run `repeats` times from the same contents of memory, which must give the same bits: at least twice on a GPU, to find
    /// races, and as often as the emulation has orders. Inputs are made from the seed.
    pub fn new(accelerator: Box<dyn Accelerator>, repeats: usize, seed: u64) -> Subject {
        Subject {
            accelerator: RefCell::new(accelerator),
            repeats: repeats.max(1),
            seed,
        }
    }

    /// The accelerator's name.
    pub fn name(&self) -> String {
        self.accelerator.borrow().name()
    }

    /// The library that it leaves products of many rows to.
    ///
    /// # Errors
    /// Why there is none.
    pub fn matrix_library(&self) -> Result<MatrixLibraryUse, NoMatrixLibrary> {
        self.accelerator.borrow().matrix_library()
    }

    /// The accelerator, for other uses.
    pub fn into_accelerator(self) -> Box<dyn Accelerator> {
        self.accelerator.into_inner()
    }

    /// Numbers of the subject's seed; other ones for each `stream`.
    pub(super) fn random(&self, stream: u64) -> Random {
        Random::new(self.seed.rotate_left(32) ^ stream)
    }

    /// Does something with the accelerator itself.
    pub(super) fn with<T>(
        &self,
        action: impl FnOnce(&mut dyn Accelerator) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        action(self.accelerator.borrow_mut().as_mut())
    }

    /// Runs a launch several times, each from the same contents of `changed`, and leaves the results there.
    pub(super) fn run<A: Copy>(&self, launch: &Launch<A>, changed: &[&Memory<'_>]) -> Result<(), Finding> {
        let name = launch.kernel.name;
        let allowed = shared_budget(launch)?;
        ensure!(
            launch.shared_bytes <= allowed,
            "{name} takes more shared memory than its budget: {} of {allowed} bytes",
            launch.shared_bytes
        );
        let recorded = launch.record();
        let before = changed
            .iter()
            .map(|memory| memory.whole())
            .collect::<Result<Vec<_>, _>>()?;
        let mut first: Option<Vec<Vec<u8>>> = None;
        for repeat in 0..self.repeats {
            if repeat > 0 {
                for (memory, before) in changed.iter().zip(&before) {
                    self.with(|accelerator| accelerator.write(memory.start, before))?;
                }
            }
            self.with(|accelerator| accelerator.launch(&recorded))?;
            let mut after = Vec::new();
            for memory in changed {
                let whole = memory.whole()?;
                ensure!(
                    memory.guards_hold(&whole),
                    "{name} wrote beyond its memory of {} bytes",
                    memory.bytes
                );
                after.push(whole);
            }
            let first = first.get_or_insert_with(|| after.clone());
            ensure!(
                after == *first,
                "{name} gives other results in run {} than in the first, from the same contents of memory: threads race, or a barrier is missing",
                repeat + 1
            );
        }
        Ok(())
    }
}

/// What the manifest allows the launch's kernel.
fn shared_budget<A>(launch: &Launch<A>) -> Result<u32, Finding> {
    static MANIFEST: LazyLock<Option<toml::Table>> =
        LazyLock::new(|| include_str!("../manifest.toml").parse().ok());
    let artefact = launch.kernel.artefact.name();
    let budget = MANIFEST
        .as_ref()
        .and_then(|manifest| manifest.get(artefact)?.get(launch.kernel.name)?.get("shared"))
        .and_then(|shared| u32::try_from(shared.as_integer()?).ok());
    budget.ok_or_else(|| {
        Finding::Wrong(format!(
            "{artefact}/{} is not in manifest.toml",
            launch.kernel.name
        ))
    })
}

/// Memory of the subject, given back when it is dropped.
pub(super) struct Memory<'a> {
    subject: &'a Subject,
    start: DevicePointer,
    bytes: usize,
}

impl<'a> Memory<'a> {
    /// Full of bytes that no result has: NaN in all formats.
    pub(super) fn empty(subject: &'a Subject, bytes: usize) -> Result<Memory<'a>, Finding> {
        let whole = (2 * GUARD + bytes) as u64;
        let start = subject.with(|accelerator| accelerator.allocate(whole))?;
        let memory = Memory {
            subject,
            start,
            bytes,
        };
        subject.with(|accelerator| accelerator.fill(start, 0xff, whole))?;
        Ok(memory)
    }

    pub(super) fn of_bytes(subject: &'a Subject, bytes: &[u8]) -> Result<Memory<'a>, Finding> {
        Memory::repeated(subject, bytes, bytes.len())
    }

    /// So many bytes, which are the given ones over and over.
    pub(super) fn repeated(
        subject: &'a Subject,
        pattern: &[u8],
        bytes: usize,
    ) -> Result<Memory<'a>, Finding> {
        let memory = Memory::empty(subject, bytes)?;
        for at in (0..bytes).step_by(pattern.len().max(1)) {
            let part = &pattern[..pattern.len().min(bytes - at)];
            let to = memory.pointer().offset(at as u64);
            subject.with(|accelerator| accelerator.write(to, part))?;
        }
        Ok(memory)
    }

    pub(super) fn of_f32(subject: &'a Subject, values: &[f32]) -> Result<Memory<'a>, Finding> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Memory::of_bytes(subject, &bytes)
    }

    pub(super) fn of_u32(subject: &'a Subject, values: &[u32]) -> Result<Memory<'a>, Finding> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Memory::of_bytes(subject, &bytes)
    }

    pub(super) fn of_bf16(subject: &'a Subject, values: &[f32]) -> Result<Memory<'a>, Finding> {
        Memory::of_bytes(subject, &bf16_bytes(values))
    }

    pub(super) fn pointer(&self) -> DevicePointer {
        self.start.offset(GUARD as u64)
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, Finding> {
        let mut bytes = vec![0; self.bytes];
        self.subject
            .with(|accelerator| accelerator.read(self.pointer(), &mut bytes))?;
        Ok(bytes)
    }

    pub(super) fn f32s(&self) -> Result<Vec<f32>, Finding> {
        let bytes = self.bytes()?;
        let chunks = bytes.as_chunks::<4>().0.iter();
        Ok(chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    pub(super) fn u32s(&self) -> Result<Vec<u32>, Finding> {
        let bytes = self.bytes()?;
        let chunks = bytes.as_chunks::<4>().0.iter();
        Ok(chunks.map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }

    pub(super) fn bf16s(&self) -> Result<Vec<f32>, Finding> {
        let bytes = self.bytes()?;
        let chunks = bytes.as_chunks::<2>().0.iter();
        Ok(chunks.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect())
    }

    /// With the guards.
    fn whole(&self) -> Result<Vec<u8>, Finding> {
        let mut whole = vec![0; self.bytes + 2 * GUARD];
        self.subject
            .with(|accelerator| accelerator.read(self.start, &mut whole))?;
        Ok(whole)
    }

    fn guards_hold(&self, whole: &[u8]) -> bool {
        let mut outside = whole[..GUARD].iter().chain(&whole[GUARD + self.bytes..]);
        outside.all(|byte| *byte == 0xff)
    }
}

impl Drop for Memory<'_> {
    fn drop(&mut self) {
        self.subject.accelerator.borrow_mut().free(self.start);
    }
}

pub(super) fn bf16_bytes(values: &[f32]) -> Vec<u8> {
    let bytes = values
        .iter()
        .flat_map(|value| bf16::from_f32(*value).to_le_bytes());
    bytes.collect()
}
