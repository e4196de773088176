//! GGUF, the format of the `ggml` libraries: one header of metadata and tensor descriptions, then the tensors.

mod metadata;
mod reader;
mod spec;
mod tensors;
mod vocabulary;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::metadata::Metadata;
use self::reader::Reader;
use super::checkpoint::Checkpoint;
use super::error::{FormatError, shown};
use super::layer_types::LayerTypes;
use super::limits;
use super::tensor::{MappedFile, Tensor};

/// The first bytes of every file.
pub(super) const MAGIC: &[u8; 4] = b"GGUF";
/// The most files that a model may be split into.
const MOST_SHARDS: usize = 1 << 10;

/// Opens a model of one file, or of the set that a file named `…-00001-of-00003.gguf` belongs to.
pub(super) fn open(path: &Path, layer_types: Option<&LayerTypes>) -> Result<Checkpoint, FormatError> {
    let shards = Shards::of(path);
    let first = shards.path(path, 1);
    let file = Arc::new(MappedFile::open(&first)?);
    let mut reader = Reader::new(file.path(), file.bytes());
    let header = Header::read(&mut reader)?;
    let metadata = Metadata::read(&mut reader, file.path(), header.keys)?;
    check_split(&metadata, 1, shards.count)?;
    let beside = match layer_types {
        Some(_) => None,
        None => undisguise(&metadata)?,
    };
    let mut named = tensors(&mut reader, &file, &metadata, header.tensors)?;
    let mut files = vec![first];
    for number in 2..=shards.count {
        let path = shards.path(path, number);
        for (name, tensor) in shard(&path, number, shards.count)? {
            if let Some(other) = named.insert(name, tensor) {
                return Err(FormatError::tensor(
                    &path,
                    &other.name,
                    format!("it is also in {}", other.file().path().display()),
                ));
            }
        }
        files.push(path);
    }
    let layer_types = match &beside {
        Some((config, layer_types)) => {
            files.push(config.clone());
            Some(layer_types)
        }
        None => layer_types,
    };
    build(path, &metadata, named, layer_types, files)
}

fn build(
    path: &Path,
    metadata: &Metadata<'_>,
    named: HashMap<String, Tensor>,
    layer_types: Option<&LayerTypes>,
    files: Vec<PathBuf>,
) -> Result<Checkpoint, FormatError> {
    let spec = spec::read(metadata, &named, layer_types)?;
    limits::check_spec(&spec, metadata.path())?;
    let tensors = limits::assign(
        &spec,
        named,
        spec::tensor_name,
        spec::is_description,
        metadata.path(),
    )?;
    let tokenizer = vocabulary::read(metadata, spec.vocabulary)?;
    let generation = vocabulary::generation(metadata, &tokenizer)?;
    let name = match metadata.string("general.name")? {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => path
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
    };
    Ok(Checkpoint {
        path: path.to_owned(),
        name,
        spec,
        tensors,
        tokenizer,
        chat_template: metadata.string("tokenizer.chat_template")?.map(str::to_owned),
        generation,
        files,
        packed: None,
    })
}

/// For a Code World Model in a plain llama's clothes: the config.json beside the file, and the layer types that it gives.
fn undisguise(metadata: &Metadata<'_>) -> Result<Option<(PathBuf, LayerTypes)>, FormatError> {
    let Some(why) = spec::disguise(metadata)? else {
        return Ok(None);
    };
    let config = metadata.path().with_file_name("config.json");
    if config.is_file() {
        let layer_types = LayerTypes::read(&config)?;
        return Ok(Some((config, layer_types)));
    }
    Err(FormatError::CwmWithoutLayerTypes {
        path: metadata.path().to_owned(),
        why,
    })
}

