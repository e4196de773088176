//! C and C++.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table};
use crate::context::definitions::Kind;

/// What declares a name is followed so deep: `*(*(*name))`.
const MOST_NESTED: usize = 32;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_definition", Role::Define),
        ("declaration", Role::Define),
        ("field_declaration", Role::Define),
        ("struct_specifier", Role::Define),
        ("union_specifier", Role::Define),
        ("class_specifier", Role::Define),
        ("enum_specifier", Role::Define),
        ("namespace_definition", Role::Define),
        ("alias_declaration", Role::Define),
        ("concept_definition", Role::Define),
        ("preproc_def", Role::Define),
        ("preproc_function_def", Role::Define),
        ("type_definition", Role::Wrapper),
        ("template_declaration", Role::Wrapper),
        ("lambda_expression", Role::Scope),
        ("preproc_include", Role::Import),
        ("comment", Role::Comment),
        ("string_literal", Role::Text),
        ("raw_string_literal", Role::Text),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "function_definition" => {
            let (found, _) = declared(source, node, Kind::Function)?;
            Some(found.with(node.child_by_field_name("body")).or_declared())
        }
        "declaration" | "field_declaration" => {
            let declarator = node.child_by_field_name("declarator")?;
            let (found, is_function) = declared(source, node, Kind::Declared)?;
            if is_function {
                return Some(found);
            }
            (declarator.kind() == "init_declarator").then_some(Found {
                kind: Kind::Constant,
                ..found
            })
        }
        "struct_specifier" | "union_specifier" | "class_specifier" | "enum_specifier" => {
            let body = node.child_by_field_name("body")?;
            Some(Found::named(source, node, Kind::Class)?.with(Some(body)))
        }
        "namespace_definition" => Found::named(source, node, Kind::Class),
        // What another name is given to is told by the specifier itself where it has one, too.
        "type_definition" => {
            let kind = node.child_by_field_name("type")?;
            let (found, _) = declared(source, node, Kind::Constant)?;
            match (kind.child_by_field_name("body"), kind.child_by_field_name("name")) {
                // The name stands behind the body; the header is where that begins.
                (Some(body), None) => Some(Found {
                    kind: Kind::Class,
                    at: kind,
                    body: Some(body),
                    ..found
                }),
                (Some(_), Some(_)) => None,
                (None, _) => Some(found),
            }
        }
        "preproc_def" | "preproc_function_def" => {
            node.child_by_field_name("value")?;
            Found::named(source, node, Kind::Constant)
        }
        "alias_declaration" | "concept_definition" => Found::named(source, node, Kind::Constant),
        _ => None,
    }
}

/// The name that a node's declarator declares, and whether as a function.
fn declared<'t>(source: &Source<'t>, node: Node<'t>, kind: Kind) -> Option<(Found<'t>, bool)> {
    let mut at = node.child_by_field_name("declarator")?;
    let mut is_function = false;
    for _ in 0..MOST_NESTED {
        at = match at.kind() {
            "function_declarator" => {
                let inner = at.child_by_field_name("declarator")?;
                // A pointer to a function is none.
                is_function = inner.kind() != "parenthesized_declarator";
                inner
            }
            "qualified_identifier" => {
                let mut name = at.child_by_field_name("name")?;
                while name.kind() == "qualified_identifier" {
                    name = name.child_by_field_name("name")?;
                }
                let scope = source.text.get(at.start_byte()..name.start_byte())?;
                let scope = scope.trim_matches(':');
                let plain = scope.split('<').next().unwrap_or(scope);
                let found = own(source, name, kind);
                let container = Some(plain).filter(|plain| !plain.is_empty());
                return Some((Found { container, ..found }, is_function));
            }
            "identifier" | "field_identifier" | "type_identifier" | "destructor_name" | "operator_name"
            | "operator_cast" | "template_function" | "primitive_type" => {
                return Some((own(source, at, kind), is_function));
            }
            _ => at
                .child_by_field_name("declarator")
                .or_else(|| at.named_child(0))?,
        };
    }
    None
}

fn own<'t>(source: &Source<'t>, name: Node<'t>, kind: Kind) -> Found<'t> {
    let at = match name.kind() {
        "template_function" | "template_method" => name.child_by_field_name("name").unwrap_or(name),
        _ => name,
    };
    let text = source.text(at);
    // `operator bool() const` is known by its type.
    let text = text
        .split('(')
        .next()
        .filter(|own| *own != "operator")
        .unwrap_or(text);
    Found {
        kind,
        name: text.trim(),
        container: None,
        at,
        body: None,
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let Some(path) = node
        .child_by_field_name("path")
        .filter(|_| node.kind() == "preproc_include")
    else {
        return;
    };
    if matches!(path.kind(), "string_literal" | "system_lib_string") {
        found.push(Import {
            module: source.unquoted(path).to_owned(),
            names: Vec::new(),
            is_relative: path.kind() == "string_literal",
        });
    }
}
