//! Ruby.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("method", Role::Define),
        ("singleton_method", Role::Define),
        ("class", Role::Define),
        ("module", Role::Define),
        ("assignment", Role::Define),
        ("lambda", Role::Scope),
        ("call", Role::Import),
        ("comment", Role::Comment),
        ("string", Role::Text),
        ("heredoc_body", Role::Text),
        ("string_array", Role::Text),
        ("interpolation", Role::Hole),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "method" | "singleton_method" => {
            let name = node.child_by_field_name("name")?;
            let found = Found {
                kind: Kind::Function,
                name: source.text(name),
                container: None,
                at: name,
                body: node.child_by_field_name("body"),
            };
            Some(found)
        }
        // One without a body is a class, too: `class Failure < StandardError; end`.
        "class" | "module" => Found::named(source, node, Kind::Class),
        "assignment" => {
            let left = node.child_by_field_name("left")?;
            (left.kind() == "constant").then(|| Found::at(source, left, Kind::Constant))
        }
        _ => None,
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let is_relative = match source.field(node, "method") {
        "require" | "load" => false,
        "require_relative" => true,
        _ => return,
    };
    let name = node
        .child_by_field_name("arguments")
        .and_then(|arguments| arguments.named_child(0))
        .filter(|name| name.kind() == "string" && node.child_by_field_name("receiver").is_none());
    if let Some(name) = name {
        found.push(Import {
            module: source.unquoted(name).to_owned(),
            names: Vec::new(),
            is_relative,
        });
    }
}
