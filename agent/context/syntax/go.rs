//! go.

use tree_sitter::Node;

use super::Import;
use super::table::{Found, Role, Source, Table};

pub(super) static TABLE: Table = Table {
    kinds: &[("comment", Role::Comment)],
    define,
    import,
    is_doc: |_| true,
    doc_inside: false,
};

fn define<'t>(_: &Source<'t>, _: Node<'t>) -> Option<Found<'t>> {
    None
}

fn import(_: &Source<'_>, _: Node<'_>, _: &mut Vec<Import>) {}
