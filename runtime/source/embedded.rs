//! A model on this machine: its files, its words, a back end and the engine behind the trait.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cwm_kernels::cuda::SKINNY_ROWS;

use super::load::{BackendChoice, PAGE_TOKENS, load_backend};
use super::{
    CallFormat, ChatMessage, Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt,
    Sampled, StopReason, ToolCall, ToolDefinition,
};
use crate::backend::{CudaOptions, LoadError, ReportingBackend};
use crate::cache::{CacheSettings, KvCache, KvElement, PageLayout};
use crate::engine::{
    Engine, EngineError, EngineOptions, Event, FinishReason, Generation, Request, Statistics,
};
use crate::formats::{Checkpoint, FormatError, LayerTypes, OpenOptions, TokenizerSource};
use crate::memory::STEP_TOKENS;
use crate::model::{Architecture, ModelSpec, TokenId};
use crate::text::{Call, ChatFormat, Message, SampledPart, TextError, Tokenizer, Tool};

/// How often the sink is asked whether to go on while nothing comes.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// How far sequences can surely be rolled back, in tokens.
const ROLLBACK_SLACK: usize = 64;

/// How a model runs on this machine.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedOptions {
    /// The most tokens that prompt and answer may have together; `None` is the model's own context.
    pub context: Option<usize>,
    /// The most bytes of KV cache; `None` is room for four full contexts, but not more than half of the memory that is free, and at
    /// least one context.
    pub kv_memory: Option<usize>,
    /// How keys and values are stored; `None` is 16-bit floats.
    pub kv_element: Option<KvElement>,
    /// Threads that compute; `None` is all of the processor's.
    pub threads: Option<usize>,
    /// Which layers slide, where the files do not say.
    pub layer_types: Option<LayerTypes>,
    /// What computes.
    pub backend: BackendChoice,
    /// The folder for reports of a device's failures; `None` writes none.
    pub failures: Option<PathBuf>,
}

impl EmbeddedOptions {
    /// The back end, which takes no more memory for keys and values than it may.
    fn choice(&self) -> BackendChoice {
        match self.backend {
            BackendChoice::Cuda(cuda) => BackendChoice::Cuda(CudaOptions {
                cache_bytes: self.kv_memory.map(|bytes| bytes as u64).or(cuda.cache_bytes),
                ..cuda
            }),
            other => other,
        }
    }

    /// A GPU computes more at once in the time that it takes to read the weights.
    fn engine(&self, context: usize) -> EngineOptions {
        let usual = EngineOptions::default();
        match self.backend {
            BackendChoice::Cuda(_) => EngineOptions {
                context,
                prefill_chunk: STEP_TOKENS,
                max_batch: SKINNY_ROWS,
            },
            _ => EngineOptions { context, ..usual },
        }
    }
}

/// Why a model could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its files are not what they must be.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Its weights cannot be used here.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its vocabulary cannot be used.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The context is longer than the model's.
    #[error(
        "a context of {asked} tokens is asked for, but {name} was made for {context}; ask for at most that"
    )]
    Context {
        /// The model.
        name: String,
        /// What is asked.
        asked: usize,
        /// What the model has.
        context: usize,
    },
}

/// A model on this machine.
#[derive(Debug)]
pub struct EmbeddedModel {
    info: ModelInfo,
    context: usize,
    tokenizer: Option<Arc<Tokenizer>>,
    /// Or why there is none, which matters only when a conversation comes.
    chat: Result<ChatFormat, String>,
    stop_ids: Vec<TokenId>,
    engine: Engine,
}

