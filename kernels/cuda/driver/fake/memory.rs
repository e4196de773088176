//! Memory: what is written is read, whatever its size, in the order in which it was asked for.

use std::fs;

use cwm_kernels::cuda::{Accelerator, DeviceError, DevicePointer};

use super::support::{PUSH, assert_nothing_left, gpu, lines, play, push};

/// Several times what passes through at once, and no multiple of anything.
const LARGE: usize = 37_000_003;

fn numbers(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn what_is_written_is_read() {
    let log = play("memory::what_is_written_is_read", &[], || {
        let mut gpu = gpu();
        for count in [1, 255, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, LARGE] {
            let memory = gpu.allocate(count as u64 + 7).unwrap();
            assert_eq!(memory.0 % 256, 0);
            let mut bytes = numbers(count, count as u32);
            let written = bytes.clone();
            gpu.write(memory.offset(7), &bytes).unwrap();
            // They are the caller's again.
            bytes.fill(0);
            gpu.read(memory.offset(7), &mut bytes).unwrap();
            assert!(bytes == written, "{count} bytes");
            gpu.free(memory);
        }
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn small_writes_do_not_wait_and_are_not_mixed_up() {
    let log = play(
        "memory::small_writes_do_not_wait_and_are_not_mixed_up",
        &[],
        || {
            const COUNT: usize = 5000;
            let mut gpu = gpu();
            let memory = gpu.allocate((COUNT * 100) as u64).unwrap();
            for number in 0..COUNT {
                gpu.write(memory.offset((number * 100) as u64), &numbers(100, number as u32))
                    .unwrap();
            }
            let log = fs::read_to_string(std::env::var("FAKE_LOG").unwrap()).unwrap();
            assert!(!log.contains("wait"), "{log}");
            let mut all = vec![0; COUNT * 100];
            gpu.read(memory, &mut all).unwrap();
            for (number, found) in all.chunks(100).enumerate() {
                assert_eq!(found, numbers(100, number as u32), "write {number}");
            }
        },
    );
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn everything_happens_in_order() {
    let log = play("memory::everything_happens_in_order", &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(64).unwrap();
        let mut found = [0; 8];
        gpu.fill(list, 9, 64).unwrap();
        gpu.write(list, &[1, 50]).unwrap();
        gpu.launch(&push(PUSH, list, 60)).unwrap();
        gpu.launch(&push(PUSH, list, 70)).unwrap();
        gpu.write(list.offset(2), &[61]).unwrap();
        gpu.launch(&push(PUSH, list, 80)).unwrap();
        gpu.fill(list.offset(6), 0, 1).unwrap();
        gpu.read(list, &mut found).unwrap();
        assert_eq!(found, [4, 50, 61, 70, 80, 9, 0, 9]);
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run push"), 3);
        assert_nothing_left(&log);
    }
}

#[test]
fn memory_ends_and_what_is_not_memory_is_refused() {
    let settings = [("FAKE_MEMORY", "1000000")];
    let name = "memory::memory_ends_and_what_is_not_memory_is_refused";
    let log = play(name, &settings, || {
        let mut gpu = gpu();
        assert_eq!(gpu.memory(), Ok((1_000_000, 1_000_000)));
        let memory = gpu.allocate(900_000).unwrap();
        assert_eq!(gpu.memory(), Ok((100_000, 1_000_000)));
        let none = DeviceError::OutOfMemory { bytes: 100_001 };
        assert_eq!(gpu.allocate(100_001), Err(none));
        assert!(gpu.allocate(u64::MAX).is_err());

        // Which is no reason to stop.
        let empty = gpu.allocate(0).unwrap();
        assert_ne!(empty, DevicePointer::NULL);
        gpu.write(empty, &[]).unwrap();
        gpu.fill(empty, 1, 0).unwrap();
        gpu.read(empty, &mut []).unwrap();
        let unknown = Err(DeviceError::Unknown("memory"));
        assert_eq!(gpu.write(empty, &[1]), unknown);
        assert_eq!(gpu.write(memory.offset(899_999), &[1, 2]), unknown);
        assert_eq!(gpu.read(memory.offset(900_000), &mut [1]), unknown);
        assert_eq!(gpu.fill(memory, 1, 900_001), unknown);
        assert_eq!(gpu.fill(memory.offset(1), 1, u64::MAX), unknown);
        assert_eq!(gpu.write(DevicePointer::NULL, &[1]), unknown);

        gpu.free(memory);
        gpu.free(memory);
        assert_eq!(gpu.write(memory, &[1]), unknown);
        assert!(gpu.allocate(900_000).is_ok());
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn memory_is_given_back_only_after_what_uses_it() {
    let name = "memory::memory_is_given_back_only_after_what_uses_it";
    let log = play(name, &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        gpu.write(list, &[0]).unwrap();
        gpu.launch(&push(PUSH, list, 1)).unwrap();
        gpu.free(list);
        let list = gpu.allocate(256).unwrap();
        gpu.write(list, &[0]).unwrap();
        gpu.launch(&push(PUSH, list, 1)).unwrap();
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run"), 2);
        assert_nothing_left(&log);
    }
}
