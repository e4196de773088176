//! Puts a model's weights into another format, tensor by tensor and a few rows at a time, so that memory does not grow with the model.

use std::path::{Path, PathBuf};

use cwm_kernels::ElementType;
use cwm_kernels::blocks::{scale_type, scales_a_row};
use serde_json::{Map, Value, json};

use super::convert::{Conversion, Wrong};
use super::output::Output;
use super::{SCALE, VERSION, Vocabulary, Words, key};
use crate::formats::checkpoint::Checkpoint;
use crate::formats::huggingface::tensor_name;
use crate::model::{TensorRole, WeightFormat};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantised {
    /// The file's size.
    pub bytes: u64,
    /// Its checksum, as the file states it.
    pub sha256: String,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum QuantiseError {
    /// The source is the result of such a run.
    #[error("{} is quantised with scales apart already; quantise what it was made of", path.display())]
    Already {
        /// The source.
        path: PathBuf,
    },
    /// Nothing is written over.
    #[error("{} is there already; remove it, or write elsewhere", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// A weight that is no number.
    #[error("tensor {tensor} in {}: element {column} of row {row} is NaN or infinite; fetch the file again", path.display())]
    Values {
        /// The source's file.
        path: PathBuf,
        /// The tensor, as its file calls it.
        tensor: String,
        /// Where.
        row: usize,
        /// Where.
        column: usize,
    },
    /// A tensor that the source lacks, or whose bytes are not what its type calls for.
    #[error("tensor {tensor} in {} cannot be read: {reason}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// The tensor, as the new file would call it.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// The vocabulary is not text.
    #[error("the vocabulary of {} is not UTF-8 text, so that it cannot be put into the file", path.display())]
    Vocabulary {
        /// The source.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The target.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes a model's weights in a format into one new file, which has its name only when it is whole.
///
/// `progress` is called with the bytes written and the bytes of all tensors.
///
/// # Errors
/// See [`QuantiseError`]; then there is no file.
pub fn quantise(
    source: &Checkpoint,
    format: WeightFormat,
    target: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Quantised, QuantiseError> {
    let plans = plans(source, format)?;
    if target.exists() {
        return Err(QuantiseError::Exists {
            path: target.to_owned(),
        });
    }
    let write = |source| QuantiseError::Write {
        path: target.to_owned(),
        source,
    };
    let (header, checksum) = header(source, format, &plans)?;
    let mut output = Output::new(target).map_err(write)?;
    output
        .write(&(header.len() as u64).to_le_bytes())
        .map_err(write)?;
    output.write(&header).map_err(write)?;
    let all = plans
        .iter()
        .map(|plan| (plan.conversion.codes() + plan.conversion.scales()) as u64)
        .sum();
    let begin = output.written();
    for plan in &plans {
        let conversion = &plan.conversion;
        let mut scales = Vec::with_capacity(conversion.scales());
        for rows in conversion.chunks() {
            let converted = conversion.convert(rows.clone());
            let (codes, more) = converted.map_err(|wrong| plan.error(wrong))?;
            output.write(&codes).map_err(write)?;
            scales.extend(more);
            conversion.tensor.forget_rows(rows.end);
            progress(output.written() - begin, all);
        }
        output.write(&scales).map_err(write)?;
    }
    let bytes = output.written();
    let sha256 = output.finish(target, 8 + checksum as u64).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            QuantiseError::Exists {
                path: target.to_owned(),
            }
        } else {
            write(error)
        }
    })?;
    Ok(Quantised { bytes, sha256 })
}

/// One tensor of the new file.
struct Plan<'c> {
    name: String,
    conversion: Conversion<'c>,
}

