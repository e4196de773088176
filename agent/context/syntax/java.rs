//! Java.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("class_declaration", Role::Define),
        ("interface_declaration", Role::Define),
        ("enum_declaration", Role::Define),
        ("record_declaration", Role::Define),
        ("annotation_type_declaration", Role::Define),
        ("method_declaration", Role::Define),
        ("constructor_declaration", Role::Define),
        ("compact_constructor_declaration", Role::Define),
        ("annotation_type_element_declaration", Role::Define),
        ("field_declaration", Role::Define),
        ("constant_declaration", Role::Define),
        // Of a class without a name, and of an enumeration's constant, the fields are nobody's.
        ("object_creation_expression", Role::Scope),
        ("enum_constant", Role::Scope),
        ("lambda_expression", Role::Scope),
        ("import_declaration", Role::Import),
        ("line_comment", Role::Comment),
        ("block_comment", Role::Comment),
        ("string_literal", Role::Text),
        ("string_interpolation", Role::Hole),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "method_declaration" | "constructor_declaration" | "compact_constructor_declaration" => {
            Some(Found::named(source, node, Kind::Function)?.or_declared())
        }
        "annotation_type_element_declaration" => Found::named(source, node, Kind::Declared),
        "field_declaration" | "constant_declaration" => {
            let name = node
                .child_by_field_name("declarator")?
                .child_by_field_name("name")?;
            Some(Found::at(source, name, Kind::Constant))
        }
        _ => Found::named(source, node, Kind::Class),
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let mut path = "";
    let (mut all, mut is_static) = (false, false);
    for child in children(node) {
        match child.kind() {
            "scoped_identifier" | "identifier" => path = source.text(child),
            "asterisk" => all = true,
            _ => {}
        }
    }
    for child in node.children(&mut node.walk()) {
        is_static |= child.kind() == "static";
    }
    if path.is_empty() {
        return;
    }
    // `import static a.B.c` takes c from a.B.
    let (module, name) = match path.rsplit_once('.') {
        _ if all => (path, Some("*")),
        Some((class, name)) if is_static => (class, Some(name)),
        _ => (path, None),
    };
    found.push(Import {
        module: module.split_whitespace().collect(),
        names: name.map(str::to_owned).into_iter().collect(),
        is_relative: false,
    });
}
