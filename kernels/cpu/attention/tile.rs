//! The innermost work: up to eight queries against the keys and values of one page, with each key and value loaded once.

#![allow(
    clippy::needless_range_loop,
    reason = "p and n are the row and column of a register in a tile, in several arrays at once"
)]

use super::super::exp::exp;
use super::super::lanes::{LANES, Lanes};
use super::super::pages::GROUP;
use super::source::{Part, Source, key_scale};
use super::state::{State, StateLayout};

/// The most queries of a tile.
pub(super) const MOST: usize = 8;

/// One query, and what it sees of a page: the slots from `first` to before `end`, at least one.
#[derive(Clone, Copy)]
pub(super) struct Query {
    /// `head_dim` floats.
    pub(super) elements: *const f32,
    pub(super) state: State,
    pub(super) first: usize,
    pub(super) end: usize,
}

/// What the tiles of a page have in common.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    pub(super) part: &'a Part,
    pub(super) layout: StateLayout,
    pub(super) scale: f32,
    /// Room for `MOST * page_tokens` floats.
    pub(super) scores: *mut f32,
}

/// Takes the page into the states of the queries.
///
/// # Safety
/// The processor has the instructions of `V`; the page holds elements of the type `S`; all pointers are good for what they are said
/// to be, and the states are not the same.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
pub(super) unsafe fn attend<V: Lanes, S: Source>(page: Page<'_>, queries: &[Query]) {
    let tiles = queries.len().div_ceil(V::TILE.min(MOST)).max(1);
    let size = match queries.len().div_ceil(tiles) {
        0 => 1,
        // Not compiled, to keep the code small.
        5 => 3,
        7 => 4,
        size => size,
    };
    let mut rest = queries;
    while let Some(length) = [8, 6, 4, 3, 2, 1]
        .into_iter()
        .find(|length| *length <= rest.len().min(size))
    {
        let (tile, behind) = rest.split_at(length);
        rest = behind;
        // SAFETY: the same promise; each slice has the length that its array is said to have.
        unsafe {
            match length {
                8 if V::TILE >= 8 => attend_tile::<V, S, 8>(page, &*tile.as_ptr().cast()),
                6 if V::TILE >= 6 => attend_tile::<V, S, 6>(page, &*tile.as_ptr().cast()),
                4 if V::TILE >= 4 => attend_tile::<V, S, 4>(page, &*tile.as_ptr().cast()),
                3 if V::TILE >= 3 => attend_tile::<V, S, 3>(page, &*tile.as_ptr().cast()),
                2 if V::TILE >= 2 => attend_tile::<V, S, 2>(page, &*tile.as_ptr().cast()),
                _ => attend_tile::<V, S, 1>(page, &*tile.as_ptr().cast()),
            }
        }
    }
}

/// # Safety
/// As for [`attend`].
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn attend_tile<V: Lanes, S: Source, const P: usize>(page: Page<'_>, queries: &[Query; P]) {
    let earliest = queries.iter().map(|query| query.first).min().unwrap_or(0);
    let latest = queries.iter().map(|query| query.end).max().unwrap_or(0);
    let (common_first, common_end) = (
        queries.iter().map(|query| query.first).max().unwrap_or(0),
        queries.iter().map(|query| query.end).min().unwrap_or(0),
    );
    // SAFETY: the same promise; slots are below `page_tokens`, which is a multiple of 16.
    unsafe {
        let mut slot = earliest / LANES * LANES;
        while slot < latest {
            if V::WIDE && slot + LANES < latest {
                scores::<V, S, P, 2>(page, queries, slot);
                slot += 2 * LANES;
            } else {
                scores::<V, S, P, 1>(page, queries, slot);
                slot += LANES;
            }
        }
        for (index, query) in queries.iter().enumerate() {
            softmax::<V>(page, query, page.scores.add(index * page.part.page_tokens));
        }
        // What lies in a slot that a query does not see must not enter its sum even with the weight zero, for it may be no number.
        let (common_first, common_end) = if common_first < common_end {
            (common_first, common_end)
        } else {
            (latest, latest)
        };
        for after in [false, true] {
            for (index, query) in queries.iter().enumerate() {
                let (first, end) = if after {
                    (query.first.max(common_end), query.end)
                } else {
                    (query.first, query.end.min(common_first))
                };
                if first < end {
                    values::<V, S, 1>(page, std::array::from_ref(query), index, first, end);
                }
            }
            if !after && common_first < common_end {
                values::<V, S, P>(page, queries, 0, common_first, common_end);
            }
        }
    }
}

/// Scores of `16 * N` slots from `slot` on: the dot products times the scale.
///
/// # Safety
/// As for [`attend`]; the slots are within the page.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn scores<V: Lanes, S: Source, const P: usize, const N: usize>(
    page: Page<'_>,
    queries: &[Query; P],
    slot: usize,
) {
    let part = page.part;
    // SAFETY: the same promise.
    unsafe {
        let mut totals = [[V::splat(0.0); N]; P];
        if part.groups > 0 {
            for group in 0..part.groups {
                let dims = group * GROUP..part.head_dim.min((group + 1) * GROUP);
                let sums = dots::<V, S, P, N>(part, queries, slot, dims);
                for n in 0..N {
                    let scale = key_scale::<V>(part, group, slot + n * LANES);
                    for p in 0..P {
                        totals[p][n] = sums[p][n].fma(scale, totals[p][n]);
                    }
                }
            }
        } else {
            totals = dots::<V, S, P, N>(part, queries, slot, 0..part.head_dim);
        }
        for p in 0..P {
            for n in 0..N {
                let place = page.scores.add(p * part.page_tokens + slot + n * LANES);
                totals[p][n].mul(V::splat(page.scale)).store(place);
            }
        }
    }
}

