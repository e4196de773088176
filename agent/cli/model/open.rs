//! Opens the model that a command is to use: from this machine's files, behind a server, or a script.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use cwm_runtime::backend::CudaOptions;
use cwm_runtime::formats::GenerationDefaults;
use cwm_runtime::source::{
    ApiKey, BackendChoice, CallFormat, EmbeddedModel, EmbeddedOptions, Model, ModelError, OpenError,
    ScriptModel, ServerModel, ServerOptions,
};

use super::quantize::FormatArgument;
use super::{BackendArgument, KvChoice, LoadArguments, Target};
use crate::cli::config::Layers;
use crate::cli::fix::Words;
use crate::cli::values::{byte_count, duration};
use crate::cli::{Environment, ExitCode, Failure, Printer};
use crate::rollout::redact::{RedactingModel, Redactor};

/// How a model is opened, wherever it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct OpenArguments {
    #[command(flatten)]
    local: LocalArguments,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    server: ServerArguments,
}

/// How a model runs on this machine.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "On this machine")]
pub(crate) struct LocalArguments {
    /// The most tokens of prompt and answer together [default: the model's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    context: Option<u32>,
    /// How many threads compute [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// How keys and values are stored [default: f16; on a GPU, which has no f16, bf16]
    #[arg(long, value_name = "TYPE", value_enum)]
    kv: Option<KvChoice>,
    /// The most memory for keys and values, such as 2G
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    kv_memory: Option<u64>,
    /// What computes
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    backend: BackendArgument,
    /// What matrices of 16- and 32-bit floats are rounded to while a GPU loads them [default: bf16]
    #[arg(long, value_name = "FORMAT", value_enum)]
    weights: Option<FormatArgument>,
}

/// How a server is asked.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "With a server")]
pub(crate) struct ServerArguments {
    /// The model's name there [default: the only one it has]
    #[arg(long, value_name = "NAME")]
    model_name: Option<String>,
    /// How its model is taught to call tools [default: tags for CWM, else native]
    #[arg(long, value_name = "FORM", value_enum)]
    tool_format: Option<ToolFormat>,
    /// How long the server may be silent
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10m")]
    timeout: Duration,
}

/// How a server's model is taught to call tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ToolFormat {
    /// CWM's tags, announced in the system prompt
    Tags,
    /// The server's own, announced in the request
    Native,
}

/// A model that is ready to answer.
pub(crate) struct Opened {
    /// The model.
    pub(crate) model: Arc<dyn Model>,
    /// How its files say that tokens be chosen.
    pub(crate) defaults: GenerationDefaults,
}

impl OpenArguments {
    /// The same, with what the configuration says where the flags say nothing.
    pub(crate) fn settled(&self, layers: &Layers) -> OpenArguments {
        let mut own = self.clone();
        let (local, server) = (&mut own.local, &mut own.server);
        local.context = layers.context(local.context).value;
        local.threads = layers.threads(local.threads).value;
        local.kv = Some(layers.kv(local.kv).value);
        local.kv_memory = layers.kv_memory(local.kv_memory).value;
        server.model_name = layers.model_name(server.model_name.take()).value;
        own
    }

    /// Adds the flags that mean the same.
    pub(crate) fn words(&self, words: &mut Words) {
        let (local, server) = (&self.local, &self.server);
        words.flag("--context", local.context);
        words.flag("--threads", local.threads);
        words.choice("--kv", local.kv);
        words.flag("--kv-memory", local.kv_memory);
        words.choice("--backend", Some(local.backend));
        words.choice("--weights", local.weights);
        words.flag("--layer-types", self.load.layer_types.as_ref());
        words.flag("--model-name", server.model_name.as_ref());
        words.choice("--tool-format", server.tool_format);
        words.time("--timeout", Some(server.timeout));
    }

