//! Opens a file that was made here; it may be damaged or hostile like any other.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{SCALE, VERSION, Words, key};
use crate::formats::checkpoint::Checkpoint;
use crate::formats::error::{FormatError, shown};
use crate::formats::huggingface::safetensors::{self, Expected};
use crate::formats::huggingface::tensor_name;
use crate::formats::limits;
use crate::formats::tensor::{MappedFile, Tensor};
use crate::formats::values;
use crate::model::ModelSpec;

/// What such a file says of itself.
#[derive(Debug)]
pub(in crate::formats) struct Packed {
    file: Arc<MappedFile>,
    /// Where its checksum stands.
    checksum: Range<usize>,
}

impl Packed {
    /// Reads the whole file, and compares it with its checksum.
    pub(in crate::formats) fn check(&self) -> Result<(), FormatError> {
        let bytes = self.file.bytes();
        let parts = (
            bytes.get(..self.checksum.start),
            bytes.get(self.checksum.clone()),
            bytes.get(self.checksum.end..),
        );
        let (Some(before), Some(checksum), Some(behind)) = parts else {
            return Err(FormatError::damaged(self.file.path(), "its checksum is cut off"));
        };
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update([b'0'; 64]);
        hash.update(behind);
        let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.as_bytes() == checksum {
            return Ok(());
        }
        Err(FormatError::damaged(
            self.file.path(),
            "its bytes do not have the checksum that it states; make it again with cwm model quantize",
        ))
    }
}

/// Opens a safetensors file that is a whole model.
pub(in crate::formats) fn open(path: &Path) -> Result<Checkpoint, FormatError> {
    let file = Arc::new(MappedFile::open(path)?);
    let contents = safetensors::read(&file, Expected::Packed)?;
    let metadata = &contents.metadata;
    match metadata.get(key::VERSION).map(String::as_str) {
        Some(VERSION) => {}
        None => {
            return Err(FormatError::not_a_model(
                path,
                "it holds only tensors; give the folder with its config.json",
            ));
        }
        Some(other) => {
            return Err(FormatError::unsupported(
                path,
                format!(
                    "it was quantised by another cwm, in version {} of the form; this one reads {VERSION}",
                    shown(other)
                ),
            ));
        }
    }
    let spec: ModelSpec = parsed(path, metadata, key::MODEL)?;
    limits::check_spec(&spec, path)?;
    let words: Words = parsed(path, metadata, key::WORDS)?;
    let checksum = checksum_in(path, &file, metadata, contents.data)?;
    let named = with_scales(path, contents.tensors)?;
    let tensors = limits::assign(&spec, named, tensor_name, |_| false, path)?;
    Ok(Checkpoint {
        path: path.to_owned(),
        name: metadata.get(key::NAME).cloned().unwrap_or_default(),
        spec,
        tensors,
        tokenizer: words.vocabulary.into_source(),
        chat_template: words.chat_template,
        generation: words.generation,
        files: vec![path.to_owned()],
        packed: Some(Packed { file, checksum }),
    })
}

fn parsed<T: DeserializeOwned>(
    path: &Path,
    metadata: &HashMap<String, String>,
    key: &str,
) -> Result<T, FormatError> {
    let text = metadata
        .get(key)
        .ok_or_else(|| FormatError::damaged(path, format!("its metadata has no {key}")))?;
    serde_json::from_str(text)
        .map_err(|error| FormatError::damaged(path, format!("its {key} is not what it should be: {error}")))
}

/// Where the checksum stands in the header. Quotes within JSON texts are escaped, so that no other text looks like it.
fn checksum_in(
    path: &Path,
    file: &MappedFile,
    metadata: &HashMap<String, String>,
    data: usize,
) -> Result<Range<usize>, FormatError> {
    let header = file.bytes().get(..data).unwrap_or_default();
    let checksum = metadata.get(key::SHA256).filter(|text| text.len() == 64);
    let place = checksum.and_then(|checksum| {
        let wanted = format!("\"{}\":\"{checksum}\"", key::SHA256);
        let start = header
            .windows(wanted.len())
            .position(|window| window == wanted.as_bytes())?;
        let end = start + wanted.len() - 1;
        Some(end - 64..end)
    });
    place.ok_or_else(|| FormatError::damaged(path, "it has no checksum"))
}

/// Brings each matrix and its scales together.
fn with_scales(
    path: &Path,
    mut named: HashMap<String, Tensor>,
) -> Result<HashMap<String, Tensor>, FormatError> {
    let mut names: Vec<String> = named
        .iter()
        .filter(|(_, tensor)| tensor.element.has_scales_apart())
        .map(|(name, _)| name.clone())
        .collect();
    // So that a message is the same each time.
    names.sort();
    for name in names {
        let wrong = |reason: &str| FormatError::tensor(path, &name, reason);
        let scales = named
            .remove(&format!("{name}{SCALE}"))
            .ok_or_else(|| wrong("its scales are missing"))?;
        values::check_all(&scales)?;
        let Some(matrix) = named.remove(&name) else {
            continue;
        };
        let whole = matrix
            .with_scales(&scales)
            .ok_or_else(|| wrong("its scales are not of its type, or not as many as it has"))?;
        named.insert(name, whole);
    }
    Ok(named)
}
