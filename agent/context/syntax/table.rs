//! What a language says of its grammar's nodes.

use tree_sitter::Node;

use super::Import;
use crate::context::definitions::Kind;

/// What a kind of node is to the visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing by itself.
    Pass,
    /// It may define something, by the table's `define`, or else import something, by its `import`.
    Define,
    /// As `Define`; what defines nothing is a scope.
    DefineOrScope,
    /// What stands in it is nobody's constant.
    Scope,
    /// It may import something.
    Import,
    /// It holds a definition, which begins with it: decorators, `export`, `template <...>`. May itself define, too.
    Wrapper,
    /// It holds one definition or several; the one on its first line begins with it.
    Group,
    /// It stands before the definition that it belongs to.
    Attribute,
    /// A comment.
    Comment,
    /// A string literal.
    Text,
    /// Code within a string literal.
    Hole,
}

/// A language's roles and rules.
pub(super) struct Table {
    /// Roles of named nodes; all others are `Pass`.
    pub(super) kinds: &'static [(&'static str, Role)],
    /// What a node defines.
    pub(super) define: for<'t> fn(&Source<'t>, Node<'t>) -> Option<Found<'t>>,
    /// What a node imports.
    pub(super) import: fn(&Source<'_>, Node<'_>, &mut Vec<Import>),
    /// Whether a comment above a definition is its doc.
    pub(super) is_doc: fn(&str) -> bool,
    /// Whether functions and classes have their doc string in their body.
    pub(super) doc_inside: bool,
}

/// A definition as its language tells it.
#[derive(Clone, Copy)]
pub(super) struct Found<'t> {
    pub(super) kind: Kind,
    pub(super) name: &'t str,
    /// What it belongs to without standing in it.
    pub(super) container: Option<&'t str>,
    /// On the first line of this is the header.
    pub(super) at: Node<'t>,
    pub(super) body: Option<Node<'t>>,
}

impl<'t> Found<'t> {
    /// A definition of that kind, with the fields `name` and `body`.
    pub(super) fn named(source: &Source<'t>, node: Node<'t>, kind: Kind) -> Option<Found<'t>> {
        let name = node.child_by_field_name("name")?;
        Some(Found::at(source, name, kind).with(node.child_by_field_name("body")))
    }

    /// A definition whose name is the text of a node, with what it is qualified by as container.
    pub(super) fn at(source: &Source<'t>, name: Node<'t>, kind: Kind) -> Found<'t> {
        let (container, own) = qualified(source.text(name));
        Found {
            kind,
            name: own,
            container,
            at: name,
            body: None,
        }
    }

    pub(super) fn with(self, body: Option<Node<'t>>) -> Found<'t> {
        Found { body, ..self }
    }

    /// A function without a body is only declared.
    pub(super) fn or_declared(self) -> Found<'t> {
        let is_declared = self.kind == Kind::Function && self.body.is_none();
        let kind = if is_declared { Kind::Declared } else { self.kind };
        Found { kind, ..self }
    }
}

/// `a::b.c` as `a::b` and `c`.
fn qualified(name: &str) -> (Option<&str>, &str) {
    let is_path =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':' | '.' | '\\' | '~' | '?' | '!');
    if !name.chars().all(is_path) {
        return (None, name);
    }
    match name.rfind([':', '.', '\\']) {
        Some(at) if at + 1 < name.len() => {
            let before = name.get(..at).unwrap_or_default();
            let before = before.trim_matches([':', '.', '\\']);
            (
                Some(before).filter(|before| !before.is_empty()),
                name.get(at + 1..).unwrap_or_default(),
            )
        }
        _ => (None, name),
    }
}

/// The text that a tree was made of.
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    /// A node's text.
    pub(super) fn text(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// A node's text without what quotes it.
    pub(super) fn unquoted(&self, node: Node<'_>) -> &'t str {
        self.text(node).trim_matches(['"', '\'', '`', '<', '>'])
    }

    /// The text of a node's field; empty when it has none.
    pub(super) fn field(&self, node: Node<'_>, name: &str) -> &'t str {
        node.child_by_field_name(name)
            .map_or("", |child| self.text(child))
    }
}

/// A node's named children.
pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.named_children(&mut node.walk()).collect()
}

/// A node's children in a field.
pub(super) fn in_field<'t>(node: Node<'t>, field: &str) -> Vec<Node<'t>> {
    node.children_by_field_name(field, &mut node.walk()).collect()
}

/// The first child of a kind.
pub(super) fn of_kind<'t>(node: Node<'t>, kind: &str) -> Option<Node<'t>> {
    children(node).into_iter().find(|child| child.kind() == kind)
}