    /// Opens the model for what is read of a repository: what goes to another machine goes without secrets.
    pub(crate) fn open_for_repository(
        &self,
        target: Target,
        environment: &Environment,
        printer: &mut Printer,
    ) -> anyhow::Result<Opened> {
        let remote = matches!(target, Target::Server(_));
        let mut opened = self.open(target, environment, printer)?;
        if remote {
            let redactor = Redactor::new(&environment.all());
            opened.model = Arc::new(RedactingModel::new(opened.model, Arc::new(redactor)));
        }
        Ok(opened)
    }

    /// Opens the model, which may take seconds.
    pub(crate) fn open(
        &self,
        target: Target,
        environment: &Environment,
        printer: &mut Printer,
    ) -> anyhow::Result<Opened> {
        let path = match target {
            Target::Path(path) => path,
            Target::Script(path) => {
                let model = ScriptModel::read(&path).map_err(|error| model_failure(&error))?;
                return Ok(without_defaults(Arc::new(model)));
            }
            Target::Server(address) => return self.server(address, environment),
        };
        let options = self.embedded(environment)?;
        printer.progress("loading the model …");
        let started = Instant::now();
        let checkpoint = self.load.open(&path)?;
        let model = EmbeddedModel::start(&checkpoint, &options).map_err(|error| {
            let code = match error {
                OpenError::Context { .. } => ExitCode::Usage,
                _ => ExitCode::Environment,
            };
            Failure::new(code, format!("{error}."))
        })?;
        printer.detail(format_args!(
            "the model was loaded in {:.2} s",
            started.elapsed().as_secs_f64()
        ));
        printer.clear_progress();
        Ok(Opened {
            model: Arc::new(model),
            defaults: checkpoint.generation,
        })
    }

    fn server(&self, address: String, environment: &Environment) -> anyhow::Result<Opened> {
        let variable = |name: &str| {
            environment
                .get(name)
                .map(|value| value.to_string_lossy().into_owned())
        };
        let options = ServerOptions {
            model: self.server.model_name.clone(),
            key: ApiKey::from_variables(variable).map_err(|error| model_failure(&error))?,
            idle_timeout: self.server.timeout,
            calls: self.server.tool_format.map(|format| match format {
                ToolFormat::Tags => CallFormat::Tags,
                ToolFormat::Native => CallFormat::Native,
            }),
            ..ServerOptions::new(address)
        };
        let model = ServerModel::new(options).map_err(|error| model_failure(&error))?;
        Ok(without_defaults(Arc::new(model)))
    }

    fn embedded(&self, environment: &Environment) -> Result<EmbeddedOptions, Failure> {
        let local = &self.local;
        let backend = match (local.backend.into(), local.weights) {
            (BackendChoice::Cuda(options), weights) => BackendChoice::Cuda(CudaOptions {
                weights: weights.map(Into::into),
                ..options
            }),
            (other, None) => other,
            (_, Some(_)) => {
                let message =
                    "--weights is for --backend cuda: the processor computes with weights as they are.";
                return Err(Failure::new(ExitCode::Usage, message)
                    .with_hint("`cwm model quantize` rounds them once, for both."));
            }
        };
        Ok(EmbeddedOptions {
            context: local.context.map(|context| context as usize),
            kv_memory: local
                .kv_memory
                .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            kv_element: Some(local.kv.unwrap_or_default().into()),
            threads: local.threads.map(|threads| threads as usize),
            layer_types: self.load.layer_types()?,
            backend,
            failures: environment
                .state_folder()
                .map(|folder| folder.join("device-failures")),
        })
    }
}

fn without_defaults(model: Arc<dyn Model>) -> Opened {
    Opened {
        model,
        defaults: GenerationDefaults::default(),
    }
}

/// A model's error as a command's.
pub(crate) fn model_failure(error: &ModelError) -> Failure {
    let code = match error {
        ModelError::Request(_) | ModelError::PromptTooLong { .. } | ModelError::UnknownModel { .. } => {
            ExitCode::Usage
        }
        _ => ExitCode::Environment,
    };
    Failure::new(code, format!("{error}."))
}
