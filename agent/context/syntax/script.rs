//! JavaScript and TypeScript, with JSX or without.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children, of_kind};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_declaration", Role::Define),
        ("generator_function_declaration", Role::Define),
        ("class_declaration", Role::Define),
        ("abstract_class_declaration", Role::Define),
        ("interface_declaration", Role::Define),
        ("enum_declaration", Role::Define),
        ("internal_module", Role::Define),
        ("module", Role::Define),
        ("method_definition", Role::Define),
        ("method_signature", Role::Define),
        ("abstract_method_signature", Role::Define),
        ("function_signature", Role::Define),
        ("type_alias_declaration", Role::Define),
        ("variable_declarator", Role::Define),
        ("assignment_expression", Role::Define),
        ("pair", Role::Define),
        ("field_definition", Role::Define),
        ("public_field_definition", Role::Define),
        ("function_expression", Role::DefineOrScope),
        ("generator_function", Role::DefineOrScope),
        ("class", Role::DefineOrScope),
        ("arrow_function", Role::Scope),
        ("class_static_block", Role::Scope),
        ("export_statement", Role::Wrapper),
        ("ambient_declaration", Role::Wrapper),
        ("lexical_declaration", Role::Group),
        ("variable_declaration", Role::Group),
        ("expression_statement", Role::Group),
        ("import_statement", Role::Import),
        ("call_expression", Role::Import),
        ("decorator", Role::Attribute),
        ("comment", Role::Comment),
        ("html_comment", Role::Comment),
        ("string", Role::Text),
        ("template_string", Role::Text),
        ("template_substitution", Role::Hole),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "class_declaration"
        | "abstract_class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "internal_module"
        | "module"
        | "class" => {
            let found = Found::named(source, node, Kind::Class)?;
            // A module of a name in quotes is one of another file.
            let name = found.name.trim_matches(['"', '\'']);
            Some(Found { name, ..found })
        }
        "function_declaration"
        | "generator_function_declaration"
        | "function_expression"
        | "generator_function"
        | "method_definition"
        | "method_signature"
        | "abstract_method_signature"
        | "function_signature" => {
            let name = node.child_by_field_name("name")?;
            let found = member(source, name, Kind::Function).with(node.child_by_field_name("body"));
            Some(found.or_declared())
        }
        "type_alias_declaration" => Some(Found {
            body: None,
            ..Found::named(source, node, Kind::Constant)?
        }),
        "variable_declarator" => {
            let name = node.child_by_field_name("name")?;
            let value = node.child_by_field_name("value");
            if name.kind() != "identifier" || value.is_some_and(|value| required(source, value).is_some()) {
                return None;
            }
            Some(valued(member(source, name, Kind::Constant), value))
        }
        "field_definition" | "public_field_definition" => {
            let name = node
                .child_by_field_name("name")
                .or_else(|| node.child_by_field_name("property"))?;
            let value = node.child_by_field_name("value");
            Some(valued(member(source, name, Kind::Constant), value))
        }
        "pair" => {
            let found = member(source, node.child_by_field_name("key")?, Kind::Constant);
            let found = valued(found, node.child_by_field_name("value"));
            (found.kind != Kind::Constant).then_some(found)
        }
        "assignment_expression" => assigned(source, node),
        // `export default function () {}`
        "export_statement" => {
            let value = node.child_by_field_name("value")?;
            let found = Found {
                kind: Kind::Constant,
                name: "default",
                container: None,
                at: node,
                body: None,
            };
            let found = valued(found, Some(value));
            let is_named = value.child_by_field_name("name").is_some();
            (found.kind != Kind::Constant && !is_named).then_some(found)
        }
        _ => None,
    }
}

/// A definition of a name that may stand in quotes, and that no point divides.
fn member<'t>(source: &Source<'t>, name: Node<'t>, kind: Kind) -> Found<'t> {
    Found {
        kind,
        name: source.unquoted(name),
        container: None,
        at: name,
        body: None,
    }
}

/// A definition by what is assigned: a function, a class or any other value.
fn valued<'t>(found: Found<'t>, value: Option<Node<'t>>) -> Found<'t> {
    let Some(value) = value else {
        return found;
    };
    match value.kind() {
        "arrow_function" | "function_expression" | "generator_function" => Found {
            kind: Kind::Function,
            ..found
        }
        .with(value.child_by_field_name("body")),
        "class" => Found {
            kind: Kind::Class,
            ..found
        }
        .with(value.child_by_field_name("body")),
        "object" => found.with(Some(value)),
        _ => found,
    }
}

