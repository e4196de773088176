//! A tensor where it lies in its file.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cwm_kernels::ElementType;
use memmap2::Mmap;

/// A file in memory.
pub struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Takes a file that has been mapped.
    pub(crate) fn new(path: PathBuf, map: Mmap) -> MappedFile {
        MappedFile { path, map }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }
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
        })
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
}
