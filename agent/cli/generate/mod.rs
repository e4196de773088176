//! `cwm generate`: continues a text or a conversation, with a model of this machine or behind a server.

mod output;

use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use cwm_runtime::engine::SamplingParameters;
use cwm_runtime::formats::GenerationDefaults;
use cwm_runtime::source::{ChatMessage, GenerateRequest, Prompt};

use crate::cli::model::{OpenArguments, Opened, model_failure, resolve};
use crate::cli::signals::Signals;
use crate::cli::{Environment, ExitCode, Failure, Printer};

use output::Output;

/// The longest prompt that is read.
const MOST_BYTES: u64 = 64 << 20;

/// Continue a text or a conversation with a model
///
/// The prompt is read from stdin, as text that is continued as it is, or with --chat as a user's message. What the
/// model says goes to stdout as it comes, byte for byte.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'def fibonacci(n):' | cwm generate smollm2-135m --max-tokens 64
  echo 'Why is the sky blue?' | cwm generate qwen2.5-coder-1.5b --chat --temperature 0
  cwm generate qwen2.5-coder-0.5b --messages talk.json -n 4 --json
  echo Hello | cwm generate http://localhost:8000 --model-name facebook/cwm --chat

A server's key is taken from CWM_API_KEY, else from OPENAI_API_KEY.")]
pub(crate) struct GenerateArguments {
    /// A name of `cwm model list`, a GGUF file, a model's folder, or the address of an OpenAI-compatible server
    model: OsString,
    /// Take the prompt as a user's message
    #[arg(long)]
    chat: bool,
    /// Take a conversation from a file: a JSON list of {"role", "content"}
    #[arg(long, value_name = "FILE", conflicts_with = "chat")]
    messages: Option<PathBuf>,
    /// What the answer begins with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    #[command(flatten)]
    sampling: SamplingArguments,
    #[command(flatten)]
    open: OpenArguments,
}

/// How tokens are chosen, and how many.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
struct SamplingArguments {
    /// How many samples
    #[arg(short = 'n', long = "samples", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// The same seed gives the same samples
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// The most tokens a sample may have [default: what the context leaves]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// 0 takes the most likely token [default: what the model's files say, else 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Only the most likely tokens that together have this probability [default: what the model's files say, else 1]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,
    /// Only so many of the most likely tokens; 0 for all [default: what the model's files say, else 0]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Only tokens with at least this share of the most likely one's probability
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_p: f32,
    /// Above 1 makes tokens less likely that were there before [default: what the model's files say, else 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,
    /// A text that ends a sample; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// With --json, say how likely each token was, and so many rivals
    #[arg(long, value_name = "N")]
    logprobs: Option<usize>,
}

impl SamplingArguments {
    /// Takes what the user did not say from the model's files, as far as they say it.
    fn fill(&self, sampling: &mut SamplingParameters, defaults: &GenerationDefaults) {
        let or = |given: Option<f32>, own: Option<f32>, usual: f32| given.or(own).unwrap_or(usual);
        sampling.temperature = or(self.temperature, defaults.temperature, sampling.temperature);
        sampling.top_p = or(self.top_p, defaults.top_p, sampling.top_p);
        sampling.top_k = self.top_k.or(defaults.top_k).unwrap_or(sampling.top_k);
        sampling.repetition_penalty = or(
            self.repetition_penalty,
            defaults.repetition_penalty,
            sampling.repetition_penalty,
        );
    }
}

/// Generates and prints.
pub(crate) fn run(
    arguments: &GenerateArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let target = resolve(&arguments.model, environment)?;
    if arguments.sampling.logprobs.is_some() && !printer.is_json() {
        return Err(Failure::new(ExitCode::Usage, "--logprobs is shown only with --json.").into());
    }
    let mut request = request(arguments, printer)?;
    check(&request)?;
    let signals = Signals::catch()?;
    let Opened { model, defaults } = arguments.open.open(target, environment, printer)?;
    arguments.sampling.fill(&mut request.sampling, &defaults);
    check(&request)?;
    if signals.caught() {
        return Ok(ExitCode::Interrupted);
    }
    let started = Instant::now();
    let mut output = Output::new(request.samples);
    let mut printed = Ok(());
    let outcome = model.generate(&request, &mut |piece| {
        if printed.is_ok() {
            printed = output.piece(&piece, printer);
        }
        if signals.caught() || printed.is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    printed?;
    let completions = outcome.map_err(|error| model_failure(&error))?;
    output.end(&completions, started.elapsed(), printer)?;
    Ok(if signals.caught() {
        ExitCode::Interrupted
    } else {
        ExitCode::Success
    })
}

fn request(arguments: &GenerateArguments, printer: &mut Printer) -> anyhow::Result<GenerateRequest> {
    let prefix = arguments.prefix.clone();
    let message = |content: String| ChatMessage::new("user", content);
    let prompt = match &arguments.messages {
        Some(path) => Prompt::Chat {
            messages: conversation(path)?,
            assistant_prefix: prefix,
        },
        None if arguments.chat => Prompt::Chat {
            messages: vec![message(stdin(printer)?)],
            assistant_prefix: prefix,
        },
        None => Prompt::Text(stdin(printer)? + &prefix),
    };
    let sampling = &arguments.sampling;
    let usual = SamplingParameters::default();
    Ok(GenerateRequest {
        prompt,
        samples: sampling.samples as usize,
        sampling: SamplingParameters {
            temperature: sampling.temperature.unwrap_or(usual.temperature),
            top_k: sampling.top_k.unwrap_or(usual.top_k),
            top_p: sampling.top_p.unwrap_or(usual.top_p),
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty.unwrap_or(usual.repetition_penalty),
            seed: sampling.seed,
            ..usual
        },
        max_tokens: sampling.max_tokens.map(|most| most as usize),
        stop: sampling.stop.clone(),
        logprobs: sampling.logprobs,
        tools: Vec::new(),
    })
}

/// What is wrong with a request whatever the model is.
fn check(request: &GenerateRequest) -> Result<(), Failure> {
    if let Err(error) = request.sampling.check() {
        return Err(Failure::new(ExitCode::Usage, format!("{error}.")));
    }
    if request.stop.iter().any(String::is_empty) {
        return Err(Failure::new(
            ExitCode::Usage,
            "A --stop text is empty; it would end every sample at once.",
        ));
    }
    Ok(())
}

fn conversation(path: &std::path::Path) -> anyhow::Result<Vec<ChatMessage>> {
    let wrong = |what: &str| {
        Failure::new(
            ExitCode::Usage,
            format!("The messages in {} {what}.", path.display()),
        )
    };
    let text = std::fs::read(path).with_context(|| wrong("cannot be read"))?;
    let hint = "Write them as [{\"role\": \"user\", \"content\": \"…\"}].";
    let messages: Vec<ChatMessage> = serde_json::from_slice(&text)
        .with_context(|| wrong("are not a JSON list of messages").with_hint(hint))?;
    if messages.is_empty() {
        return Err(wrong("are an empty list").with_hint(hint).into());
    }
    Ok(messages)
}

fn stdin(printer: &mut Printer) -> anyhow::Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        printer.note("Type the prompt, and end it with Ctrl-D.");
    }
    let mut text = String::new();
    input
        .take(MOST_BYTES)
        .read_to_string(&mut text)
        .with_context(|| Failure::new(ExitCode::Usage, "The prompt on standard input cannot be read."))?;
    Ok(text)
}
