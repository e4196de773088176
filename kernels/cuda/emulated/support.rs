//! Memory that notices writes beyond its ends, random numbers, and launches in several orders.

use std::sync::LazyLock;

use cwm_kernels::cuda::emulate::{Emulator, Order};
use cwm_kernels::cuda::{DevicePointer, Launch};
use half::bf16;

/// Bytes on both sides of a buffer that nobody may write, and whose floats are NaN.
const GUARD: usize = 256;

/// Memory of an emulated device.
#[derive(Clone)]
pub(crate) struct Memory {
    storage: Vec<u128>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn of_bytes(bytes: &[u8]) -> Memory {
        let size = GUARD * 2 + bytes.len().next_multiple_of(16);
        let mut memory = Memory {
            storage: vec![u128::MAX; size / 16],
            bytes: bytes.len(),
        };
        memory.all_mut()[GUARD..GUARD + bytes.len()].copy_from_slice(bytes);
        memory
    }

    /// Full of bytes that no result has: NaN in all formats.
    pub(crate) fn empty(bytes: usize) -> Memory {
        Memory::of_bytes(&vec![0xff; bytes])
    }

    pub(crate) fn of_f32(values: &[f32]) -> Memory {
        Memory::of_bytes(
            &values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    pub(crate) fn of_u32(values: &[u32]) -> Memory {
        Memory::of_bytes(
            &values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>(),
        )
    }

    pub(crate) fn of_bf16(values: &[f32]) -> Memory {
        let bytes = values
            .iter()
            .flat_map(|value| bf16::from_f32(*value).to_le_bytes());
        Memory::of_bytes(&bytes.collect::<Vec<_>>())
    }

    pub(crate) fn pointer(&self) -> DevicePointer {
        DevicePointer(self.storage.as_ptr() as u64 + GUARD as u64)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.all()[GUARD..GUARD + self.bytes]
    }

    pub(crate) fn f32s(&self) -> Vec<f32> {
        let chunks = self.bytes().as_chunks::<4>().0.iter();
        chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn bf16s(&self) -> Vec<f32> {
        let chunks = self.bytes().as_chunks::<2>().0.iter();
        chunks.map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect()
    }

    fn all(&self) -> &[u8] {
        // SAFETY: any memory is bytes.
        #[allow(unsafe_code, reason = "memory as bytes")]
        unsafe {
            std::slice::from_raw_parts(self.storage.as_ptr().cast(), self.storage.len() * 16)
        }
    }

    fn all_mut(&mut self) -> &mut [u8] {
        // SAFETY: any memory is bytes, and any bytes are integers.
        #[allow(unsafe_code, reason = "memory as bytes")]
        unsafe {
            std::slice::from_raw_parts_mut(self.storage.as_mut_ptr().cast(), self.storage.len() * 16)
        }
    }

    fn assert_guards(&self) {
        let all = self.all();
        let outside = all[..GUARD].iter().chain(&all[GUARD + self.bytes..]);
        assert!(
            outside.copied().all(|byte| byte == 0xff),
            "a kernel wrote beyond its memory"
        );
    }
}

pub(crate) static EMULATOR: LazyLock<Emulator> = LazyLock::new(|| {
    // Beside the test's binary, so that it goes when everything built does.
    let binary = std::env::current_exe().unwrap();
    Emulator::new(&binary.parent().unwrap().join("cuda-emulated"))
});

/// Runs a launch with its threads in several orders, each time from the same contents of `changed`, and leaves the results there.
pub(crate) fn run<A>(launch: &Launch<A>, changed: &mut [&mut Memory]) {
    assert!(
        launch.shared_bytes as usize <= shared_budget(launch),
        "{} takes more shared memory than its budget: {}",
        launch.kernel.name,
        launch.shared_bytes
    );
    let before: Vec<Memory> = changed.iter().map(|memory| (*memory).clone()).collect();
    let mut results: Option<Vec<Memory>> = None;
    for order in Order::SOME {
        for (memory, before) in changed.iter_mut().zip(&before) {
            memory.storage.copy_from_slice(&before.storage);
        }
        // SAFETY: the tests give each kernel memory of the size that its arguments say, and keep it until here.
        #[allow(unsafe_code, reason = "kernels take addresses")]
        unsafe {
            EMULATOR.launch(launch, order).unwrap();
        }
        for memory in changed.iter() {
            memory.assert_guards();
        }
        let Some(first) = &results else {
            results = Some(changed.iter().map(|memory| (*memory).clone()).collect());
            continue;
        };
        for (memory, first) in changed.iter().zip(first) {
            assert!(
                memory.bytes() == first.bytes(),
                "{} gives other results in the order {order:?}: a barrier is missing",
                launch.kernel.name
            );
        }
    }
}

/// What the manifest allows the launch's kernel.
fn shared_budget<A>(launch: &Launch<A>) -> usize {
    static MANIFEST: LazyLock<toml::Table> = LazyLock::new(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/cuda/manifest.toml");
        std::fs::read_to_string(path).unwrap().parse().unwrap()
    });
    let budget = &MANIFEST[launch.kernel.artefact.name()][launch.kernel.name]["shared"];
    budget.as_integer().unwrap() as usize
}

/// Random numbers, the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About normal, with that deviation.
    pub(crate) fn normal(&mut self, deviation: f32) -> f32 {
        let sum: f32 = (0..6)
            .map(|_| self.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5)
            .sum();
        sum * deviation * std::f32::consts::SQRT_2
    }

    pub(crate) fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        (0..count).map(|_| self.normal(deviation)).collect()
    }

    /// The same, as bf16 holds them.
    pub(crate) fn bf16s(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let values = (0..count).map(|_| bf16::from_f32(self.normal(deviation)).to_f32());
        values.collect()
    }

    /// Some order of `0..count`.
    pub(crate) fn permutation(&mut self, count: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count as u32).collect();
        for index in (1..count).rev() {
            order.swap(index, self.below(index + 1));
        }
        order
    }
}

/// The value of a byte of e4m3.
pub(crate) fn fp8_value(byte: u8) -> f32 {
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match exponent {
        0 => fraction / 512.0,
        15 if byte & 7 == 7 => f32::NAN,
        _ => (1.0 + fraction / 8.0) * 2.0_f32.powi(exponent - 7),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// Asserts that all numbers are near what they should be.
pub(crate) fn assert_near(found: &[f32], expected: &[f32], relative: f32, absolute: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = absolute + relative * expected.abs();
        assert!(
            (found - expected).abs() <= allowed,
            "number {index} is {found}, but should be {expected} up to {allowed}"
        );
    }
}