/// # Safety
/// As for [`scores`]; the elements are within the head.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn dots<V: Lanes, S: Source, const P: usize, const N: usize>(
    part: &Part,
    queries: &[Query; P],
    slot: usize,
    dims: std::ops::Range<usize>,
) -> [[V; N]; P] {
    // SAFETY: the same promise.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; P];
        for dim in dims {
            let mut keys = [V::splat(0.0); N];
            for n in 0..N {
                keys[n] = S::key::<V>(part, dim, slot + n * LANES);
            }
            for p in 0..P {
                let element = V::splat(*queries[p].elements.add(dim));
                for n in 0..N {
                    sums[p][n] = element.fma(keys[n], sums[p][n]);
                }
            }
        }
        sums
    }
}

/// Makes weights of a query's scores, relative to the greatest score so far.
///
/// # Safety
/// As for [`attend`]; `scores` are those of the query.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn softmax<V: Lanes>(page: Page<'_>, query: &Query, scores: *mut f32) {
    let begin = query.first / LANES * LANES;
    // SAFETY: the same promise.
    unsafe {
        let mut greatest = V::splat(f32::NEG_INFINITY);
        for slot in (begin..query.end).step_by(LANES) {
            let (first, end) = (query.first.saturating_sub(slot), LANES.min(query.end - slot));
            let seen = V::load(scores.add(slot)).keep(first, end, f32::NEG_INFINITY);
            seen.store(scores.add(slot));
            greatest = seen.max(greatest);
        }
        let (before, now) = (page.layout.greatest(query.state), greatest.greatest());
        let greatest = if now > before { now } else { before };
        page.layout.rebase::<V>(query.state, greatest);
        let sums = page.layout.sums(query.state);
        let mut sum = V::load(sums);
        for slot in (begin..query.end).step_by(LANES) {
            let weight = exp(V::load(scores.add(slot)).sub(V::splat(greatest)));
            weight.store(scores.add(slot));
            sum = sum.add(weight);
        }
        sum.store(sums);
    }
}

/// Adds the values of the slots from `first` to before `end`, times their weights, to the states. The weights are those of the
/// tile's queries from `index` on.
///
/// # Safety
/// As for [`attend`]; the queries see those slots.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn values<V: Lanes, S: Source, const P: usize>(
    page: Page<'_>,
    queries: &[Query; P],
    index: usize,
    first: usize,
    end: usize,
) {
    let head_dim = page.part.head_dim;
    // SAFETY: the same promise.
    unsafe {
        let weights = page.scores.add(index * page.part.page_tokens);
        let mut dim = 0;
        while dim + LANES <= head_dim {
            if V::WIDE && dim + 2 * LANES <= head_dim {
                weigh::<V, S, P, 2>(page.part, queries, weights, dim, first..end);
                dim += 2 * LANES;
            } else {
                weigh::<V, S, P, 1>(page.part, queries, weights, dim, first..end);
                dim += LANES;
            }
        }
        if dim < head_dim {
            weigh_last::<V, S, P>(page.part, queries, weights, dim, first..end);
        }
    }
}

/// # Safety
/// As for [`values`]; the `16 * N` elements from `dim` on are within the head.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn weigh<V: Lanes, S: Source, const P: usize, const N: usize>(
    part: &Part,
    queries: &[Query; P],
    weights: *const f32,
    dim: usize,
    slots: std::ops::Range<usize>,
) {
    // SAFETY: the same promise.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; P];
        for p in 0..P {
            for n in 0..N {
                sums[p][n] = V::load(queries[p].state.0.add(dim + n * LANES));
            }
        }
        for slot in slots {
            let mut values = [V::splat(0.0); N];
            for n in 0..N {
                values[n] = S::value::<V>(part, slot, dim + n * LANES);
            }
            for p in 0..P {
                let weight = V::splat(*weights.add(p * part.page_tokens + slot));
                for n in 0..N {
                    sums[p][n] = weight.fma(values[n], sums[p][n]);
                }
            }
        }
        for p in 0..P {
            for n in 0..N {
                sums[p][n].store(queries[p].state.0.add(dim + n * LANES));
            }
        }
    }
}

/// The same for a head's last elements, when they are fewer than sixteen.
///
/// # Safety
/// As for [`values`]; `dim` is within the head.
#[inline(always)]
#[allow(unsafe_code, reason = "vector instructions")]
unsafe fn weigh_last<V: Lanes, S: Source, const P: usize>(
    part: &Part,
    queries: &[Query; P],
    weights: *const f32,
    dim: usize,
    slots: std::ops::Range<usize>,
) {
    let count = part.head_dim - dim;
    // SAFETY: the same promise; states are padded to a multiple of sixteen elements.
    unsafe {
        for slot in slots {
            let value = S::last_of_value::<V>(part, slot, dim, count);
            for p in 0..P {
                let place = queries[p].state.0.add(dim);
                let weight = V::splat(*weights.add(p * part.page_tokens + slot));
                weight.fma(value, V::load(place)).store(place);
            }
        }
    }
}
