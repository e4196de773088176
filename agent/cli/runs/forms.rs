//! The forms in which runs are handed on: what other programs read, as JSON.

use cwm_runtime::source::ChatMessage;
use serde_json::{Value, json};

use super::story::{AttemptStory, Story};
use crate::prompts::Prompts;
use crate::rollout::agentic::tool_definitions;
use crate::rollout::journal::Record;
use crate::rollout::redact::Redactor;
use crate::rollout::{Candidate, Ending};

/// An attempt as a trajectory that viewers of mini-swe-agent's runs read.
pub(super) fn trajectory(story: &Story, attempt: &AttemptStory<'_>, instance: &str) -> Value {
    let run = story.beginning().map(|(_, run)| run);
    let candidate = attempt.candidate;
    let (exit_status, submission) = match candidate {
        Some(candidate) => (exit_status(&candidate.ending), patch(candidate)),
        None => ("Interrupted".to_owned(), String::new()),
    };
    let calls = attempt
        .steps
        .iter()
        .filter(|step| matches!(step, Record::Generation { .. }));
    let mut messages: Vec<Value> = spoken(attempt)
        .iter()
        .map(|(message, extra)| {
            let mut value = openai_message(message);
            if let Some(object) = value.as_object_mut() {
                object.insert("extra".to_owned(), extra.clone());
            }
            value
        })
        .collect();
    messages.push(json!({
        "role": "exit",
        "content": submission,
        "extra": {"exit_status": exit_status, "submission": submission},
    }));
    let beginning = attempt.beginning();
    json!({
        "info": {
            "model_stats": {"instance_cost": 0.0, "api_calls": calls.count()},
            "config": {
                "agent": run.map(|run| json!({"budget": run.budget, "strategy": beginning.map(|(strategy, ..)| strategy)})),
                "agent_type": "cwm",
                "model": {
                    "model_name": run.map(|run| &run.model.name),
                    "fingerprint": run.and_then(|run| run.model.fingerprint.as_ref()),
                    "seed": beginning.map(|(_, seed, _)| seed),
                    "temperature": beginning.map(|(.., temperature)| temperature),
                },
                "environment": run.map(|run| json!({"cwd": run.repository, "base_commit": run.base_commit})),
            },
            "cwm_version": run.map(|run| &run.cwm_version),
            "exit_status": exit_status,
            "submission": submission,
        },
        "instance_id": instance,
        "attempt": attempt.name,
        "messages": messages,
        "trajectory_format": "mini-swe-agent-1.1",
    })
}

/// An attempt's conversation as one line of training data.
pub(super) fn conversation(attempt: &AttemptStory<'_>) -> anyhow::Result<Value> {
    let spoken = spoken(attempt);
    let messages: Vec<Value> = spoken
        .iter()
        .map(|(message, _)| openai_message(message))
        .collect();
    let mut value = json!({"messages": messages});
    if spoken.iter().any(|(message, _)| !message.calls.is_empty()) {
        let definitions = tool_definitions(&Prompts::built_in()?)?.into_iter();
        let tools: Vec<Value> = definitions
            .map(|tool| {
                json!({"type": "function", "function": {
                    "name": tool.name, "description": tool.description, "parameters": tool.parameters,
                }})
            })
            .collect();
        if let Some(object) = value.as_object_mut() {
            object.insert("tools".to_owned(), Value::Array(tools));
        }
    }
    Ok(value)
}

/// An attempt's patch as a prediction that SWE-bench's harness grades.
pub(super) fn prediction(story: &Story, attempt: &AttemptStory<'_>, instance: &str) -> Value {
    json!({
        "instance_id": instance,
        "model_name_or_path": story.beginning().map(|(_, run)| &run.model.name),
        "model_patch": attempt.candidate.map(patch).unwrap_or_default(),
    })
}

/// The same with every text redacted.
pub(super) fn redacted(value: Value, redactor: &Redactor) -> Value {
    match value {
        Value::String(text) => Value::String(redactor.redact(&text).into_owned()),
        Value::Array(values) => values
            .into_iter()
            .map(|value| redacted(value, redactor))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, redacted(value, redactor)))
            .collect(),
        other => other,
    }
}

/// An attempt's messages, the model's answers among them, each with what else is known of it.
pub(super) fn spoken(attempt: &AttemptStory<'_>) -> Vec<(ChatMessage, Value)> {
    let mut spoken: Vec<(ChatMessage, Value)> = Vec::new();
    // An answer that was recorded and whose message was not yet, or never is.
    let mut answered: Option<(ChatMessage, Value)> = None;
    for step in &attempt.steps {
        match step {
            Record::Generation { generated, .. } => {
                spoken.extend(answered.take());
                let mut message =
                    ChatMessage::new("assistant", format!("{}{}", generated.prefix, generated.text));
                message.calls.clone_from(&generated.calls);
                let extra = json!({
                    "usage": generated.usage, "seed": generated.seed, "seconds": generated.seconds, "reason": generated.reason,
                });
                answered = Some((message, extra));
            }
            Record::Message { message, .. } => {
                let same = answered.take_if(|(answer, _)| answer.role == message.role);
                spoken.extend(answered.take());
                let extra = same.map_or_else(|| json!({}), |(_, extra)| extra);
                spoken.push((message.clone(), extra));
            }
            Record::Tool { used, .. } => {
                if let Some((_, extra)) = answered.as_mut().or(spoken.last_mut())
                    && let Some(object) = extra.as_object_mut()
                {
                    let action = json!({"tool": used.tool, "command": used.content, "seconds": used.seconds, "done": used.done});
                    let actions = object.entry("actions").or_insert_with(|| json!([]));
                    if let Some(actions) = actions.as_array_mut() {
                        actions.push(action);
                    }
                }
            }
            _ => {}
        }
    }
    spoken.extend(answered);
    spoken
}

/// A message as OpenAI's chat interface has it. A tool's result without a call's id is the user's there.
fn openai_message(message: &ChatMessage) -> Value {
    let role = match (&message.call_id, message.role.as_str()) {
        (Some(_), _) => "tool",
        (None, "system" | "user" | "assistant") => message.role.as_str(),
        (None, _) => "user",
    };
    let mut value = json!({"role": role, "content": message.content});
    if let Some(object) = value.as_object_mut() {
        if let Some(id) = &message.call_id {
            object.insert("tool_call_id".to_owned(), json!(id));
        }
        if !message.calls.is_empty() {
            let calls: Vec<Value> = message
                .calls
                .iter()
                .map(|call| {
                    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
                })
                .collect();
            object.insert("tool_calls".to_owned(), Value::Array(calls));
        }
    }
    value
}

fn patch(candidate: &Candidate) -> String {
    String::from_utf8_lossy(&candidate.patch).into_owned()
}

/// How an attempt ended, in the words of mini-swe-agent.
fn exit_status(ending: &Ending) -> String {
    match ending {
        Ending::Finished => "Submitted",
        Ending::NotSubmitted => "NotSubmitted",
        Ending::Turns | Ending::Tokens => "LimitsExceeded",
        Ending::Time => "TimeExceeded",
        Ending::FormatErrors => "RepeatedFormatError",
        Ending::Interrupted => "Interrupted",
        Ending::NoAnswer => "NoAnswer",
        Ending::Failed { .. } => "Failed",
    }
    .to_owned()
}
