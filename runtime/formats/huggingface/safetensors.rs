//! One safetensors file: eight bytes of length, a JSON header, then the tensors without gaps. The rules are the `safetensors` crate's;
//! the header is taken apart here, so that what is wrong can be said by tensor, and sums are checked before the crate makes them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ::safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorInfo};
use cwm_kernels::ElementType;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use crate::formats::error::{FormatError, shown};
use crate::formats::tensor::{MappedFile, Tensor};

/// The format's own limit.
const LARGEST_HEADER: usize = 100_000_000;

/// A tensor as the header describes it.
#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The header's tensors in the order of the text, which may name one twice, and its metadata.
struct Header {
    entries: Vec<(String, Entry)>,
    metadata: HashMap<String, String>,
}

/// What is expected in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Expected {
    /// Floats, as models are published.
    Floats,
    /// Types with scales apart too, as this program writes them: a byte of `U8` is two 4-bit integers.
    Packed,
}

/// A file's tensors by name, and its metadata.
#[derive(Debug)]
pub(in crate::formats) struct Contents {
    pub(in crate::formats) tensors: HashMap<String, Tensor>,
    pub(in crate::formats) metadata: HashMap<String, String>,
    /// Where the tensors' bytes begin.
    pub(in crate::formats) data: usize,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Header, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let mut entries = Vec::new();
                let mut metadata = HashMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        let Texts(texts) = map.next_value()?;
                        metadata.extend(texts);
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header { entries, metadata })
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The metadata's texts; files whose metadata holds something else are read as if it held none.
struct Texts(HashMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let texts = value.as_object().into_iter().flatten();
        let texts = texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        Ok(Texts(texts.collect()))
    }
}

/// Reads a file's header.
pub(in crate::formats) fn read(file: &Arc<MappedFile>, expected: Expected) -> Result<Contents, FormatError> {
    let damaged = |reason: String| FormatError::damaged(file.path(), reason);
    let cut = || damaged("it ends within its header; it is cut short or not a safetensors file".to_owned());
    let (length, rest) = file.bytes().split_first_chunk().ok_or_else(cut)?;
    let length = u64::from_le_bytes(*length);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= LARGEST_HEADER)
        .ok_or_else(|| {
            damaged(format!(
                "its header claims {length} bytes; {LARGEST_HEADER} are possible"
            ))
        })?;
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let Header { entries, metadata } = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("its header is not what safetensors has there: {error}")))?;
    let start = file.bytes().len() - data.len();
    let mut tensors = HashMap::new();
    let mut infos = Vec::new();
    let mut names = HashSet::new();
    for (name, entry) in entries {
        let wrong = |reason: String| FormatError::tensor(file.path(), &name, reason);
        if !names.insert(name.clone()) {
            return Err(wrong("it is there twice".to_owned()));
        }
        let (dtype, element) = element(&entry.dtype, expected).map_err(&wrong)?;
        let tensor = place(file, &name, element, &entry, start).map_err(&wrong)?;
        infos.push((
            name.clone(),
            TensorInfo {
                dtype,
                shape: entry.shape,
                data_offsets: entry.data_offsets,
            },
        ));
        tensors.insert(name, tensor);
    }
    check_layout(file, infos, data.len())?;
    Ok(Contents {
        tensors,
        metadata,
        data: start,
    })
}

/// The tensor's bytes. `start` is where the data starts in the file.
fn place(
    file: &Arc<MappedFile>,
    name: &str,
    element: ElementType,
    entry: &Entry,
    start: usize,
) -> Result<Tensor, String> {
    let (from, to) = entry.data_offsets;
    let range = from
        .checked_add(start)
        .zip(to.checked_add(start))
        .filter(|(_, to)| *to <= file.bytes().len())
        .ok_or_else(|| {
            format!(
                "its bytes {from} to {to} end behind the file's {}; the file is cut short or not a whole download",
                file.bytes().len()
            )
        })?;
    let mut shape = entry.shape.clone();
    if element == ElementType::I4
        && let Some(columns) = shape.last_mut()
    {
        *columns = columns
            .checked_mul(2)
            .ok_or_else(|| "its rows are too long".to_owned())?;
    }
    Tensor::new(
        name.to_owned(),
        element,
        shape,
        Arc::clone(file),
        range.0..range.1,
    )
    .ok_or_else(|| {
        format!(
            "its bytes {from} to {to} are not those of {} {:?}",
            element.name(),
            entry.shape
        )
    })
}

/// The rules of the format between tensors: they lie one behind the other and fill the file.
fn check_layout(
    file: &MappedFile,
    mut infos: Vec<(String, TensorInfo)>,
    bytes: usize,
) -> Result<(), FormatError> {
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(None, infos).map_err(|error| match error {
        SafeTensorError::InvalidOffset(name) => FormatError::tensor(
            file.path(),
            &name,
            "its bytes overlap another tensor's, or there is a gap before them",
        ),
        other => FormatError::damaged(file.path(), format!("its header is wrong: {other}")),
    })?;
    if metadata.data_len() == bytes {
        return Ok(());
    }
    Err(FormatError::damaged(
        file.path(),
        format!(
            "its tensors take {} bytes and there are {bytes}",
            metadata.data_len()
        ),
    ))
}

fn element(name: &str, expected: Expected) -> Result<(Dtype, ElementType), String> {
    match name {
        "F8_E4M3" if expected == Expected::Packed => Ok((Dtype::F8_E4M3, ElementType::E4M3)),
        "U8" if expected == Expected::Packed => Ok((Dtype::U8, ElementType::I4)),
        "F32" => Ok((Dtype::F32, ElementType::F32)),
        "F16" => Ok((Dtype::F16, ElementType::F16)),
        "BF16" => Ok((Dtype::BF16, ElementType::BF16)),
        _ => Err(format!(
            "its type {} is not supported (only F32, F16 and BF16)",
            shown(name)
        )),
    }
}
