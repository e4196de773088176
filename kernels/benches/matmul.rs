//! How fast products are, for the shapes of a 1.5B Qwen model: gigabytes a second of packed weights with one row of activations
//! (decode), and billions of operations a second with many (prefill), each beside what the machine can do at most.
//!
//! `cargo bench -p cwm-kernels [-- SUBSTRING…]` runs the lines whose name holds one of the substrings. `CWM_BENCH_THREADS` sets the
//! threads (2), `CWM_BENCH_ROWS` the rows of a prefill (512).

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use cwm_kernels::ElementType;
use cwm_kernels::cpu::{
    Activations, FloatMatrix, Isa, Matrix, PackedMatrix, Product, ThreadPool, int8_peak, matmul,
    read_bandwidth,
};
use std::time::Instant;

/// Weights that decode goes through, so that none are left in a cache from the round before.
const DECODE_BYTES: usize = 192 << 20;

fn main() {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let number = |name: &str, otherwise: usize| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(otherwise)
    };
    let pool = ThreadPool::new(number("CWM_BENCH_THREADS", 2));
    let rows = number("CWM_BENCH_ROWS", 512);
    let bandwidth = read_bandwidth(&pool);
    println!(
        "{} threads; memory is read at {:.1} GB/s",
        pool.threads(),
        bandwidth / 1e9
    );
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    let peaks: Vec<f64> = isas.iter().map(|isa| int8_peak(*isa, &pool)).collect();
    for (isa, peak) in isas.iter().zip(&peaks) {
        println!("{}: {:.0} GOP/s of 8-bit integers", isa.name(), peak / 1e9);
    }
    let shapes = [
        (ElementType::Q4_K, 8960, 1536),
        (ElementType::Q4_K, 1536, 8960),
        (ElementType::Q6_K, 1536, 8960),
        (ElementType::Q6_K, 151_936, 1536),
        (ElementType::Q8_0, 8960, 1536),
        (ElementType::Q4_1, 8960, 1536),
        (ElementType::Q5_0, 8960, 1536),
        (ElementType::Q5_K, 8960, 1536),
        (ElementType::BF16, 8960, 1536),
        (ElementType::F32, 1536, 1536),
    ];
    for (element, outputs, columns) in shapes {
        for (isa, peak) in isas.iter().zip(&peaks) {
            let name = format!("{} {outputs}x{columns} {}", element.name(), isa.name());
            if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
                continue;
            }
            let bench = Bench {
                isa: *isa,
                pool: &pool,
                element,
                outputs,
                columns,
            };
            let rows = if *isa == Isa::Scalar { 4 } else { rows };
            let (decode, read) = bench.decode();
            let prefill = bench.prefill(rows);
            println!(
                "{name:36} decode {decode:8.1} us {:6.2} GB/s ({:3.0} %)   {rows} rows {:7.1} GOP/s ({:3.0} %)",
                read / 1e9,
                100.0 * read / bandwidth,
                prefill / 1e9,
                100.0 * prefill / peak
            );
        }
    }
}

struct Bench<'a> {
    isa: Isa,
    pool: &'a ThreadPool,
    element: ElementType,
    outputs: usize,
    columns: usize,
}

impl Bench<'_> {
    /// Microseconds of a product with one row, and bytes a second.
    fn decode(&self) -> (f64, f64) {
        let stored = self.weights();
        let copies = if self.isa == Isa::Scalar {
            1
        } else {
            (DECODE_BYTES / stored.len()).max(1)
        };
        let packed: Vec<Option<PackedMatrix>> = (0..copies).map(|_| self.pack(&stored)).collect();
        let float_copies: Vec<Vec<u8>> = packed.iter().map(|_| stored.clone()).collect();
        let matrices: Vec<Matrix<'_>> = (packed.iter().zip(&float_copies))
            .filter_map(|(packed, stored)| self.matrix(packed.as_ref(), stored))
            .collect();
        let bytes = packed
            .first()
            .and_then(|packed| packed.as_ref())
            .map_or(stored.len(), PackedMatrix::bytes);
        let activations = self.activations(1);
        let mut out = vec![0.0; self.outputs];
        let seconds = time(self.pool, 0.5, || {
            for weights in &matrices {
                let products = &mut [Product {
                    weights: *weights,
                    bias: None,
                    out: &mut out,
                }];
                matmul(self.isa, self.pool, &activations, products);
            }
        }) / copies as f64;
        (seconds * 1e6, bytes as f64 / seconds)
    }

    /// Operations a second with many rows, quantising them included.
    fn prefill(&self, rows: usize) -> f64 {
        let stored = self.weights();
        let packed = self.pack(&stored);
        let Some(weights) = self.matrix(packed.as_ref(), &stored) else {
            return 0.0;
        };
        let mut out = vec![0.0; self.outputs * rows];
        let values = values(rows * self.columns);
        let mut activations = Activations::default();
        let seconds = time(self.pool, 0.5, || {
            if self.element.is_quantised() {
                activations.set_quantised(self.isa, self.pool, &values, self.columns);
            } else {
                activations.set(self.isa, self.pool, &values, self.columns, false);
            }
            matmul(
                self.isa,
                self.pool,
                &activations,
                &mut [Product {
                    weights,
                    bias: None,
                    out: &mut out,
                }],
            );
        });
        2.0 * (self.outputs * self.columns * rows) as f64 / seconds
    }

    fn weights(&self) -> Vec<u8> {
        let length = self.element.bytes_of(self.outputs * self.columns).unwrap_or(0);
        // Bytes below 0x3c are small positive scales wherever they land.
        (0..length)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8 & 0x3b)
            .collect()
    }

    fn pack(&self, stored: &[u8]) -> Option<PackedMatrix> {
        PackedMatrix::pack(self.pool, self.element, self.outputs, self.columns, stored).ok()
    }

    fn matrix<'a>(&self, packed: Option<&'a PackedMatrix>, stored: &'a [u8]) -> Option<Matrix<'a>> {
        match packed {
            Some(packed) => Some(Matrix::Packed(packed)),
            None => FloatMatrix::new(self.element, self.outputs, self.columns, stored)
                .ok()
                .map(Matrix::Float),
        }
    }

    fn activations(&self, rows: usize) -> Activations {
        let mut activations = Activations::default();
        activations.set(
            self.isa,
            self.pool,
            &values(rows * self.columns),
            self.columns,
            true,
        );
        activations
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count)
        .map(|index| (index % 1009) as f32 / 1009.0 - 0.5)
        .collect()
}

/// Seconds of one run: with several threads the shortest of those that fit into `seconds` (three at least), since other programs only
/// ever slow one down; with one thread the mean of the time that it had a processor, which other programs hardly change.
fn time(pool: &ThreadPool, seconds: f64, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let (begin, begin_processor) = (Instant::now(), processor_seconds());
    let mut runs = 0;
    while runs < 3 || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    match (pool.threads(), begin_processor, processor_seconds()) {
        (1, Some(begin), Some(end)) if end > begin => (end - begin) / f64::from(runs),
        _ => best,
    }
}

/// How long this thread has had a processor, where the system tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