fn plans(source: &Checkpoint, format: WeightFormat) -> Result<Vec<Plan<'_>>, QuantiseError> {
    let spec = &source.spec;
    let plan = |role: TensorRole| {
        let name = tensor_name(role);
        let wrong = |reason: &str| QuantiseError::Source {
            path: source.path.clone(),
            tensor: name.clone(),
            reason: reason.to_owned(),
        };
        let tensor = source.tensors.get(&role).ok_or_else(|| wrong("it is missing"))?;
        if tensor.element.has_scales_apart() {
            return Err(QuantiseError::Already {
                path: source.path.clone(),
            });
        }
        let element = format.element(spec, role);
        let conversion = Conversion::new(tensor, element);
        let conversion = conversion.ok_or_else(|| wrong("its rows are no whole number of bytes"))?;
        Ok(Plan { name, conversion })
    };
    spec.roles().into_iter().map(plan).collect()
}

impl Plan<'_> {
    fn error(&self, wrong: Wrong) -> QuantiseError {
        let tensor = self.conversion.tensor;
        let path = tensor.file().path().to_owned();
        match wrong {
            Wrong::Value(row, column) => QuantiseError::Values {
                path,
                tensor: tensor.name.clone(),
                row,
                column,
            },
            Wrong::Read(reason) => QuantiseError::Source {
                path,
                tensor: self.name.clone(),
                reason,
            },
        }
    }
}

/// The header, and where in it the checksum's digits begin.
fn header(
    source: &Checkpoint,
    format: WeightFormat,
    plans: &[Plan<'_>],
) -> Result<(Vec<u8>, usize), QuantiseError> {
    let vocabulary = Vocabulary::of(&source.tokenizer).ok_or_else(|| QuantiseError::Vocabulary {
        path: source.path.clone(),
    })?;
    let words = Words {
        vocabulary,
        chat_template: source.chat_template.clone(),
        generation: source.generation.clone(),
    };
    let text = |value: Result<String, serde_json::Error>| {
        value.map_err(|error| QuantiseError::Source {
            path: source.path.clone(),
            tensor: "its description".to_owned(),
            reason: error.to_string(),
        })
    };
    let metadata = json!({
        key::VERSION: VERSION,
        key::NAME: source.name,
        key::WEIGHTS: format.name(),
        key::MODEL: text(serde_json::to_string(&source.spec))?,
        key::WORDS: text(serde_json::to_string(&words))?,
        key::SHA256: "0".repeat(64),
    });
    let mut entries = Map::from_iter([("__metadata__".to_owned(), metadata)]);
    let mut offset = 0;
    let mut add = |name: String, dtype: &str, shape: Vec<usize>, bytes: usize| {
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes]});
        entries.insert(name, entry);
        offset += bytes;
    };
    for plan in plans {
        let conversion = &plan.conversion;
        let (rows, columns) = (conversion.tensor.rows(), conversion.tensor.columns());
        let mut shape = conversion.tensor.shape.clone();
        if conversion.element == ElementType::I4 {
            shape = vec![rows, columns / 2];
        }
        add(
            plan.name.clone(),
            dtype(conversion.element),
            shape,
            conversion.codes(),
        );
        if let Some(scales) = scale_type(conversion.element) {
            let shape = match conversion.element {
                ElementType::E4M3 => vec![rows],
                element => vec![rows, scales_a_row(element, columns)],
            };
            add(
                format!("{}{SCALE}", plan.name),
                dtype(scales),
                shape,
                conversion.scales(),
            );
        }
    }
    let mut header = text(serde_json::to_string(&Value::Object(entries)))?.into_bytes();
    // Tensors begin at a multiple of eight bytes, as the format asks.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mark = format!("\"{}\":\"0", key::SHA256);
    let place = header
        .windows(mark.len())
        .position(|window| window == mark.as_bytes());
    Ok((header, place.unwrap_or_default() + mark.len() - 1))
}

/// The format's name for a type.
fn dtype(element: ElementType) -> &'static str {
    match element {
        ElementType::BF16 => "BF16",
        ElementType::E4M3 => "F8_E4M3",
        ElementType::I4 => "U8",
        _ => "F32",
    }
}
