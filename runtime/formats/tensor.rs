//! A tensor where it lies in its file.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cwm_kernels::ElementType;
use cwm_kernels::blocks::{self, BlockError};
use memmap2::Mmap;

use super::error::FormatError;

/// Opens a file for reading, and nothing that is not one: to open a pipe would wait for a writer.
pub(super) fn open_regular(path: &Path) -> Result<File, FormatError> {
    let read = |error| FormatError::read(path, error);
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(FormatError::not_a_model(path, "it is not a regular file"));
    }
    File::open(path).map_err(read)
}

/// A file in memory.
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps a file for reading. The file must not be cut short by another program while it is in use: reading behind its new end
    /// would end this one.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is not a regular file, or is empty.
    pub fn open(path: &Path) -> Result<MappedFile, FormatError> {
        let file = open_regular(path)?;
        let metadata = file.metadata().map_err(|error| FormatError::read(path, error))?;
        if metadata.len() == 0 {
            return Err(FormatError::damaged(path, "it is empty"));
        }
        #[allow(
            unsafe_code,
            reason = "mapping a file is the one thing here that safe Rust has no way to do"
        )]
        // SAFETY: the map is private to this process and only ever read, as bytes, for which any value is valid. A writer elsewhere
        // could change bytes under us: then weights are wrong, but no invariant of ours depends on their values after the checks,
        // since every range is checked against the map's length, which does not change.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| FormatError::read(path, error))?;
        Ok(MappedFile {
            path: path.to_owned(),
            map,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Lets go of the memory that holds the pages which lie wholly in `range`, until they are read again.
    #[cfg(target_os = "linux")]
    fn forget_pages(&self, range: &Range<usize>) {
        let page = rustix::param::page_size();
        // The map begins at a page.
        let start = range.start.next_multiple_of(page);
        let end = range.end.min(self.map.len()) / page * page;
        let Some(length) = end.checked_sub(start).filter(|length| *length > 0) else {
            return;
        };
        #[allow(
            unsafe_code,
            reason = "memmap2 cannot know whether dropped pages come back with the same bytes"
        )]
        // SAFETY: the map is of a file and only ever read, so that a page that is dropped is read from the file again, with the bytes
        // that it had. The range is whole pages within the map.
        let advised = unsafe {
            self.map
                .unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length)
        };
        // Advice: when it is not taken, nothing is lost but memory.
        drop(advised);
    }

    /// Elsewhere the system lets go of pages by itself.
    #[cfg(not(target_os = "linux"))]
    fn forget_pages(&self, _: &Range<usize>) {}
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "MappedFile({}, {} bytes)",
            self.path.display(),
            self.map.len()
        )
    }
}

/// A tensor of a checkpoint. Its bytes are a part of its mapped file, row after row.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// What its file calls it.
    pub name: String,
    /// The type of its elements.
    pub element: ElementType,
    /// Its shape, outermost dimension first.
    pub shape: Vec<usize>,
    file: Arc<MappedFile>,
    range: Range<usize>,
    /// Of types whose scales lie apart: where they lie in the same file, row after row.
    scales: Option<Range<usize>>,
}

impl Tensor {
    /// A tensor in a file; `None` when the range is not in the file, or not as long as the type and the shape say.
    pub(crate) fn new(
        name: String,
        element: ElementType,
        shape: Vec<usize>,
        file: Arc<MappedFile>,
        range: Range<usize>,
    ) -> Option<Tensor> {
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size))?;
        let whole_rows = shape
            .last()
            .is_none_or(|columns| columns.is_multiple_of(element.block_elements()));
        let bytes = file.bytes().get(range.clone())?;
        (whole_rows && element.bytes_of(elements) == Some(bytes.len())).then_some(Tensor {
            name,
            element,
            shape,
            file,
            range,
            scales: None,
        })
    }

    /// The same with its scales, which are a tensor of the same file; `None` when they are not of the type and as many as it takes.
    pub(crate) fn with_scales(self, scales: &Tensor) -> Option<Tensor> {
        let columns = self.columns();
        let count = blocks::scales_a_row(self.element, columns).checked_mul(self.rows())?;
        let same_file = Arc::ptr_eq(&self.file, &scales.file);
        let suits = blocks::scale_type(self.element) == Some(scales.element)
            && scales.element.bytes_of(count) == Some(scales.range.len())
            && scales.rows() * scales.columns() == count;
        (same_file && suits).then(|| Tensor {
            scales: Some(scales.range.clone()),
            ..self
        })
    }

    /// The bytes of its scales, row after row; empty, where they are among its elements or there are none.
    pub fn scales(&self) -> &[u8] {
        let range = self.scales.clone().unwrap_or_default();
        self.file.bytes().get(range).unwrap_or_default()
    }

    /// All bytes that it takes in its file.
    pub fn stored_bytes(&self) -> usize {
        self.bytes().len() + self.scales().len()
    }

    /// The floats of some rows, from `first` on, `[rows, columns]`.
    ///
    /// # Errors
    /// When the tensor has fewer rows, or lacks its scales.
    pub fn read_rows(&self, first: usize, out: &mut [f32]) -> Result<(), BlockError> {
        let (element, columns) = (self.element, self.columns().max(1));
        let count = out.len() / columns;
        let wrong = || BlockError::TooLarge {
            rows: first.saturating_add(count),
            columns,
        };
        let part = |row: usize| {
            let from = first.checked_mul(row)?;
            Some(from..from.checked_add(count.checked_mul(row)?)?)
        };
        let Some((code_bytes, scale_bytes)) = blocks::scaled_row_bytes(element, columns) else {
            let row = element.bytes_of(columns).ok_or_else(wrong)?;
            let bytes = part(row).and_then(|range| self.bytes().get(range));
            return blocks::dequantise(element, bytes.ok_or_else(wrong)?, out);
        };
        let codes = part(code_bytes).and_then(|range| self.bytes().get(range));
        let scales = part(scale_bytes).and_then(|range| self.scales().get(range));
        let (codes, scales) = codes.zip(scales).ok_or_else(wrong)?;
        let rows = codes
            .chunks_exact(code_bytes)
            .zip(scales.chunks_exact(scale_bytes));
        for ((codes, scales), out) in rows.zip(out.chunks_exact_mut(columns)) {
            blocks::dequantise_row(element, codes, scales, out).map_err(|_| wrong())?;
        }
        Ok(())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // In range since `new`.
        self.file.bytes().get(self.range.clone()).unwrap_or_default()
    }

    /// How many rows it has: the product of all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.shape
            .split_last()
            .map_or(1, |(_, outer)| outer.iter().product())
    }

    /// How many elements a row has.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The bytes of one row.
    pub fn row(&self, row: usize) -> Option<&[u8]> {
        let size = self.element.bytes_of(self.columns())?;
        let start = row.checked_mul(size)?;
        self.bytes().get(start..start.checked_add(size)?)
    }

    /// The file that it is in.
    pub fn file(&self) -> &MappedFile {
        &self.file
    }

    /// Tells the system that the bytes will not be read soon: the memory that holds them is free for other things. They can be read as
    /// before, from the file.
    pub fn forget_pages(&self) {
        self.file.forget_pages(&self.range);
    }

    /// The same for rows before `end`.
    pub(crate) fn forget_rows(&self, end: usize) {
        let bytes = self
            .element
            .bytes_of(self.columns())
            .unwrap_or(0)
            .saturating_mul(end);
        let to = self.range.start.saturating_add(bytes).min(self.range.end);
        self.file.forget_pages(&(self.range.start..to));
    }
}

#[cfg(test)]
#[path = "tensor_tests.rs"]
mod tests;
