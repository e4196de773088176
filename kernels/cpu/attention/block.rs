//! A block of work: some rows of one sequence with one KV head, chunk after chunk.

use std::cell::RefCell;
use std::ops::Range;

use super::super::lanes::{Kernel, Lanes, dispatch};
use super::super::pages::{HeadPart, KvPages};
use super::AttentionCall;
use super::source::{BFloat16, Float8, Float16, Float32, Int8, Part, Widened};
use super::state::{State, StateLayout};
use super::tile::{self, MOST, Page, Query};
use crate::KvElement;

/// Rows of one sequence with one KV head.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) call: &'a AttentionCall<'a>,
    /// The sequence's pages, from page number `first_page` on.
    pub(super) tables: &'a [&'a [u8]],
    pub(super) first_page: usize,
    pub(super) kv_head: usize,
    /// The position of the block's first row.
    pub(super) first_position: usize,
    /// The block's rows, `[rows, heads, head_dim]`.
    pub(super) queries: &'a [f32],
    /// Where the results of these rows go, `[rows, heads, head_dim]`. Other blocks write other heads of the same rows.
    pub(super) out: *mut f32,
}

/// What a thread keeps from one block to the next.
#[derive(Default)]
struct Scratch {
    widened: Widened,
    scores: Vec<f32>,
    chunk: Vec<f32>,
    total: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Block<'_> {
    fn rows(&self) -> usize {
        self.queries.len() / self.call.width()
    }

    /// Queries: rows times query heads of the KV head.
    pub(super) fn queries_count(&self) -> usize {
        self.rows() * self.call.group()
    }

    fn layout(&self) -> StateLayout {
        StateLayout::new(self.call.pages.head_dim)
    }

    /// Floats of the states of all queries.
    pub(super) fn states_len(&self) -> usize {
        self.queries_count() * self.layout().stride()
    }

    /// The numbers of the pages that some row sees.
    fn pages(&self) -> Range<usize> {
        let page_tokens = self.call.pages.page_tokens;
        let last = self.first_position + self.rows() - 1;
        self.call.oldest(self.first_position) / page_tokens..last / page_tokens + 1
    }

    /// The numbers of the chunks that some row sees.
    pub(super) fn chunks(&self) -> Range<usize> {
        let (pages, chunk_pages) = (self.pages(), self.call.chunk_pages());
        pages.start / chunk_pages..(pages.end - 1) / chunk_pages + 1
    }

    /// How much work some chunks are, in queries times pages.
    pub(super) fn cost(&self, chunks: &Range<usize>) -> usize {
        let pages = self.call.chunk_pages() * chunks.len();
        pages.min(self.pages().len()) * self.queries_count()
    }

    /// Computes everything and writes the results.
    pub(super) fn run_all(&self) {
        let mut scratch = SCRATCH.take();
        let length = self.states_len();
        let (mut chunk_states, mut total) = (
            std::mem::take(&mut scratch.chunk),
            std::mem::take(&mut scratch.total),
        );
        chunk_states.resize(length, 0.0);
        total.resize(length, 0.0);
        for chunk in self.chunks() {
            self.run_chunk_with(&mut scratch, chunk, &mut chunk_states);
            self.merge(chunk, &mut chunk_states, &mut total);
        }
        self.finish(&mut total);
        (scratch.chunk, scratch.total) = (chunk_states, total);
        SCRATCH.replace(scratch);
    }

    /// Computes the states of one chunk.
    pub(super) fn run_chunk(&self, chunk: usize, states: &mut [f32]) {
        let mut scratch = SCRATCH.take();
        self.run_chunk_with(&mut scratch, chunk, states);
        SCRATCH.replace(scratch);
    }

    /// Merges the states of all chunks, one after another as [`Block::chunks`] numbers them, and writes the results.
    pub(super) fn combine(&self, states: &mut [f32]) {
        let mut total = vec![0.0; self.states_len()];
        for (chunk, states) in self.chunks().zip(states.chunks_exact_mut(self.states_len())) {
            self.merge(chunk, states, &mut total);
        }
        self.finish(&mut total);
    }

    fn run_chunk_with(&self, scratch: &mut Scratch, chunk: usize, states: &mut [f32]) {
        let (call, layout) = (self.call, self.layout());
        scratch.scores.resize(MOST * call.pages.page_tokens, 0.0);
        layout.reset(states);
        let (seen, chunk_pages) = (self.pages(), call.chunk_pages());
        let pages = seen.start.max(chunk * chunk_pages)..seen.end.min((chunk + 1) * chunk_pages);
        let mut queries = Vec::with_capacity(self.queries_count());
        for page in pages {
            self.queries_of(page, states, &mut queries);
            let head = call
                .pages
                .head_part(self.tables[page - self.first_page], call.layer, self.kv_head);
            let work = PageWork {
                pages: call.pages,
                head,
                widened: &mut scratch.widened,
                scores: &mut scratch.scores,
                queries: &queries,
                layout,
                scale: call.scale,
            };
            work.run(call.isa);
        }
    }

