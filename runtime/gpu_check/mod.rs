//! Checks and measurements of a GPU, for `scripts/gpu-check`: kernels against the reference, logits against `transformers`, limits, and a model of the
//! largest shape. Each is a stage of its own.
//!
//! What enters are a stage's name and options; what leaves is one JSON object a line, as soon as it is known, so that a stage that is
//! stopped has said what it found until then. Everything but the figures can be had on the emulation too.

mod kernels;
mod logits;
mod model;
mod model_plan;
mod short;
mod target;

#[cfg(test)]
mod gpu_check_tests;

use std::io::{self, Write};
use std::str::FromStr;

use cwm_kernels::KvElement;
use cwm_kernels::cuda::checks::Finding;
use cwm_kernels::cuda::{
    DeviceError, MatrixLibrary, NoMatrixLibrary, Unusable, discover, find_matrix_library,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::backend::{BackendError, DriveError, LoadError};
use crate::model::WeightFormat;
use target::Target;

const USAGE: &str = "usage: cwm-gpu-check STAGE [--emulated FOLDER]
  device                                       what the GPU is
  kernels [--seed N] [--after CHECK]           kernels against plain arithmetic
  logits FOLDER...                             checkpoints against the logits beside them (ids.json, logits.bin)
  short FOLDER                                 a little of everything, for compute-sanitizer
  limits                                       bytes and operations a second, at best
  speed [--seconds N]                          the same, and every kernel
  model [--weights bf16|fp8|int4] [--kv bf16|fp8] [--bandwidth BYTES/S] [--flops FLOP/S] [--seconds N]
                                               decode and prefill of the shape of CWM 32B, with random weights
logits, short, speed and model take --matrix-library never: all products by our own kernels, even where there is cublasLt";

/// Why a stage ended.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It was called wrongly.
    #[error("{0}\n{USAGE}")]
    Usage(String),
    /// There is no GPU that can be used.
    #[error("there is no GPU to check: {0}")]
    NoGpu(Unusable),
    /// The device failed.
    #[error(transparent)]
    Device(DeviceError),
    /// A model could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A model could not be run.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A launch was refused, or the device failed under it.
    #[error(transparent)]
    Finding(#[from] Finding),
    /// A folder with a checkpoint does not hold what it should.
    #[error("{0}")]
    Checkpoint(String),
    /// Something does not hold; what, has been printed.
    #[error("{0}")]
    Failed(String),
    /// Nothing can be printed.
    #[error("the result cannot be printed: {0}")]
    Output(#[from] io::Error),
}

impl From<DeviceError> for CheckError {
    fn from(error: DeviceError) -> CheckError {
        match error {
            DeviceError::Unusable(unusable) => CheckError::NoGpu(unusable),
            error => CheckError::Device(error),
        }
    }
}

impl CheckError {
    /// What the program ends with: 2 for a wrong call, 3 without a GPU, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            CheckError::Usage(_) => 2,
            CheckError::NoGpu(_) => 3,
            _ => 1,
        }
    }

    /// Whether there was too little memory, and nothing else is wrong.
    fn is_out_of_memory(&self) -> bool {
        matches!(
            self,
            CheckError::Device(DeviceError::OutOfMemory { .. })
                | CheckError::Drive(DriveError::Backend(
                    BackendError::OutOfMemory { .. } | BackendError::Device(DeviceError::OutOfMemory { .. })
                ))
        )
    }
}

/// Runs a stage, and prints what it finds.
///
/// # Errors
/// [`CheckError`]: a wrong call, no GPU, or something that does not hold.
pub fn run(arguments: &[String], out: &mut dyn Write) -> Result<(), CheckError> {
    let call = Call::parse(arguments)?;
    let mut out = Output(out);
    match call.stage.as_str() {
        "device" => device(&call, &mut out),
        "kernels" => kernels::checks(&call, &mut out),
        "limits" => kernels::limits(&call, &mut out),
        "speed" => kernels::speed(&call, &mut out),
        "logits" => logits::run(&call, &mut out),
        "short" => short::run(&call, &mut out),
        "model" => model::run(&call, &mut out),
        other => Err(CheckError::Usage(format!("there is no stage {other:?}"))),
    }
}