/// `name = function`, `a.b = function`, `exports.name = anything`.
fn assigned<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    let left = node.child_by_field_name("left")?;
    let (name, holder) = match left.kind() {
        "identifier" => (left, ""),
        "member_expression" => (
            left.child_by_field_name("property")?,
            source.field(left, "object"),
        ),
        _ => return None,
    };
    let is_export = ["exports", "module.exports"].contains(&holder);
    let is_path = holder
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '.'));
    let holder = holder.strip_suffix(".prototype").unwrap_or(holder);
    let is_own = is_export || ["this", "module", "window", "self"].contains(&holder);
    let found = Found {
        container: Some(holder).filter(|holder| is_path && !is_own && !holder.is_empty()),
        ..member(source, name, Kind::Constant)
    };
    let found = valued(found, node.child_by_field_name("right"));
    (found.kind != Kind::Constant || is_export).then_some(found)
}

/// The module in `require("module")`, also where but a part of it is taken.
fn required<'t>(source: &Source<'t>, value: Node<'t>) -> Option<&'t str> {
    let call = match value.kind() {
        "member_expression" => value.child_by_field_name("object")?,
        _ => value,
    };
    if call.kind() != "call_expression" {
        return None;
    }
    let function = call.child_by_field_name("function")?;
    let is_require = function.kind() == "identifier" && source.text(function) == "require";
    if !is_require && function.kind() != "import" {
        return None;
    }
    let name = call.child_by_field_name("arguments")?.named_child(0)?;
    (name.kind() == "string").then(|| source.unquoted(name))
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let (module, names) = match node.kind() {
        "import_statement" => imported(source, node),
        "export_statement" => (
            node.child_by_field_name("source")
                .map(|name| source.unquoted(name)),
            of_kind(node, "export_clause")
                .map_or_else(|| vec!["*".to_owned()], |names| listed(source, names)),
        ),
        "variable_declarator" => {
            let value = node.child_by_field_name("value");
            let names = node
                .child_by_field_name("name")
                .filter(|name| name.kind() == "object_pattern")
                .map_or_else(Vec::new, |pattern| taken(source, pattern));
            (value.and_then(|value| required(source, value)), names)
        }
        "call_expression" => {
            let module = required(source, node);
            // The declarator around it has told it, with what is taken.
            let is_told = found
                .last()
                .is_some_and(|last| Some(last.module.as_str()) == module);
            (module.filter(|_| !is_told), Vec::new())
        }
        _ => (None, Vec::new()),
    };
    if let Some(module) = module {
        found.push(Import {
            module: module.to_owned(),
            names,
            is_relative: module.starts_with('.'),
        });
    }
}

fn imported<'t>(source: &Source<'t>, node: Node<'t>) -> (Option<&'t str>, Vec<String>) {
    if let Some(require) = of_kind(node, "import_require_clause") {
        let name = require.child_by_field_name("source");
        return (name.map(|name| source.unquoted(name)), Vec::new());
    }
    let mut names = Vec::new();
    for part in of_kind(node, "import_clause").map_or_else(Vec::new, children) {
        match part.kind() {
            "identifier" => names.push("default".to_owned()),
            "namespace_import" => names.push("*".to_owned()),
            "named_imports" => names.extend(listed(source, part)),
            _ => {}
        }
    }
    let module = node.child_by_field_name("source");
    (module.map(|name| source.unquoted(name)), names)
}

/// What the specifiers of a list in braces name, as it is called where it comes from.
fn listed(source: &Source<'_>, list: Node<'_>) -> Vec<String> {
    let names = children(list).into_iter();
    let own = names.filter_map(|one| one.child_by_field_name("name"));
    own.map(|name| source.unquoted(name).to_owned()).collect()
}

/// What `{ a, b: c, d = 1 }` takes.
fn taken(source: &Source<'_>, pattern: Node<'_>) -> Vec<String> {
    let name = |one: Node<'_>| {
        let own = one
            .child_by_field_name("key")
            .or_else(|| one.child_by_field_name("left"));
        source.unquoted(own.unwrap_or(one)).to_owned()
    };
    let own = children(pattern).into_iter();
    own.filter(|one| !one.is_extra() && one.kind() != "rest_pattern")
        .map(name)
        .collect()
}