    /// The queries that see something of a page, and what they see.
    fn queries_of(&self, page: usize, states: &mut [f32], queries: &mut Vec<Query>) {
        let (call, page_tokens) = (self.call, self.call.pages.page_tokens);
        let (group, head_dim, stride) = (call.group(), call.pages.head_dim, self.layout().stride());
        let begin = page * page_tokens;
        queries.clear();
        let rows = self.queries.chunks_exact(call.width());
        for ((row, elements), states) in rows.enumerate().zip(states.chunks_exact_mut(group * stride)) {
            let position = self.first_position + row;
            let first = call.oldest(position).saturating_sub(begin);
            let end = (position + 1).saturating_sub(begin).min(page_tokens);
            if first >= end {
                continue;
            }
            let elements = elements[self.kv_head * group * head_dim..].chunks_exact(head_dim);
            for (elements, state) in elements.zip(states.chunks_exact_mut(stride)) {
                queries.push(Query {
                    elements: elements.as_ptr(),
                    state: State(state.as_mut_ptr()),
                    first,
                    end,
                });
            }
        }
    }

    /// Calls `act` with each query's index and position.
    fn each_query(&self, mut act: impl FnMut(usize, usize)) {
        let group = self.call.group();
        for index in 0..self.queries_count() {
            act(index, self.first_position + index / group);
        }
    }

    /// Takes a chunk's states into those of the chunks before.
    fn merge(&self, chunk: usize, states: &mut [f32], total: &mut [f32]) {
        let call = self.call;
        let chunks_of = |position| call.chunk_of(call.oldest(position))..=call.chunk_of(position);
        let stride = self.layout().stride();
        self.each_query(|index, position| {
            let chunks = chunks_of(position);
            if !chunks.contains(&chunk) {
                return;
            }
            let place = index * stride..(index + 1) * stride;
            let merge = Merge {
                layout: self.layout(),
                total: &mut total[place.clone()],
                chunk: &mut states[place],
            };
            if chunk == *chunks.start() {
                merge.total.copy_from_slice(merge.chunk);
            } else {
                dispatch(call.isa, merge);
            }
        });
    }

    fn finish(&self, total: &mut [f32]) {
        let (call, layout) = (self.call, self.layout());
        let (group, head_dim) = (call.group(), call.pages.head_dim);
        for (index, state) in total.chunks_exact_mut(layout.stride()).enumerate() {
            let head = self.kv_head * group + index % group;
            // SAFETY: `out` has the block's rows, and this head of them belongs to this block.
            #[allow(unsafe_code, reason = "blocks write different heads of the same rows")]
            let out = unsafe {
                let place = self.out.add(index / group * call.width() + head * head_dim);
                std::slice::from_raw_parts_mut(place, head_dim)
            };
            dispatch(call.isa, Finish { layout, state, out });
        }
    }
}

/// One page with all the queries that see some of it.
struct PageWork<'a> {
    pages: &'a KvPages,
    head: HeadPart<'a>,
    widened: &'a mut Widened,
    scores: &'a mut [f32],
    queries: &'a [Query],
    layout: StateLayout,
    scale: f32,
}

impl PageWork<'_> {
    fn run(self, isa: super::Isa) {
        let end = self.queries.iter().map(|query| query.end).max().unwrap_or(0);
        let mut part = None;
        let prepare = Prepare {
            pages: self.pages,
            head: self.head,
            widened: self.widened,
            end,
            part: &mut part,
        };
        dispatch(isa, prepare);
        let Some(part) = part else { return };
        let page = Page {
            part: &part,
            layout: self.layout,
            scale: self.scale,
            scores: self.scores.as_mut_ptr(),
        };
        dispatch(isa, Attend(page, self.queries));
    }
}

struct Prepare<'a> {
    pages: &'a KvPages,
    head: HeadPart<'a>,
    widened: &'a mut Widened,
    /// Slots from here on are not needed.
    end: usize,
    part: &'a mut Option<Part>,
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Prepare<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let (pages, head) = (self.pages, self.head);
        // SAFETY: the source is that of the element; the processor is the caller's promise.
        let part = unsafe {
            match pages.element {
                KvElement::F32 => self.widened.in_place::<V>(pages, head),
                KvElement::F16 => self.widened.widened::<V, Float16>(pages, head, self.end),
                KvElement::BF16 => self.widened.widened::<V, BFloat16>(pages, head, self.end),
                KvElement::Q8 => self.widened.widened::<V, Int8>(pages, head, self.end),
                KvElement::E4M3 => self.widened.widened::<V, Float8>(pages, head, self.end),
            }
        };
        *self.part = Some(part);
    }
}

struct Attend<'a>(Page<'a>, &'a [Query]);

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Attend<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: `PageWork::run` made the part floats and has made pointers of slices with the right lengths, which it still
        // borrows; each query has a state of its own. The processor is the caller's promise.
        unsafe { tile::attend::<V, Float32>(self.0, self.1) }
    }
}

struct Merge<'a> {
    layout: StateLayout,
    total: &'a mut [f32],
    chunk: &'a mut [f32],
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Merge<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let (total, chunk) = (State(self.total.as_mut_ptr()), State(self.chunk.as_mut_ptr()));
        // SAFETY: both slices are whole states; the processor is the caller's promise.
        unsafe { self.layout.merge::<V>(total, chunk) }
    }
}

struct Finish<'a> {
    layout: StateLayout,
    state: &'a mut [f32],
    out: &'a mut [f32],
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Finish<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let state = State(self.state.as_mut_ptr());
        // SAFETY: the slice is a whole state, and `out` a head; the processor is the caller's promise.
        unsafe {
            self.layout
                .finish::<V>(state, self.out.as_mut_ptr(), self.out.len())
        }
    }
}
