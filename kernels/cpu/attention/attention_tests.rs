//! Tests of attention against softmax in double precision, and of one against another way of computing the same rows.

use super::super::{Isa, KvPages, ThreadPool, write_key_value};
use super::{AttentionCall, AttentionSequence, attention};
use crate::KvElement;

/// A cache of one sequence, with random keys, values and queries for every position.
struct Fixture {
    pages: KvPages,
    heads: usize,
    window: Option<usize>,
    tables: Vec<Vec<u8>>,
    /// `[positions, kv_heads, head_dim]`.
    keys: Vec<f32>,
    values: Vec<f32>,
    /// `[positions, heads, head_dim]`.
    queries: Vec<f32>,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn floats(&mut self, length: usize, scale: f32) -> Vec<f32> {
        let mut next = || ((self.next() >> 40) as f32 / (1u64 << 24) as f32 * 2.0 - 1.0) * scale;
        (0..length).map(|_| next()).collect()
    }
}

const LAYERS: usize = 2;
const LAYER: usize = 1;

#[derive(Clone, Copy)]
struct Shape {
    page_tokens: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    element: KvElement,
    window: Option<usize>,
    positions: usize,
}

impl Fixture {
    fn new(seed: u64, shape: Shape) -> Fixture {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let pages = KvPages {
            page_tokens: shape.page_tokens,
            layers: LAYERS,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            element: shape.element,
        };
        let width = shape.kv_heads * shape.head_dim;
        let keys = random.floats(shape.positions * width, 2.0);
        let values = random.floats(shape.positions * width, 2.0);
        let queries = random.floats(shape.positions * shape.heads * shape.head_dim, 2.0);
        // Every bit set is NaN in every type of float.
        let count = shape.positions.div_ceil(shape.page_tokens);
        let mut tables = vec![vec![0xff; pages.page_bytes()]; count];
        for position in 0..shape.positions {
            let page = &mut tables[position / shape.page_tokens];
            let place = position * width..(position + 1) * width;
            let slot = position % shape.page_tokens;
            for layer in 0..LAYERS {
                // The other layer is noise that must not be seen.
                let sign = if layer == LAYER { 1.0 } else { -3.0 };
                let scaled = |x: &[f32]| x.iter().map(|x| x * sign).collect::<Vec<_>>();
                let (key, value) = (scaled(&keys[place.clone()]), scaled(&values[place.clone()]));
                write_key_value(Isa::best(), &pages, page, layer, slot, &key, &value);
            }
        }
        Fixture {
            pages,
            heads: shape.heads,
            window: shape.window,
            tables,
            keys,
            values,
            queries,
        }
    }

    fn width(&self) -> usize {
        self.heads * self.pages.head_dim
    }

    fn scale(&self) -> f32 {
        1.0 / (self.pages.head_dim as f32).sqrt()
    }

    fn oldest(&self, position: usize) -> usize {
        self.window
            .map_or(0, |window| (position + 1).saturating_sub(window))
    }

    fn call<'a>(&'a self, isa: Isa, pool: &'a ThreadPool) -> AttentionCall<'a> {
        AttentionCall {
            isa,
            pool,
            pages: &self.pages,
            layer: LAYER,
            heads: self.heads,
            scale: self.scale(),
            window: self.window,
        }
    }

    /// Some rows, with no more pages than they see.
    fn sequence<'a>(&'a self, rows: std::ops::Range<usize>, out: &'a mut [f32]) -> AttentionSequence<'a> {
        let first_page = self.oldest(rows.start) / self.pages.page_tokens;
        let end = rows.end.div_ceil(self.pages.page_tokens);
        AttentionSequence {
            first_position: rows.start,
            queries: &self.queries[rows.start * self.width()..rows.end * self.width()],
            out,
            first_page,
            tables: self.tables[first_page..end].iter().map(Vec::as_slice).collect(),
        }
    }

    fn rows(&self, isa: Isa, pool: &ThreadPool, rows: std::ops::Range<usize>) -> Vec<f32> {
        let mut out = vec![f32::NAN; rows.len() * self.width()];
        attention(&self.call(isa, pool), &mut [self.sequence(rows, &mut out)]);
        out
    }

