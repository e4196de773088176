//! Work on rows one by one, shared among threads when there is enough of it.

use std::sync::{Mutex, PoisonError};

use cwm_kernels::cpu::ThreadPool;

/// Values below which waking other threads costs more than it saves.
const ALONE: usize = 16 * 1024;
/// Values that a thread takes at a time, about.
const PIECE: usize = 8 * 1024;

/// Calls `work` with the number of each row of `values`, `[rows, width]`, and the row.
pub(super) fn each_row(
    pool: &ThreadPool,
    values: &mut [f32],
    width: usize,
    work: &(dyn Fn(usize, &mut [f32]) + Sync),
) {
    let width = width.max(1);
    if values.len() < ALONE || pool.threads() == 1 {
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            work(row, values);
        }
        return;
    }
    let piece_rows = (PIECE / width).max(1);
    // Each piece is locked once, by the thread that works on it: that is how safe code hands out parts of a slice.
    let pieces: Vec<Mutex<&mut [f32]>> = values.chunks_mut(piece_rows * width).map(Mutex::new).collect();
    pool.run(pieces.len(), &|index| {
        let Some(piece) = pieces.get(index) else { return };
        let mut piece = piece.lock().unwrap_or_else(PoisonError::into_inner);
        for (row, values) in piece.chunks_exact_mut(width).enumerate() {
            work(index * piece_rows + row, values);
        }
    });
}
