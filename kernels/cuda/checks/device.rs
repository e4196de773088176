//! The accelerator itself: its memory, and launches that were made ready to run as one.

use super::finding::{Finding, ensure, same};
use super::subject::{Memory, Subject};
use crate::cuda::{Accelerator, CopyArguments, DeviceError};

pub(super) fn memory_holds_what_is_put_there(subject: &Subject) -> Result<(), Finding> {
    let mut random = subject.random(50);
    for bytes in [1, 255, 4096, (1 << 20) + 3] {
        let mut expected = random.bytes(bytes);
        let memory = Memory::of_bytes(subject, &expected)?;
        let other = Memory::of_bytes(subject, &random.bytes(bytes))?;
        ensure!(memory.pointer().0.is_multiple_of(256), "memory is not aligned");
        same("bytes", &memory.bytes()?, &expected)?;
        let middle = bytes / 3..bytes / 2;
        subject.with(|accelerator| {
            let at = memory.pointer().offset(middle.start as u64);
            accelerator.fill(at, 0x5a, middle.len() as u64)
        })?;
        expected[middle].fill(0x5a);
        same("bytes", &memory.bytes()?, &expected)?;
        drop(other);
        same("bytes", &memory.bytes()?, &expected)?;
    }
    let (free, all) = subject.with(|accelerator| accelerator.memory())?;
    ensure!(
        0 < free && free <= all,
        "{free} of {all} bytes of memory are free"
    );
    Ok(())
}

pub(super) fn prepared_launches_run_one_after_another(subject: &Subject) -> Result<(), Finding> {
    const PAGE: usize = 4096;
    let mut random = subject.random(51);
    let before = random.bytes(4 * PAGE);
    let pages = Memory::of_bytes(subject, &before)?;
    // Each launch copies what the one before has written.
    let steps: [[u32; 2]; 3] = [[0, 1], [1, 2], [2, 3]];
    let mut launches = Vec::new();
    let mut copies = Vec::new();
    for step in steps {
        let copy = Memory::of_u32(subject, &step)?;
        let arguments = CopyArguments {
            pages: pages.pointer(),
            page_bytes: PAGE as u64,
            copies: copy.pointer(),
        };
        launches.push(arguments.launch(1)?.record());
        copies.push(copy);
    }
    let graph = subject.with(|accelerator| accelerator.prepare(&launches))?;
    same("memory before launches run", &pages.bytes()?, &before)?;
    for _ in 0..2 {
        let first = random.bytes(PAGE);
        let seconds = subject.with(|accelerator| {
            let from = accelerator.mark()?;
            accelerator.write(pages.pointer(), &first)?;
            accelerator.run(graph)?;
            let to = accelerator.mark()?;
            accelerator.elapsed(from, to)
        })?;
        ensure!(seconds > 0.0, "launches took {seconds} seconds");
        same("pages", &pages.bytes()?, &first.repeat(4))?;
    }
    let again = subject.with(|accelerator: &mut dyn Accelerator| {
        accelerator.discard(graph);
        Ok(accelerator.run(graph))
    })?;
    ensure!(
        matches!(again, Err(DeviceError::Unknown(_))),
        "a graph that was discarded can still be run"
    );
    Ok(())
}