fn device(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    if call.target.is_emulated() {
        let name = call.target.open(MatrixLibrary::Never)?.name();
        return out.print(&json!({"name": name}));
    }
    let devices = discover().map_err(CheckError::NoGpu)?;
    let Some(device) = devices.first() else {
        return Err(CheckError::NoGpu(Unusable::NoDevice));
    };
    let library = find_matrix_library();
    out.print(&json!({
        "name": device.name,
        "memory_bytes": device.memory_bytes,
        "compute_capability": device.capability.to_string(),
        "driver_cuda": device.cuda.to_string(),
        "matrix_library": library_report(&library),
    }))
}

/// A library of matrix products that is there, by its version, or why there is none.
fn library_report(found: &Result<String, NoMatrixLibrary>) -> Value {
    json!({
        "name": "cublasLt",
        "version": found.as_ref().ok(),
        "reason": found.as_ref().err().map(ToString::to_string),
    })
}

/// Where results go.
struct Output<'a>(&'a mut dyn Write);

impl Output<'_> {
    /// One line, at once.
    fn print(&mut self, value: &impl Serialize) -> Result<(), CheckError> {
        let line = serde_json::to_string(value).map_err(io::Error::from)?;
        writeln!(self.0, "{line}")?;
        Ok(self.0.flush()?)
    }
}

/// What the program was asked.
struct Call {
    stage: String,
    /// What is no option.
    words: Vec<String>,
    options: Vec<(String, String)>,
    target: Target,
}

/// All have a value.
const OPTIONS: [&str; 9] = [
    "seed",
    "after",
    "seconds",
    "weights",
    "kv",
    "bandwidth",
    "flops",
    "matrix-library",
    "emulated",
];

impl Call {
    fn parse(arguments: &[String]) -> Result<Call, CheckError> {
        let mut words = Vec::new();
        let mut options = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(name) = argument.strip_prefix("--") else {
                words.push(argument.clone());
                continue;
            };
            if !OPTIONS.contains(&name) {
                return Err(CheckError::Usage(format!("there is no option --{name}")));
            }
            let Some(value) = rest.next() else {
                return Err(CheckError::Usage(format!("--{name} has no value")));
            };
            options.push((name.to_owned(), value.clone()));
        }
        if words.is_empty() {
            return Err(CheckError::Usage("no stage is named".to_owned()));
        }
        let mut call = Call {
            stage: words.remove(0),
            words,
            options,
            target: Target::Gpu,
        };
        if let Some(folder) = call.option("emulated") {
            call.target = Target::emulated(folder)?;
        }
        Ok(call)
    }

    fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        let found = options.find(|(option, _)| option == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, CheckError> {
        let parsed = self.option(name).map(|value| {
            let wrong = || CheckError::Usage(format!("--{name} takes a number, and not {value:?}"));
            value.parse().map_err(|_| wrong())
        });
        parsed.transpose()
    }

    fn weights(&self) -> Result<WeightFormat, CheckError> {
        let name = self.option("weights").unwrap_or("bf16");
        let mut all = WeightFormat::ALL.into_iter();
        let found = all.find(|format| format.name() == name);
        found.ok_or_else(|| CheckError::Usage(format!("there are no weights {name:?}")))
    }

    fn matrix_library(&self) -> Result<MatrixLibrary, CheckError> {
        match self.option("matrix-library").unwrap_or("when-present") {
            "when-present" => Ok(MatrixLibrary::WhenPresent),
            "never" => Ok(MatrixLibrary::Never),
            name => Err(CheckError::Usage(format!(
                "--matrix-library is when-present or never, and not {name:?}"
            ))),
        }
    }

    fn keys_and_values(&self) -> Result<KvElement, CheckError> {
        match self.option("kv").unwrap_or("bf16") {
            "bf16" => Ok(KvElement::BF16),
            "fp8" => Ok(KvElement::E4M3),
            name => Err(CheckError::Usage(format!(
                "there are no keys and values {name:?}"
            ))),
        }
    }
}

/// As `--kv` names it.
fn kv_name(element: KvElement) -> &'static str {
    match element {
        KvElement::E4M3 => "fp8",
        _ => "bf16",
    }
}