    /// Plain softmax of the keys and values before they were stored.
    fn expected(&self, position: usize) -> Vec<f64> {
        let (dim, kv_width) = (self.pages.head_dim, self.pages.kv_heads * self.pages.head_dim);
        let group = self.heads / self.pages.kv_heads;
        let mut out = vec![0.0; self.width()];
        for head in 0..self.heads {
            let query = &self.queries[position * self.width() + head * dim..][..dim];
            let seen = self.oldest(position)..=position;
            let at = |j: usize| j * kv_width + head / group * dim;
            let score = |j: usize| -> f64 {
                let products = query.iter().zip(&self.keys[at(j)..]);
                products.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>() * f64::from(self.scale())
            };
            let weights: Vec<f64> = seen.clone().map(|j| score(j).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (j, weight) in seen.zip(weights) {
                for (out, value) in out[head * dim..][..dim].iter_mut().zip(&self.values[at(j)..]) {
                    *out += weight / sum * f64::from(*value);
                }
            }
        }
        out
    }

    /// The greatest difference to the expected results, of the rows from `first` on.
    fn error(&self, first: usize, actual: &[f32]) -> f64 {
        let rows = actual.chunks_exact(self.width()).enumerate();
        let errors = rows.flat_map(|(row, actual)| {
            let expected = self.expected(first + row);
            let pairs = actual.iter().zip(expected);
            // A maximum would leave out what is no number.
            pairs
                .map(|(a, e)| (f64::from(*a) - e).abs())
                .map(|error| if error.is_nan() { 1e9 } else { error })
                .collect::<Vec<_>>()
        });
        errors.fold(0.0, f64::max)
    }
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize) -> Shape {
    Shape {
        page_tokens: 16,
        heads,
        kv_heads,
        head_dim,
        element: KvElement::F32,
        window: None,
        positions: 90,
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

const ELEMENTS: [(KvElement, f64); 5] = [
    (KvElement::F32, 3e-6),
    (KvElement::F16, 3e-3),
    (KvElement::BF16, 2e-2),
    (KvElement::Q8, 4e-2),
    (KvElement::E4M3, 3e-1),
];

#[test]
fn all_shapes_are_softmax_in_double_precision() {
    let pool = ThreadPool::new(2);
    let shapes = [
        (1, 1, 2),
        (2, 1, 6),
        (3, 3, 16),
        (6, 2, 20),
        (4, 1, 64),
        (5, 1, 80),
        (7, 1, 96),
        (8, 1, 128),
        (9, 1, 48),
        (4, 2, 256),
        (17, 1, 34),
    ];
    for (index, (heads, kv_heads, head_dim)) in shapes.into_iter().enumerate() {
        for (element, tolerance) in ELEMENTS {
            for window in [None, Some(1), Some(5), Some(16), Some(37)] {
                let page_tokens = [16, 32, 64][index % 3];
                let shape = Shape {
                    page_tokens,
                    element,
                    window,
                    ..shape(heads, kv_heads, head_dim)
                };
                let fixture = Fixture::new(index as u64, shape);
                let actual = fixture.rows(Isa::best(), &pool, 0..90);
                let error = fixture.error(0, &actual);
                assert!(
                    error < tolerance,
                    "{heads}/{kv_heads}/{head_dim} {element:?} {window:?}: {error}"
                );
            }
        }
    }
}

#[test]
fn instruction_sets_agree_bit_for_bit() {
    let pool = ThreadPool::new(2);
    for (heads, kv_heads, head_dim) in [(3, 1, 20), (7, 1, 64), (8, 2, 40), (9, 1, 16)] {
        for (element, _) in ELEMENTS {
            for window in [None, Some(21)] {
                let shape = Shape {
                    element,
                    window,
                    positions: 40,
                    ..shape(heads, kv_heads, head_dim)
                };
                let fixture = Fixture::new(3, shape);
                for rows in [0..40, 39..40, 17..22] {
                    let scalar = bits(&fixture.rows(Isa::Scalar, &pool, rows.clone()));
                    assert_eq!(scalar, bits(&fixture.rows(Isa::Avx2, &pool, rows.clone())));
                    assert_eq!(scalar, bits(&fixture.rows(Isa::Avx512, &pool, rows.clone())));
                }
            }
        }
    }
}

/// Long enough for several chunks of 512 positions, so that merging is in it.
fn long(element: KvElement, window: Option<usize>, page_tokens: usize) -> Fixture {
    let shape = Shape {
        page_tokens,
        element,
        window,
        positions: 1300,
        ..shape(6, 2, 32)
    };
    Fixture::new(11, shape)
}

#[test]
fn a_row_is_the_same_however_it_is_computed() {
    let (one, three) = (ThreadPool::new(1), ThreadPool::new(3));
    for (element, tolerance) in ELEMENTS {
        for (window, page_tokens) in [(None, 64), (Some(100), 16), (Some(600), 1024), (Some(1), 32)] {
            let fixture = long(element, window, page_tokens);
            let whole = fixture.rows(Isa::best(), &one, 0..1300);
            let checked = [0, 511, 512, 600, 1024, 1299];
            for position in checked {
                let row = &whole[position * fixture.width()..][..fixture.width()];
                let error = fixture.error(position, row);
                assert!(
                    error < tolerance,
                    "{element:?} {window:?} row {position}: {error}"
                );
            }
            let whole = bits(&whole);
            assert_eq!(
                whole,
                bits(&fixture.rows(Isa::best(), &three, 0..1300)),
                "threads"
            );
            for chunk in [1, 7, 129, 700] {
                let mut position = 0;
                while position < 1300 {
                    // Single rows are many: every 37th must do.
                    let rows = position..1300.min(position + chunk);
                    position = if chunk == 1 { position + 37 } else { rows.end };
                    for pool in [&one, &three] {
                        let actual = bits(&fixture.rows(Isa::best(), pool, rows.clone()));
                        let expected = &whole[rows.start * fixture.width()..rows.end * fixture.width()];
                        assert_eq!(actual, expected, "{element:?} {window:?}, rows {rows:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_batch_is_its_sequences_one_by_one() {
    let pool = ThreadPool::new(3);
    for element in [KvElement::F16, KvElement::Q8] {
        for window in [None, Some(50)] {
            let fixture = long(element, window, 32);
            let parts = [0..1, 700..701, 1299..1300, 5..5, 40..75, 512..513, 1000..1213];
            let mut outs = parts
                .clone()
                .map(|rows| vec![f32::NAN; rows.len() * fixture.width()]);
            let mut sequences: Vec<_> = parts
                .iter()
                .zip(&mut outs)
                .map(|(rows, out)| fixture.sequence(rows.clone(), out))
                .collect();
            attention(&fixture.call(Isa::best(), &pool), &mut sequences);
            drop(sequences);
            for (rows, out) in parts.into_iter().zip(outs) {
                assert_eq!(bits(&out), bits(&fixture.rows(Isa::best(), &pool, rows)));
            }
        }
    }
}

/// The mean of many values is what a wide softmax gives, and one key far above all others gives its value alone.
#[test]
fn scores_far_apart_and_all_the_same() {
    let pool = ThreadPool::new(1);
    let shape = Shape {
        positions: 600,
        ..shape(1, 1, 16)
    };
    let mut fixture = Fixture::new(5, shape);
    fixture.queries.fill(0.0);
    let actual = fixture.rows(Isa::best(), &pool, 599..600);
    for (dim, actual) in actual.iter().enumerate() {
        let mean: f64 = (0..600)
            .map(|j| f64::from(fixture.values[j * 16 + dim]))
            .sum::<f64>()
            / 600.0;
        assert!((f64::from(*actual) - mean).abs() < 1e-6);
    }
    // Scores of about 4e5 apart: e to that power is beyond any float.
    let best = 123;
    let strongest: Vec<f32> = fixture.keys[best * 16..][..16]
        .iter()
        .map(|key| key * 1e6)
        .collect();
    fixture.queries[599 * 16..].copy_from_slice(&strongest);
    let score = |j: usize| -> f32 {
        strongest
            .iter()
            .zip(&fixture.keys[j * 16..])
            .map(|(q, k)| q * k)
            .sum()
    };
    let winner = (0..600)
        .max_by(|a, b| score(*a).total_cmp(&score(*b)))
        .expect("positions");
    let actual = fixture.rows(Isa::best(), &pool, 599..600);
    assert_eq!(actual, fixture.values[winner * 16..][..16]);
}

#[test]
fn random_shapes_and_slices() {
    let pool = ThreadPool::new(2);
    let mut random = Random(77);
    for seed in 0..60 {
        let mut below = |bound: u64| (random.next() % bound) as usize;
        let kv_heads = 1 + below(3);
        let (element, tolerance) = ELEMENTS[below(4)];
        let positions = 1 + below(200);
        let shape = Shape {
            page_tokens: 16 * (1 + below(5)),
            heads: kv_heads * (1 + below(9)),
            kv_heads,
            head_dim: 2 * (1 + below(40)),
            element,
            window: (below(2) == 0).then(|| 1 + below(150)),
            positions,
        };
        let first = below(positions as u64);
        let end = first + 1 + below((positions - first) as u64);
        let fixture = Fixture::new(seed, shape);
        let actual = fixture.rows(Isa::best(), &pool, first..end);
        let error = fixture.error(first, &actual);
        assert!(error < tolerance, "seed {seed}: {error}");
    }
}
