//! Bash and other shells.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_definition", Role::Define),
        ("variable_assignment", Role::Define),
        ("declaration_command", Role::Group),
        ("subshell", Role::Scope),
        ("command_substitution", Role::Hole),
        ("command", Role::Import),
        ("comment", Role::Comment),
        ("string", Role::Text),
        ("raw_string", Role::Text),
        ("ansi_c_string", Role::Text),
        ("translated_string", Role::Text),
        ("heredoc_body", Role::Text),
        ("expansion", Role::Hole),
        ("simple_expansion", Role::Hole),
    ],
    define,
    import,
    is_doc: |text| !text.starts_with("#!"),
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    let kind = match node.kind() {
        "function_definition" => Kind::Function,
        "variable_assignment" => Kind::Constant,
        _ => return None,
    };
    let found = Found::named(source, node, kind)?;
    // `name[key]=value` changes a part.
    (found.at.kind() != "subscript").then_some(found)
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    if !["source", "."].contains(&source.field(node, "name")) {
        return;
    }
    let Some(path) = node.child_by_field_name("argument") else {
        return;
    };
    found.push(Import {
        module: source.unquoted(path).to_owned(),
        names: Vec::new(),
        is_relative: true,
    });
}
