//! C#.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children, of_kind};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("namespace_declaration", Role::Define),
        ("class_declaration", Role::Define),
        ("struct_declaration", Role::Define),
        ("interface_declaration", Role::Define),
        ("enum_declaration", Role::Define),
        ("record_declaration", Role::Define),
        ("method_declaration", Role::Define),
        ("constructor_declaration", Role::Define),
        ("destructor_declaration", Role::Define),
        ("local_function_statement", Role::Define),
        ("delegate_declaration", Role::Define),
        ("property_declaration", Role::Define),
        ("event_declaration", Role::Define),
        ("field_declaration", Role::Define),
        ("lambda_expression", Role::Scope),
        ("anonymous_method_expression", Role::Scope),
        ("using_directive", Role::Import),
        ("comment", Role::Comment),
        ("string_literal", Role::Text),
        ("verbatim_string_literal", Role::Text),
        ("raw_string_literal", Role::Text),
        ("interpolated_string_expression", Role::Text),
        ("interpolation", Role::Hole),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "method_declaration" | "constructor_declaration" | "local_function_statement" => {
            Some(Found::named(source, node, Kind::Function)?.or_declared())
        }
        "destructor_declaration" => Found::named(source, node, Kind::Function),
        "delegate_declaration" => Found::named(source, node, Kind::Declared),
        "property_declaration" | "event_declaration" => Found::named(source, node, Kind::Constant),
        "field_declaration" => {
            let variable = of_kind(of_kind(node, "variable_declaration")?, "variable_declarator")?;
            let name = variable.child_by_field_name("name")?;
            Some(Found::at(source, name, Kind::Constant))
        }
        _ => Found::named(source, node, Kind::Class),
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    // Of `using Alias = Some.Type` the last: what stands behind the sign.
    let path = children(node)
        .into_iter()
        .rfind(|child| !child.is_extra())
        .map_or("", |child| source.text(child));
    if !path.is_empty() {
        found.push(Import {
            module: path.to_owned(),
            ..Import::default()
        });
    }
}
