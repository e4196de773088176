//! Which thread computes what: blocks of rows, or single chunks of them where there are too few blocks for all threads.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::block::Block;
use super::{AttentionCall, AttentionSequence};

/// Queries a block, about: enough to make up for reading pages as floats, few enough that their states stay in the cache.
const BLOCK_QUERIES: usize = 96;
/// Blocks are split into chunks when there are fewer than so many a thread.
const BLOCKS_A_THREAD: usize = 4;
/// The most floats that split blocks may keep (64 MiB).
const MOST_SPLIT: usize = 1 << 24;

/// A block whose chunks are computed by themselves.
struct Split {
    /// Where the states of its chunks lie, one chunk behind the other.
    states: *mut f32,
    /// Chunks that are not yet computed; who computes the last one merges them.
    left: AtomicUsize,
}

/// What one thread does at a time.
struct Work {
    block: usize,
    /// The chunk to compute, or `None` for all.
    chunk: Option<usize>,
    cost: usize,
}

struct Plan<'a> {
    blocks: Vec<(Block<'a>, Option<Split>)>,
    works: Vec<Work>,
}

// SAFETY: the raw pointers in a plan are used by several threads at once, but for different floats: each block writes results of its
// own, and the states of a chunk are written by whoever has its `Work`, and read by whoever counts `Split::left` down to zero.
#[allow(unsafe_code, reason = "threads write different parts of the same slices")]
unsafe impl Sync for Plan<'_> {}

thread_local! {
    /// The states of split blocks, kept for the next call.
    static STATES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn run(call: &AttentionCall<'_>, sequences: &mut [AttentionSequence<'_>]) {
    let blocks = blocks(call, sequences);
    let chunks: Vec<Range<usize>> = blocks.iter().map(Block::chunks).collect();
    let lengths = blocks.iter().zip(&chunks);
    let needed: usize = lengths
        .map(|(block, chunks)| block.states_len() * chunks.len())
        .sum();
    let threads = call.pool.threads();
    let split = threads > 1 && blocks.len() < BLOCKS_A_THREAD * threads && needed <= MOST_SPLIT;
    let mut states = STATES.take();
    if split && states.len() < needed {
        states.resize(needed, 0.0);
    }
    let plan = plan(blocks, chunks, split.then_some(&mut states));
    call.pool
        .run(plan.works.len(), &|index| plan.run(&plan.works[index]));
    STATES.replace(states);
}

fn blocks<'a>(call: &'a AttentionCall<'a>, sequences: &'a mut [AttentionSequence<'_>]) -> Vec<Block<'a>> {
    let block_rows = (BLOCK_QUERIES / call.group().max(1)).max(1);
    let width = call.width();
    let mut blocks = Vec::new();
    if width == 0 {
        return blocks;
    }
    for sequence in sequences {
        let rows = sequence.queries.len() / width;
        let out = sequence.out.as_mut_ptr();
        for first_row in (0..rows).step_by(block_rows) {
            let place = first_row * width..rows.min(first_row + block_rows) * width;
            // Wrapping, for this is no place to promise that it is within the slice, which `attention` checked.
            let out = out.wrapping_add(place.start);
            blocks.extend((0..call.pages.kv_heads).map(|kv_head| Block {
                call,
                tables: &sequence.tables,
                first_page: sequence.first_page,
                kv_head,
                first_position: sequence.first_position + first_row,
                queries: &sequence.queries[place.clone()],
                out,
            }));
        }
    }
    blocks
}

/// The work, the largest pieces first. With `states` (long enough for all chunks of all blocks), chunks are computed by themselves.
fn plan<'a>(blocks: Vec<Block<'a>>, chunks: Vec<Range<usize>>, states: Option<&'a mut Vec<f32>>) -> Plan<'a> {
    let mut works = Vec::new();
    let mut free = states.map(|states| states.as_mut_slice());
    let pairs = blocks.into_iter().zip(chunks).enumerate();
    let blocks = pairs.map(|(index, (block, chunks))| {
        let work = |chunk, cost| Work {
            block: index,
            chunk,
            cost,
        };
        let length = block.states_len() * chunks.len();
        let place = free
            .as_mut()
            .filter(|_| chunks.len() > 1)
            .and_then(|free| free.split_off_mut(..length));
        let Some(place) = place else {
            works.push(work(None, block.cost(&chunks)));
            return (block, None);
        };
        let left = AtomicUsize::new(chunks.len());
        works.extend(chunks.map(|chunk| work(Some(chunk), block.cost(&(chunk..chunk + 1)))));
        let split = Split {
            states: place.as_mut_ptr(),
            left,
        };
        (block, Some(split))
    });
    let blocks = blocks.collect();
    works.sort_by_key(|work| std::cmp::Reverse(work.cost));
    Plan { blocks, works }
}

impl Plan<'_> {
    fn run(&self, work: &Work) {
        let (block, split) = &self.blocks[work.block];
        let (Some(split), Some(chunk)) = (split, work.chunk) else {
            block.run_all();
            return;
        };
        let chunks = block.chunks();
        let length = block.states_len();
        // SAFETY: `plan` gave the block room for all of its chunks; this chunk's is used by nobody else before `left` is counted
        // down.
        #[allow(unsafe_code, reason = "threads write different parts of the same slice")]
        let states = unsafe {
            std::slice::from_raw_parts_mut(split.states.add((chunk - chunks.start) * length), length)
        };
        block.run_chunk(chunk, states);
        if split.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: all chunks are computed, and their threads are done with them.
            #[allow(unsafe_code, reason = "threads write different parts of the same slice")]
            let states = unsafe { std::slice::from_raw_parts_mut(split.states, chunks.len() * length) };
            block.combine(states);
        }
    }
}
