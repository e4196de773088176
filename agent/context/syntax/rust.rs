//! Rust.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table, children};
use crate::context::definitions::Kind;

/// Paths of so many parts, and trees of so many levels, are followed.
const MOST_NESTED: usize = 16;

pub(super) static TABLE: Table = Table {
    kinds: &[
        ("function_item", Role::Define),
        ("function_signature_item", Role::Define),
        ("struct_item", Role::Define),
        ("union_item", Role::Define),
        ("enum_item", Role::Define),
        ("trait_item", Role::Define),
        ("impl_item", Role::Define),
        ("mod_item", Role::Define),
        ("macro_definition", Role::Define),
        ("const_item", Role::Define),
        ("static_item", Role::Define),
        ("type_item", Role::Define),
        ("associated_type", Role::Define),
        ("closure_expression", Role::Scope),
        ("use_declaration", Role::Import),
        ("extern_crate_declaration", Role::Import),
        ("attribute_item", Role::Attribute),
        ("line_comment", Role::Comment),
        ("block_comment", Role::Comment),
        ("string_literal", Role::Text),
        ("raw_string_literal", Role::Text),
    ],
    define,
    import,
    is_doc: |text| text.starts_with("///") || text.starts_with("/**"),
    doc_inside: false,
};

fn define<'t>(source: &Source<'t>, node: Node<'t>) -> Option<Found<'t>> {
    match node.kind() {
        "function_item" | "function_signature_item" => {
            Some(Found::named(source, node, Kind::Function)?.or_declared())
        }
        "impl_item" => {
            let name = type_name(node.child_by_field_name("type")?)?;
            Some(Found::at(source, name, Kind::Class).with(node.child_by_field_name("body")))
        }
        "struct_item" | "union_item" | "enum_item" | "trait_item" => Found::named(source, node, Kind::Class),
        "mod_item" => Found::named(source, node, Kind::Class).filter(|found| found.body.is_some()),
        _ => Some(Found {
            body: None,
            ..Found::named(source, node, Kind::Constant)?
        }),
    }
}

/// The own name of a type, without its path, its arguments and what refers to it.
fn type_name(kind: Node<'_>) -> Option<Node<'_>> {
    let mut kind = kind;
    for _ in 0..MOST_NESTED {
        kind = match kind.kind() {
            "type_identifier" | "primitive_type" => return Some(kind),
            "scoped_type_identifier" => kind.child_by_field_name("name")?,
            "generic_type" | "reference_type" | "pointer_type" => kind.child_by_field_name("type")?,
            "dynamic_type" => kind.child_by_field_name("trait")?,
            _ => return None,
        };
    }
    None
}

fn import(source: &Source<'_>, node: Node<'_>, found: &mut Vec<Import>) {
    let name = source.field(node, "name");
    match node.kind() {
        "use_declaration" => {
            if let Some(tree) = node.child_by_field_name("argument") {
                uses(source, tree, found);
            }
        }
        "mod_item" if !name.is_empty() => found.push(Import {
            module: format!("self::{name}"),
            names: Vec::new(),
            is_relative: true,
        }),
        "extern_crate_declaration" if !name.is_empty() => found.push(Import {
            module: name.to_owned(),
            ..Import::default()
        }),
        _ => {}
    }
}

/// One import for each path that names are taken from.
fn uses(source: &Source<'_>, tree: Node<'_>, found: &mut Vec<Import>) {
    let mut left = vec![(String::new(), tree, 0)];
    while let Some((path, tree, depth)) = left.pop() {
        let of = |path: &str, more: &str| match (path, more) {
            ("", more) => more.to_owned(),
            (path, "") => path.to_owned(),
            (path, more) => format!("{path}::{more}"),
        };
        let (module, name) = match tree.kind() {
            "scoped_use_list" | "use_list" if depth > MOST_NESTED => continue,
            "scoped_use_list" => {
                if let Some(list) = tree.child_by_field_name("list") {
                    left.push((of(&path, source.field(tree, "path")), list, depth + 1));
                }
                continue;
            }
            "use_list" => {
                let inner = children(tree).into_iter().rev();
                left.extend(inner.map(|inner| (path.clone(), inner, depth + 1)));
                continue;
            }
            "line_comment" | "block_comment" => continue,
            "use_wildcard" => {
                let base = tree.named_child(0).map_or("", |base| source.text(base));
                (of(&path, base), "*")
            }
            _ => {
                let own = match tree.child_by_field_name("alias") {
                    Some(_) => source.field(tree, "path"),
                    None => source.text(tree),
                };
                match own.rsplit_once("::") {
                    Some((base, name)) => (of(&path, base), name),
                    // `use a::{self}` takes a itself; `use a` as well.
                    None if own == "self" || path.is_empty() => {
                        (of(&path, own.trim_start_matches("self")), "")
                    }
                    None => (path, own),
                }
            }
        };
        add(found, module, name);
    }
}

fn add(found: &mut Vec<Import>, module: String, name: &str) {
    let names = (!name.is_empty()).then(|| name.to_owned());
    match found.last_mut() {
        Some(last) if last.module == module && !last.names.is_empty() && names.is_some() => {
            last.names.extend(names);
        }
        _ => found.push(Import {
            is_relative: matches!(module.split("::").next(), Some("self" | "super" | "crate")),
            module,
            names: names.into_iter().collect(),
        }),
    }
}
