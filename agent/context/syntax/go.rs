//! Go.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, of_kind};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_declaration", Role::Define),
        ("method_declaration", Role::Define),
        ("method_elem", Role::Define),
        ("type_spec", Role::Define),
        ("type_alias", Role::Define),
        ("const_spec", Role::Define),
        ("var_spec", Role::Define),
        ("type_declaration", Role::Group),
        ("const_declaration", Role::Group),
        ("var_declaration", Role::Group),
        ("func_literal", Role::Scope),
        ("import_spec", Role::Import),
        ("comment", Role::Comment),
        ("interpreted_string_literal", Role::Text),
        ("raw_string_literal", Role::Text),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "function_declaration" | "method_declaration" => {
            let found = Found::named(source, node, Kind::Function)?;
            let receiver = node.child_by_field_name("receiver");
            Some(Found {
                container: receiver.and_then(|receiver| receiver_type(source, receiver)),
                ..found
            })
        }
        "method_elem" => Some(Found::named(source, node, Kind::Declared)?),
        "type_spec" => {
            let kind = node.child_by_field_name("type")?;
            let holds = ["struct_type", "interface_type"].contains(&kind.kind());
            let (own, body) = match kind.kind() {
                "struct_type" => (Kind::Class, of_kind(kind, "field_declaration_list")),
                _ if holds => (Kind::Class, None),
                _ => (Kind::Constant, None),
            };
            Some(Found::named(source, node, own)?.with(body))
        }
        _ => Found::named(source, node, Kind::Constant),
    }
}

/// `Stack` of `(s *Stack[T])`.
fn receiver_type<'t>(source: &Source<'t>, receiver: Node<'t>) -> Option<&'t str> {
    let mut kind = of_kind(receiver, "parameter_declaration")?.child_by_field_name("type")?;
    while kind.kind() != "type_identifier" {
        kind = match kind.kind() {
            "generic_type" => kind.child_by_field_name("type")?,
            "pointer_type" | "parenthesized_type" => kind.named_child(0)?,
            _ => return None,
        };
    }
    Some(source.text(kind))
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let Some(path) = node.child_by_field_name("path") else {
        return;
    };
    let module = source.unquoted(path).to_owned();
    found.push(Import {
        is_relative: module.starts_with('.'),
        // `import . "path"` takes all names.
        names: if source.field(node, "name") == "." {
            vec!["*".to_owned()]
        } else {
            Vec::new()
        },
        module,
    });
}
