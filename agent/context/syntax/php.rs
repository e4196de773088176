//! PHP.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children, of_kind};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_definition", Role::Define),
        ("method_declaration", Role::Define),
        ("class_declaration", Role::Define),
        ("interface_declaration", Role::Define),
        ("trait_declaration", Role::Define),
        ("enum_declaration", Role::Define),
        ("namespace_definition", Role::Define),
        ("const_element", Role::Define),
        ("property_element", Role::Define),
        ("const_declaration", Role::Group),
        ("property_declaration", Role::Group),
        ("anonymous_function", Role::Scope),
        ("arrow_function", Role::Scope),
        ("anonymous_class", Role::Scope),
        ("namespace_use_declaration", Role::Import),
        ("include_expression", Role::Import),
        ("include_once_expression", Role::Import),
        ("require_expression", Role::Import),
        ("require_once_expression", Role::Import),
        ("comment", Role::Comment),
        ("string", Role::Text),
        ("encapsed_string", Role::Text),
        ("heredoc_body", Role::Text),
        ("nowdoc_body", Role::Text),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "function_definition" | "method_declaration" => {
            Some(Found::named(source, node, Kind::Function)?.or_declared())
        }
        // A namespace without braces holds nothing by the grammar.
        "namespace_definition" => {
            Found::named(source, node, Kind::Class).filter(|found| found.body.is_some())
        }
        "const_element" => {
            let name = of_kind(node, "name")?;
            Some(Found::at(source, name, Kind::Constant))
        }
        "property_element" => {
            let found = Found::named(source, node, Kind::Constant)?;
            Some(Found {
                name: found.name.trim_start_matches('$'),
                ..found
            })
        }
        _ => Found::named(source, node, Kind::Class),
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    if node.kind() != "namespace_use_declaration" {
        let text = children(node).into_iter().find_map(string);
        if let Some(path) = text {
            found.push(Import {
                module: source.unquoted(path).to_owned(),
                names: Vec::new(),
                is_relative: true,
            });
        }
        return;
    }
    // `use a\b, c\d;` and `use a\{b, c};`
    let clauses = |of: Node<'_>| -> Vec<String> {
        let own = children(of).into_iter();
        own.filter(|clause| clause.kind() == "namespace_use_clause")
            .filter_map(|clause| clause.named_child(0))
            .map(|name| source.text(name).to_owned())
            .collect()
    };
    if let Some(group) = node.child_by_field_name("body") {
        let base = of_kind(node, "namespace_name").map_or("", |name| source.text(name));
        found.push(Import {
            module: base.to_owned(),
            names: clauses(group),
            is_relative: false,
        });
        return;
    }
    found.extend(clauses(node).into_iter().map(|module| Import {
        module,
        ..Import::default()
    }));
}

/// The string of `'path'` or `__DIR__ . '/path'`.
fn string(value: Node<'_>) -> Option<Node<'_>> {
    let of = |node: Node<'_>| ["string", "encapsed_string"].contains(&node.kind());
    match value.kind() {
        "binary_expression" | "parenthesized_expression" => {
            children(value).into_iter().rfind(|part| of(*part))
        }
        _ => Some(value).filter(|value| of(*value)),
    }
}
