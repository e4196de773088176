//! Quantised weights in the order in which the kernels read them.
//!
//! A file's rows come in and one [`PackedMatrix`] leaves: 16 rows side by side, so that a vector's lanes are output rows and no sum
//! across lanes is ever needed, at (nearly) the file's own width, since decode is as fast as the weights can be read.

mod buffer;
pub(crate) mod encoding;

use crate::ElementType;
use crate::blocks::{Block, BlockError, check_matrix};
use crate::cpu::ThreadPool;
use crate::cpu::disjoint::Disjoint;
use buffer::LineBuffer;
use encoding::{Encoding, GROUP_COLUMNS, LINE, Scales, TILE_ROWS, with_encoding};

/// A quantised matrix `[rows, columns]`, owned, interleaved by tiles of 16 rows.
#[derive(Debug)]
pub struct PackedMatrix {
    element: ElementType,
    rows: usize,
    columns: usize,
    header_bytes: usize,
    tile_bytes: usize,
    lines: LineBuffer,
}

impl PackedMatrix {
    /// Packs `rows` rows of `columns` elements each, row after row, as a file stores them.
    ///
    /// # Errors
    /// [`BlockError`] when `element` is a plain float, rows are not whole blocks, `bytes` has not the length they take, or memory for
    /// the packed copy (about as many bytes) cannot be had.
    pub fn pack(
        pool: &ThreadPool,
        element: ElementType,
        rows: usize,
        columns: usize,
        bytes: &[u8],
    ) -> Result<PackedMatrix, BlockError> {
        check_matrix(element, rows, columns, bytes.len())?;
        with_encoding!(
            element,
            E => pack_as::<E>(pool, rows, columns, bytes),
            else Err(BlockError::WrongFamily { element, reason: "only quantised types are packed; floats are used where they lie" })
        )
    }

    /// The type that the file stores.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Rows: elements of a product's output.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: elements of a product's input.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The memory that the weights take: what one product with one row of activations has to read.
    pub fn bytes(&self) -> usize {
        self.lines.bytes().len()
    }

    /// Bytes of one tile.
    pub(crate) fn tile_bytes(&self) -> usize {
        self.tile_bytes
    }

    /// The headers and the codes of a tile.
    pub(crate) fn tile(&self, index: usize) -> (&[u8], &[u8]) {
        self.lines.bytes()[index * self.tile_bytes..][..self.tile_bytes].split_at(self.header_bytes)
    }
}

fn pack_as<E: Encoding>(
    pool: &ThreadPool,
    rows: usize,
    columns: usize,
    bytes: &[u8],
) -> Result<PackedMatrix, BlockError> {
    let too_large = BlockError::TooLarge { rows, columns };
    let groups = columns / GROUP_COLUMNS;
    let header_bytes = (groups / E::GROUPS * E::HEADER_BYTES).next_multiple_of(LINE);
    let tile_bytes = header_bytes + groups * E::CODE_BYTES;
    let tiles = rows.div_ceil(TILE_ROWS);
    let total = tiles.checked_mul(tile_bytes).ok_or(too_large)?;
    let mut lines = LineBuffer::zeroed(pool, total / LINE).ok_or(BlockError::OutOfMemory { bytes: total })?;
    if total > 0 {
        let row_bytes = bytes.len() / rows;
        let shared = Disjoint::new(lines.bytes_mut());
        pool.run(tiles, &|tile| {
            #[allow(unsafe_code, reason = "tiles are written by several threads at once")]
            // SAFETY: each tile's range lies inside the buffer, apart from every other tile's, and each index runs once.
            let out = unsafe { shared.slice(tile * tile_bytes, tile_bytes) };
            let (headers, codes) = out.split_at_mut(header_bytes);
            let stored = bytes
                .chunks_exact(row_bytes)
                .skip(tile * TILE_ROWS)
                .take(TILE_ROWS);
            for (lane, row) in stored.enumerate() {
                pack_row::<E>(lane, row, headers, codes);
            }
        });
    }
    Ok(PackedMatrix {
        element: E::ELEMENT,
        rows,
        columns,
        header_bytes,
        tile_bytes,
        lines,
    })
}

/// Writes one row to its lane of a tile, whose bytes are zero there so far.
fn pack_row<E: Encoding>(lane: usize, row: &[u8], headers: &mut [u8], codes: &mut [u8]) {
    let mut block = Block::default();
    let blocks = row.chunks_exact(E::ELEMENT.block_bytes());
    let headers = headers.chunks_exact_mut(E::HEADER_BYTES);
    let codes = codes.chunks_exact_mut(E::GROUPS * E::CODE_BYTES);
    for ((stored, header), codes) in blocks.zip(headers).zip(codes) {
        block.read(E::ELEMENT, stored);
        pack_header::<E>(lane, &block, header);
        let groups = block.codes.as_chunks::<GROUP_COLUMNS>().0;
        for (group, out) in groups.iter().zip(codes.chunks_exact_mut(E::CODE_BYTES)) {
            pack_group::<E>(lane, group, out);
        }
    }
}

fn pack_header<E: Encoding>(lane: usize, block: &Block, header: &mut [u8]) {
    header[2 * lane..][..2].copy_from_slice(&block.scale.to_le_bytes());
    if matches!(E::SCALES, Scales::Minimum | Scales::Super) {
        header[32 + 2 * lane..][..2].copy_from_slice(&block.minimum.to_le_bytes());
    }
    for group in 0..8 {
        match E::SCALES {
            Scales::Plain | Scales::Minimum => {}
            Scales::Super => {
                header[64 + 32 * group + lane] = block.scales[group];
                header[64 + 32 * group + 16 + lane] = block.minima[group];
            }
            Scales::SuperHalves => {
                header[32 + 32 * group + lane] = block.scales[2 * group];
                header[32 + 32 * group + 16 + lane] = block.scales[2 * group + 1];
            }
        }
    }
}

/// Writes one row's 32 codes of a group. A chunk's four codes are handled as one 32-bit word, which is what a lane of it is.
fn pack_group<E: Encoding>(lane: usize, codes: &[u8; GROUP_COLUMNS], out: &mut [u8]) {
    let mut chunks = [0u32; 8];
    for (chunk, bytes) in chunks.iter_mut().zip(codes.as_chunks::<4>().0) {
        *chunk = u32::from_le_bytes(*bytes);
    }
    let mut put = |line: usize, word: u32| {
        out[line * LINE + 4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
    };
    if E::BITS == 8 {
        for (line, chunk) in chunks.into_iter().enumerate() {
            put(line, chunk);
        }
        return;
    }
    let low = |chunk: u32| chunk & 0x0f0f_0f0f;
    for (line, pair) in chunks.as_chunks::<2>().0.iter().enumerate() {
        put(line, low(pair[0]) | (low(pair[1]) << 4));
    }
    if E::BITS == 5 {
        let fifth = |(index, chunk): (usize, &u32)| ((chunk >> 4) & 0x0101_0101) << index;
        put(
            4,
            chunks
                .iter()
                .enumerate()
                .map(fifth)
                .fold(0, |bits, chunk| bits | chunk),
        );
    }
    if E::BITS == 6 {
        for (line, quad) in chunks.as_chunks::<4>().0.iter().enumerate() {
            let upper = |(index, chunk): (usize, &u32)| ((chunk >> 4) & 0x0303_0303) << (2 * index);
            put(
                4 + line,
                quad.iter()
                    .enumerate()
                    .map(upper)
                    .fold(0, |bits, chunk| bits | chunk),
            );
        }
    }
}
