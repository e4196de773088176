//! How fast attention reads its cache in decode and computes in prefill, and what a parallel region costs.
//!
//! `cargo bench -p cwm-kernels --bench attention`; arguments: the number of threads (2 when left out).

#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cwm_kernels::KvElement;
use cwm_kernels::cpu::{
    AttentionCall, AttentionSequence, Isa, KvPages, ThreadPool, attention, write_key_value,
};

/// Heads, KV heads and head dimension of a model.
struct Shape {
    name: &'static str,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "Qwen 1.5B",
        heads: 12,
        kv_heads: 2,
        head_dim: 128,
    },
    Shape {
        name: "SmolLM2 135M",
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
    },
];

const PAGE_TOKENS: usize = 64;
/// As many layers as keep the cache of 8192 positions out of the processor's caches.
const LAYERS: usize = 8;

fn main() {
    let threads = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(2);
    let pool = ThreadPool::new(threads);
    println!("{threads} threads, {}", Isa::best().name());
    measure_pool(&pool);
    for shape in &SHAPES {
        for element in [KvElement::F16, KvElement::Q8] {
            let cache = Cache::new(shape, element, 8192);
            for isa in [Isa::Avx2, Isa::Avx512] {
                if isa.is_available() {
                    cache.measure_decode(isa, &pool, 2048);
                    cache.measure_decode(isa, &pool, 8192);
                    cache.measure_prefill(isa, &pool, 0);
                    cache.measure_prefill(isa, &pool, 2048);
                }
            }
        }
    }
}

/// The least seconds that one of several calls takes, which is what it takes when nothing else runs.
fn least_seconds(repeats: usize, mut call: impl FnMut()) -> f64 {
    let times = (0..repeats).map(|_| {
        let begin = Instant::now();
        call();
        begin.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn measure_pool(pool: &ThreadPool) {
    let regions = 1000;
    let count = pool.threads();
    let seconds = least_seconds(50, || {
        for _ in 0..regions {
            pool.run(count, &|index| {
                std::hint::black_box(index);
            });
        }
    });
    println!(
        "pool: an empty region takes {:.2} us",
        seconds / f64::from(regions) * 1e6
    );
    let seconds = least_seconds(50, || {
        for _ in 0..regions {
            // Each index waits for all others, so every thread must come.
            let arrived = AtomicUsize::new(0);
            pool.run(count, &|_| {
                arrived.fetch_add(1, Ordering::Relaxed);
                while arrived.load(Ordering::Relaxed) < count {
                    std::hint::spin_loop();
                }
            });
        }
    });
    println!(
        "pool: a region that every thread enters takes {:.2} us",
        seconds / f64::from(regions) * 1e6
    );
}

struct Cache<'a> {
    shape: &'a Shape,
    pages: KvPages,
    tables: Vec<Vec<u8>>,
}

impl Cache<'_> {
    fn new(shape: &Shape, element: KvElement, positions: usize) -> Cache<'_> {
        let pages = KvPages {
            page_tokens: PAGE_TOKENS,
            layers: LAYERS,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            element,
        };
        let mut tables = vec![vec![0; pages.page_bytes()]; positions / PAGE_TOKENS];
        let width = shape.kv_heads * shape.head_dim;
        for (number, page) in tables.iter_mut().enumerate() {
            for slot in 0..PAGE_TOKENS {
                let x: Vec<f32> = (0..width)
                    .map(|i| ((number * 31 + slot * 7 + i * 13) % 97) as f32 / 97.0 - 0.5)
                    .collect();
                for layer in 0..LAYERS {
                    write_key_value(Isa::best(), &pages, page, layer, slot, &x, &x);
                }
            }
        }
        Cache { shape, pages, tables }
    }

    /// Attention of `rows` rows from `first_position` on, in every layer.
    fn all_layers(&self, isa: Isa, pool: &ThreadPool, first_position: usize, rows: usize) {
        let width = self.shape.heads * self.shape.head_dim;
        let queries: Vec<f32> = (0..rows * width).map(|i| (i % 89) as f32 / 89.0 - 0.5).collect();
        let mut out = vec![0.0; rows * width];
        let end = (first_position + rows).div_ceil(PAGE_TOKENS);
        for layer in 0..LAYERS {
            let call = AttentionCall {
                isa,
                pool,
                pages: &self.pages,
                layer,
                heads: self.shape.heads,
                scale: 1.0 / (self.shape.head_dim as f32).sqrt(),
                window: None,
            };
            let sequence = AttentionSequence {
                first_position,
                queries: &queries,
                out: &mut out,
                first_page: 0,
                tables: self.tables[..end].iter().map(Vec::as_slice).collect(),
            };
            attention(&call, &mut [sequence]);
        }
        std::hint::black_box(&out);
    }

    fn measure_decode(&self, isa: Isa, pool: &ThreadPool, context: usize) {
        let seconds = least_seconds(20, || self.all_layers(isa, pool, context - 1, 1));
        let bytes = self.pages.page_bytes() * context / PAGE_TOKENS;
        println!(
            "{} {:?} {}: decode at {context}: {:.1} us a layer, {:.2} GB/s",
            self.shape.name,
            self.pages.element,
            isa.name(),
            seconds / LAYERS as f64 * 1e6,
            bytes as f64 / seconds / 1e9
        );
    }

    fn measure_prefill(&self, isa: Isa, pool: &ThreadPool, past: usize) {
        let rows = 512;
        let seconds = least_seconds(3, || self.all_layers(isa, pool, past, rows));
        let seen: usize = (past..past + rows).map(|position| position + 1).sum();
        let operations = 4 * seen * self.shape.heads * self.shape.head_dim * LAYERS;
        println!(
            "{} {:?} {}: prefill of {rows} at {past}: {:.2} ms a layer, {:.1} GFLOP/s",
            self.shape.name,
            self.pages.element,
            isa.name(),
            seconds / LAYERS as f64 * 1e3,
            operations as f64 / seconds / 1e9
        );
    }
}