impl EmbeddedModel {
    /// Opens a model's files, loads its weights and starts its engine.
    ///
    /// # Errors
    ///
    /// When files are damaged or of a model that cannot be run, when memory is short, or when the context is longer than the model's.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<EmbeddedModel, OpenError> {
        let checkpoint = Checkpoint::open(
            path,
            &OpenOptions {
                layer_types: options.layer_types.clone(),
            },
        )?;
        EmbeddedModel::start(&checkpoint, &options)
    }

    /// The same for files that are open.
    ///
    /// # Errors
    ///
    /// As [`EmbeddedModel::open`].
    pub fn start(checkpoint: &Checkpoint, options: &EmbeddedOptions) -> Result<EmbeddedModel, OpenError> {
        let context = options.context.unwrap_or(checkpoint.spec.context);
        if context > checkpoint.spec.context {
            return Err(OpenError::Context {
                name: checkpoint.name.clone(),
                asked: context,
                context: checkpoint.spec.context,
            });
        }
        let tokenizer = match &checkpoint.tokenizer {
            TokenizerSource::None => None,
            source => Some(Arc::new(Tokenizer::new(source)?)),
        };
        let element = options.kv_element.unwrap_or(KvElement::F16);
        let mut backend = load_backend(checkpoint, options.choice(), element, options.threads)?;
        let capacity = backend.page_capacity();
        let usual = || capacity.unwrap_or_else(|| usual_budget(&checkpoint.spec, element, context));
        let settings = CacheSettings {
            budget_bytes: options
                .kv_memory
                .unwrap_or_else(usual)
                .min(capacity.unwrap_or(usize::MAX)),
            rollback_slack: ROLLBACK_SLACK,
        };
        let cache = KvCache::new(backend.layout().clone(), settings);
        if let (BackendChoice::Cuda(_), Some(folder)) = (options.backend, &options.failures) {
            backend = Box::new(ReportingBackend::new(
                backend,
                checkpoint.fingerprint(),
                folder.clone(),
            ));
        }
        let engine_options = options.engine(context);
        Ok(EmbeddedModel {
            info: ModelInfo {
                name: checkpoint.name.clone(),
                context: Some(context),
                fingerprint: Some(checkpoint.fingerprint()),
                parameters: Some(checkpoint.parameters()),
                calls: call_format(checkpoint),
            },
            context,
            chat: ChatFormat::of(checkpoint).map_err(|error| error.to_string()),
            stop_ids: checkpoint.generation.stop_ids.clone(),
            engine: Engine::start(backend, cache, tokenizer.clone(), engine_options),
            tokenizer,
        })
    }

    /// What the engine has done until now.
    pub fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }

    /// The tokens of a prompt, as the model sees them, with the tools that a conversation announces. What was sampled in a conversation
    /// stays the tokens that it was.
    ///
    /// # Errors
    ///
    /// When the model has no vocabulary or no chat format, the conversation is not one, or its format has no place for tools.
    pub fn encode(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Result<Vec<TokenId>, ModelError> {
        let request = |error: TextError| ModelError::Request(error.to_string());
        let tokenizer = || {
            self.tokenizer.as_deref().ok_or_else(|| {
                ModelError::Request(format!("{}: {}", self.info.name, TextError::NoVocabulary))
            })
        };
        match prompt {
            Prompt::Tokens(tokens) => Ok(tokens.clone()),
            Prompt::Text(text) => {
                let tokenizer = tokenizer()?;
                let begin = tokenizer
                    .begin_of_text()
                    .filter(|_| tokenizer.adds_begin_of_text());
                let mut tokens: Vec<TokenId> = begin.into_iter().collect();
                tokens.extend(tokenizer.encode(text).map_err(request)?);
                Ok(tokens)
            }
            Prompt::Chat {
                messages,
                assistant_prefix,
            } => {
                let chat = self
                    .chat
                    .as_ref()
                    .map_err(|why| ModelError::Request(why.clone()))?;
                if !tools.is_empty() && self.info.calls != CallFormat::Native {
                    return Err(ModelError::Request(format!(
                        "{} was not taught to read a list of tools (its chat format has no place for one); announce them in the system prompt instead",
                        self.info.name
                    )));
                }
                let messages: Vec<Message<'_>> = messages.iter().map(message).collect();
                let tools: Vec<Tool<'_>> = tools.iter().map(tool).collect();
                chat.encode(tokenizer()?, &messages, &tools, assistant_prefix)
                    .map_err(request)
            }
        }
    }

    fn refused(&self, error: EngineError) -> ModelError {
        match error {
            EngineError::PromptTooLong { prompt, context } => ModelError::PromptTooLong {
                name: self.info.name.clone(),
                prompt,
                context,
            },
            EngineError::Stopped(why) => ModelError::Engine(why),
            other => ModelError::Request(other.to_string()),
        }
    }
}

impl Model for EmbeddedModel {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        Ok(self.info.clone())
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        Some(self.tokenizer.as_deref()?.encode(text).ok()?.len())
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        Some(self.encode(prompt, tools).ok()?.len())
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        let prompt = self.encode(&request.prompt, &request.tools)?;
        let room = self.context.saturating_sub(prompt.len());
        let submitted = self.engine.submit(Request {
            samples: request.samples,
            sampling: request.sampling.clone(),
            max_tokens: request.max_tokens.unwrap_or(room.max(1)),
            stop_ids: self.stop_ids.clone(),
            stop_strings: request.stop.clone(),
            logprobs: request.logprobs,
            keep_prefix: true,
            prompt,
        });
        let mut generation = submitted.map_err(|error| self.refused(error))?;
        collect(&mut generation, request.samples, &self.stop_ids, sink)
    }
}

