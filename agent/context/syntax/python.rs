//! Python.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children, in_field};
use crate::context::definitions::Kind;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_definition", Role::Define),
        ("class_definition", Role::Define),
        ("assignment", Role::Define),
        ("type_alias_statement", Role::Define),
        ("decorated_definition", Role::Wrapper),
        ("expression_statement", Role::Group),
        ("lambda", Role::Scope),
        ("import_statement", Role::Import),
        ("import_from_statement", Role::Import),
        ("future_import_statement", Role::Import),
        ("comment", Role::Comment),
        ("string", Role::Text),
        ("interpolation", Role::Hole),
    ],
    define,
    import,
    is_doc: |_| true,
    doc_inside: true,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "function_definition" => Found::named(source, node, Kind::Function),
        "class_definition" => Found::named(source, node, Kind::Class),
        "assignment" => {
            let left = node.child_by_field_name("left")?;
            (left.kind() == "identifier").then(|| Found::at(source, left, Kind::Constant))
        }
        "type_alias_statement" => {
            // `type Name[T] = ...`: the name is what the left side begins with.
            let mut name = node.child_by_field_name("left")?;
            while name.kind() != "identifier" {
                name = name.named_child(0)?;
            }
            Some(Found::at(source, name, Kind::Constant))
        }
        _ => None,
    }
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    if !node.kind().ends_with("import_statement") && node.kind() != "import_from_statement" {
        return;
    }
    // Of `a as b` what it is called where it comes from.
    let plain = |name: Node<'_>| match name.child_by_field_name("name") {
        Some(own) => source.text(own).to_owned(),
        None => source.text(name).to_owned(),
    };
    let names = in_field(node, "name").into_iter().map(plain);
    if node.kind() == "import_statement" {
        found.extend(names.map(|module| Import {
            module,
            ..Import::default()
        }));
        return;
    }
    let mut names: Vec<String> = names.collect();
    let all = |child: &Node<'_>| child.kind() == "wildcard_import";
    if children(node).iter().any(all) {
        names.push("*".to_owned());
    }
    let module = match node.child_by_field_name("module_name") {
        // Blanks may stand between the dots and the name.
        Some(module) => source.text(module).split_whitespace().collect(),
        None => "__future__".to_owned(),
    };
    found.push(Import {
        is_relative: module.starts_with('.'),
        module,
        names,
    });
}