/// The start of a file.
struct Header {
    tensors: u64,
    keys: u64,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Header, FormatError> {
        let magic = reader.take(4, "the header")?;
        if magic != MAGIC {
            return Err(FormatError::not_a_model(
                reader.path(),
                format!(
                    "it does not start with GGUF but with {}",
                    shown(&String::from_utf8_lossy(magic))
                ),
            ));
        }
        let version = reader.u32("the header")?;
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(FormatError::unsupported(
                    reader.path(),
                    "it is a big-endian GGUF file",
                ));
            }
            _ => {
                return Err(FormatError::unsupported(
                    reader.path(),
                    format!("its GGUF version is {version}; 2 and 3 can be read"),
                ));
            }
        }
        Ok(Header {
            tensors: reader.u64("the header")?,
            keys: reader.u64("the header")?,
        })
    }
}

/// The tensors of one file, by name.
fn tensors<'a>(
    reader: &mut Reader<'a>,
    file: &'a Arc<MappedFile>,
    metadata: &Metadata<'a>,
    count: u64,
) -> Result<HashMap<String, Tensor>, FormatError> {
    let alignment = match metadata.count("general.alignment")? {
        None => 32,
        Some(alignment) if alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment) => alignment,
        Some(alignment) => {
            return Err(FormatError::damaged(
                file.path(),
                format!("its alignment {alignment} is not a power of two from 8 to 1048576"),
            ));
        }
    };
    let entries = tensors::read(reader, file.path(), count)?;
    let data = reader.position().next_multiple_of(alignment);
    let placed = tensors::place(entries, file, data, alignment)?;
    Ok(placed
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect())
}

/// The tensors of a shard that is not the first.
fn shard(path: &Path, number: usize, count: usize) -> Result<HashMap<String, Tensor>, FormatError> {
    if !path.exists() {
        return Err(FormatError::not_a_model(
            path,
            format!("this shard, {number} of {count}, is missing"),
        ));
    }
    let file = Arc::new(MappedFile::open(path)?);
    let mut reader = Reader::new(path, file.bytes());
    let header = Header::read(&mut reader)?;
    let metadata = Metadata::read(&mut reader, path, header.keys)?;
    check_split(&metadata, number, count)?;
    tensors(&mut reader, &file, &metadata, header.tensors)
}

/// Whether a file is the shard that its name says. Split files count themselves from 0.
fn check_split(metadata: &Metadata<'_>, number: usize, count: usize) -> Result<(), FormatError> {
    let shards = metadata.count("split.count")?.unwrap_or(1).max(1);
    let own = metadata.count("split.no")?.unwrap_or(0).saturating_add(1);
    if shards == count && own == number {
        return Ok(());
    }
    Err(FormatError::damaged(
        metadata.path(),
        format!(
            "it says that it is part {own} of {shards}, and its name that it is part {number} of {count}; parts of a split model are \
             named like model-00001-of-00003.gguf"
        ),
    ))
}

/// The set of files that a model is split into.
struct Shards {
    /// The name before the numbers; `None` for a model of one file.
    stem: Option<String>,
    count: usize,
}

impl Shards {
    fn of(path: &Path) -> Shards {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let parse = || {
            let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
            let (stem, number) = rest.rsplit_once('-')?;
            let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(number) || !is_number(count) {
                return None;
            }
            let (number, count): (usize, usize) = (number.parse().ok()?, count.parse().ok()?);
            let sensible = (1..=MOST_SHARDS).contains(&count) && (1..=count).contains(&number);
            sensible.then(|| (stem.to_owned(), count))
        };
        match parse() {
            Some((stem, count)) => Shards {
                stem: Some(stem),
                count,
            },
            None => Shards { stem: None, count: 1 },
        }
    }

    fn path(&self, path: &Path, number: usize) -> PathBuf {
        match &self.stem {
            None => path.to_owned(),
            Some(stem) => path.with_file_name(format!("{stem}-{number:05}-of-{:05}.gguf", self.count)),
        }
    }
}

/// The first file of a model, when `name` is the name of another of its shards.
pub(super) fn is_later_shard(path: &Path) -> bool {
    let shards = Shards::of(path);
    shards.path(path, 1) != path
}