/// A message as chat formats take it.
fn message(message: &ChatMessage) -> Message<'_> {
    let sampled = message.sampled.as_ref();
    Message {
        role: &message.role,
        content: &message.content,
        sampled: sampled.map(|Sampled { start, tokens }| SampledPart {
            start: *start,
            tokens,
        }),
        calls: message.calls.iter().map(call).collect(),
        call_id: message.call_id.as_deref(),
    }
}

fn call(call: &ToolCall) -> Call<'_> {
    Call {
        id: &call.id,
        name: &call.name,
        arguments: &call.arguments,
    }
}

fn tool(tool: &ToolDefinition) -> Tool<'_> {
    Tool {
        name: &tool.name,
        description: &tool.description,
        parameters: &tool.parameters,
    }
}

/// Passes events on as pieces, and puts the samples together.
fn collect(
    generation: &mut Generation,
    samples: usize,
    stop_ids: &[TokenId],
    sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
) -> Result<Vec<Completion>, ModelError> {
    let empty = Completion {
        text: String::new(),
        tokens: Vec::new(),
        reason: StopReason::Cancelled,
        usage: crate::engine::Usage::default(),
        calls: Vec::new(),
    };
    let mut completions = vec![empty; samples];
    let (mut failed, mut listening) = (None, true);
    loop {
        let piece = match generation.recv_timeout(HEARTBEAT) {
            Err(_) => Piece::heartbeat(),
            Ok(None) => break,
            Ok(Some(event)) => {
                let sample = match &event {
                    Event::Token { sample, .. } | Event::Finished { sample, .. } => *sample,
                };
                match completions.get_mut(sample) {
                    Some(completion) => take(completion, event, stop_ids, &mut failed),
                    None => Piece::heartbeat(),
                }
            }
        };
        // After the sink has had enough, only the last events are waited for: they say what each sample cost.
        if listening && sink(piece).is_break() {
            listening = false;
            generation.cancel();
        }
    }
    match failed {
        Some(why) => Err(ModelError::Engine(why)),
        None => Ok(completions),
    }
}

/// Adds an event to its sample, and makes a piece of it.
fn take(
    completion: &mut Completion,
    event: Event,
    stop_ids: &[TokenId],
    failed: &mut Option<String>,
) -> Piece {
    match event {
        Event::Token {
            sample,
            token,
            text,
            logprobs,
        } => {
            completion.text.push_str(&text);
            if !stop_ids.contains(&token) {
                completion.tokens.push(token);
            }
            Piece {
                sample,
                text,
                token: Some(token),
                logprobs,
            }
        }
        Event::Finished {
            sample,
            text,
            reason,
            usage,
        } => {
            completion.text.push_str(&text);
            completion.usage = usage;
            completion.reason = match reason {
                FinishReason::StopId(_) | FinishReason::StopString(_) => StopReason::Stop,
                FinishReason::Length | FinishReason::ContextFull => StopReason::Length,
                FinishReason::Cancelled => StopReason::Cancelled,
                FinishReason::Failed(why) => {
                    failed.get_or_insert(why);
                    StopReason::Cancelled
                }
            };
            Piece {
                sample,
                text,
                ..Piece::heartbeat()
            }
        }
    }
}

/// CWM calls tools by tags; a chat template that knows of tools announces them itself.
fn call_format(checkpoint: &Checkpoint) -> CallFormat {
    if checkpoint.spec.architecture == Architecture::Cwm {
        return CallFormat::Tags;
    }
    match &checkpoint.chat_template {
        Some(template) if template.contains("tools") => CallFormat::Native,
        _ => CallFormat::None,
    }
}

/// Room for four full contexts, but not more than half of the free memory, and at least one context.
fn usual_budget(spec: &ModelSpec, element: KvElement, context: usize) -> usize {
    let layout = PageLayout::of(spec, PAGE_TOKENS, element);
    // One page more for the part of a page that a sequence begins.
    let one = layout
        .token_bytes()
        .saturating_mul(context.saturating_add(2 * PAGE_TOKENS));
    let half = free_memory().map_or(usize::MAX, |bytes| bytes / 2);
    one.saturating_mul(4).min(half).max(one)
}

/// What the kernel says is free for programs, in bytes.
fn free_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<usize>()
        .ok()?
        .checked_mul(1024)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "history_tests.rs"]
mod history;
