//! Messages and tools as the values that chat templates expect: those of OpenAI's interface, as `transformers` hands them on.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::{Call, Message, Tool};

/// How texts are changed on the way.
type Change<'c> = &'c dyn Fn(&str) -> String;

/// A message. A tool's name is a field of its own here.
pub(super) fn message(message: &Message<'_>, change: Change<'_>) -> Value {
    let content = Value::from(change(message.content));
    let mut fields = match message.role.strip_prefix("tool: ") {
        Some(name) => vec![("role", Value::from("tool")), ("name", Value::from(name))],
        None => vec![("role", Value::from(message.role))],
    };
    fields.push(("content", content));
    if !message.calls.is_empty() {
        let calls: Vec<Value> = message.calls.iter().map(|one| call(one, change)).collect();
        fields.push(("tool_calls", Value::from(calls)));
    }
    if let Some(id) = message.call_id {
        fields.push(("tool_call_id", Value::from(change(id))));
    }
    Value::from_pairs(fields)
}

/// A call. Arguments are an object, where they are the JSON of one.
fn call(call: &Call<'_>, change: Change<'_>) -> Value {
    let parsed = serde_json::from_str::<Value>(call.arguments).ok();
    let arguments = match parsed.filter(|value| value.kind() == ValueKind::Map) {
        Some(value) => changed(&value, change),
        None => Value::from(change(call.arguments)),
    };
    let function = [("name", Value::from(change(call.name))), ("arguments", arguments)];
    Value::from_pairs([
        ("id", Value::from(change(call.id))),
        ("type", Value::from("function")),
        ("function", Value::from_pairs(function)),
    ])
}

/// A tool.
pub(super) fn tool(tool: &Tool<'_>, change: Change<'_>) -> Value {
    let function = [
        ("name", Value::from(change(tool.name))),
        ("description", Value::from(change(tool.description))),
        ("parameters", changed(&schema(tool.parameters), change)),
    ];
    Value::from_pairs([
        ("type", Value::from("function")),
        ("function", Value::from_pairs(function)),
    ])
}

/// A JSON schema with its fields in the order in which people write them, which is the one that models were trained with: the type
/// first, and of properties the required ones. (The parsed JSON has forgotten the order that it had.)
fn schema(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Object(fields) => {
            let required = fields.get("required").and_then(serde_json::Value::as_array);
            let required = required
                .into_iter()
                .flatten()
                .filter_map(serde_json::Value::as_str);
            let properties: Vec<&str> = required.collect();
            let pairs = in_order(fields, &["type", "description", "properties", "required"]);
            Value::from_pairs(pairs.into_iter().map(|(name, field)| match field {
                serde_json::Value::Object(inner) if name == "properties" => {
                    let inner = in_order(inner, &properties);
                    let inner = inner.into_iter().map(|(name, field)| (name, schema(field)));
                    (name, Value::from_pairs(inner))
                }
                _ => (name, schema(field)),
            }))
        }
        serde_json::Value::Array(items) => items.iter().map(schema).collect(),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Bool(truth) => Value::from(*truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::from(whole),
            (None, number) => number.map(Value::from).unwrap_or_default(),
        },
        serde_json::Value::Null => Value::from(()),
    }
}

/// The fields of an object: first those named, in that order.
fn in_order<'f>(
    fields: &'f serde_json::Map<String, serde_json::Value>,
    first: &[&str],
) -> Vec<(&'f str, &'f serde_json::Value)> {
    let mut pairs: Vec<(&str, &serde_json::Value)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let place = |name: &str| first.iter().position(|known| *known == name);
    pairs.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
    pairs
}

/// A value in which every text is changed. Values that were parsed are nested no deeper than their parser allows.
fn changed(value: &Value, change: Change<'_>) -> Value {
    match value.kind() {
        ValueKind::String => Value::from(change(value.as_str().unwrap_or_default())),
        ValueKind::Seq => {
            let items = value.try_iter().into_iter().flatten();
            items.map(|item| changed(&item, change)).collect()
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            Value::from_pairs(keys.map(|key| {
                let field = value.get_item(&key).unwrap_or_default();
                (changed(&key, change), changed(&field, change))
            }))
        }
        _ => value.clone(),
    }
}
