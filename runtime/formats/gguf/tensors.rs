//! The tensors of a GGUF file: their names, shapes, types and places, checked against each other and the file.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cwm_kernels::ElementType;

use super::reader::Reader;
use crate::formats::error::FormatError;
use crate::formats::tensor::{MappedFile, Tensor};

/// More tensors than any model has; 1024 layers of 12 would be 12,291.
const MOST_TENSORS: u64 = 1 << 16;
/// The format's own limit.
const MOST_DIMENSIONS: u32 = 4;

/// A tensor as the header describes it; its place is relative to the start of the data.
pub(super) struct Entry<'a> {
    name: &'a str,
    element: ElementType,
    shape: Vec<usize>,
    bytes: usize,
    offset: u64,
}

/// Reads the descriptions of `count` tensors.
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    path: &Path,
    count: u64,
) -> Result<Vec<Entry<'a>>, FormatError> {
    if count > MOST_TENSORS {
        return Err(FormatError::damaged(
            path,
            format!("it claims {count} tensors; no model has more than {MOST_TENSORS}"),
        ));
    }
    let mut entries = Vec::new();
    let mut names = HashSet::new();
    for index in 0..count {
        let entry = read_entry(reader, path, index)?;
        if !names.insert(entry.name) {
            return Err(FormatError::tensor(path, entry.name, "it is there twice"));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn read_entry<'a>(reader: &mut Reader<'a>, path: &Path, index: u64) -> Result<Entry<'a>, FormatError> {
    let name = reader.string(&format!("the name of tensor {index}"))?;
    let wrong = |reason: String| FormatError::tensor(path, name, reason);
    let what = format!("the description of tensor {index}");
    let dimensions = reader.u32(&what)?;
    if dimensions == 0 || dimensions > MOST_DIMENSIONS {
        return Err(wrong(format!(
            "it has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} are possible"
        )));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = reader.u64(&what)?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| *size > 0)
            .ok_or_else(|| wrong(format!("a dimension of {size} elements is impossible")))?;
        shape.push(size);
    }
    // The file has the innermost dimension first.
    shape.reverse();
    let number = reader.u32(&what)?;
    let element = element(number).map_err(&wrong)?;
    let offset = reader.u64(&what)?;
    let columns = shape.last().copied().unwrap_or(1);
    if !columns.is_multiple_of(element.block_elements()) {
        return Err(wrong(format!(
            "rows of {columns} elements are no whole number of {} blocks of {}",
            element.name(),
            element.block_elements()
        )));
    }
    let bytes = shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size))
        .and_then(|elements| element.bytes_of(elements))
        .ok_or_else(|| {
            wrong(format!(
                "its shape {shape:?} has more elements than can be counted"
            ))
        })?;
    Ok(Entry {
        name,
        element,
        shape,
        bytes,
        offset,
    })
}

/// Finds the tensors' bytes: `data` is where the header says that the data starts.
pub(super) fn place(
    entries: Vec<Entry<'_>>,
    file: &Arc<MappedFile>,
    data: usize,
    alignment: usize,
) -> Result<Vec<Tensor>, FormatError> {
    let path = file.path();
    let mut tensors = Vec::new();
    let mut ranges: Vec<(Range<usize>, &str)> = Vec::new();
    for entry in entries {
        let wrong = |reason: String| FormatError::tensor(path, entry.name, reason);
        if !entry.offset.is_multiple_of(alignment as u64) {
            return Err(wrong(format!(
                "its offset {} is not a multiple of {alignment}",
                entry.offset
            )));
        }
        let start = usize::try_from(entry.offset)
            .ok()
            .and_then(|offset| offset.checked_add(data));
        let range = start
            .and_then(|start| Some(start..start.checked_add(entry.bytes)?))
            .filter(|range| range.end <= file.bytes().len());
        let Some(range) = range else {
            return Err(wrong(format!(
                "its {} bytes at offset {} end behind the file's {} bytes; the file is cut short or not a whole download",
                entry.bytes,
                entry.offset,
                file.bytes().len()
            )));
        };
        ranges.push((range.clone(), entry.name));
        let tensor = Tensor::new(
            entry.name.to_owned(),
            entry.element,
            entry.shape,
            Arc::clone(file),
            range,
        )
        .ok_or_else(|| wrong("its size does not fit its shape".to_owned()))?;
        tensors.push(tensor);
    }
    ranges.sort_by_key(|(range, _)| (range.start, range.end));
    for pair in ranges.windows(2) {
        if let [(before, name), (after, other)] = pair
            && after.start < before.end
        {
            return Err(FormatError::tensor(
                path,
                other,
                format!(
                    "its bytes overlap those of {}",
                    crate::formats::error::shown(name)
                ),
            ));
        }
    }
    Ok(tensors)
}

/// The type of that number, or a sentence about why not.
fn element(number: u32) -> Result<ElementType, String> {
    Ok(match number {
        0 => ElementType::F32,
        1 => ElementType::F16,
        2 => ElementType::Q4_0,
        3 => ElementType::Q4_1,
        6 => ElementType::Q5_0,
        7 => ElementType::Q5_1,
        8 => ElementType::Q8_0,
        12 => ElementType::Q4_K,
        13 => ElementType::Q5_K,
        14 => ElementType::Q6_K,
        30 => ElementType::BF16,
        _ => {
            let known = ElementType::ALL
                .into_iter()
                .filter(|element| !element.has_scales_apart())
                .map(ElementType::name)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(match other_type(number) {
                Some(name) => format!("its type {name} is not supported (only {known})"),
                None => format!("its type number {number} is unknown (supported are {known})"),
            });
        }
    })
}

/// The names of ggml's other types, as its enumeration has them; some are only to be met in old files.
fn other_type(number: u32) -> Option<&'static str> {
    Some(match number {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => return None,
    })
}
