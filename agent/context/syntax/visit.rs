//! One walk over a tree, from node to node and without recursion, that gathers what its language's table asks for.

use std::ops::Range;

use tree_sitter::{Node, Tree, TreeCursor};

use super::table::{Found, Role, Source, Table};
use super::{Grammar, Outline};
use crate::context::definitions::{Definition, Kind, MOST_DEFINITIONS, MOST_NESTED, indent_of};

/// A longer name is no name. Every name holds those around it: deep ones would fill memory.
const MOST_NAME: usize = 1000;

/// Something that is open around a node.
struct Open<'t> {
    depth: usize,
    /// None for what has no name: an anonymous function.
    name: Option<&'t str>,
    container: Option<&'t str>,
    /// Whether what is assigned in it directly is its constant.
    is_class: bool,
    /// The body, by which a function or a class is known that has a name already.
    body: Option<usize>,
}

/// Comments and attributes directly before a node, at its depth.
#[derive(Clone)]
struct Leading {
    depth: usize,
    /// The line behind the last of them.
    end: usize,
    /// The first attribute's line.
    attribute: Option<usize>,
    comments: Option<Range<usize>>,
}

/// A node that a definition begins with.
struct Wrapper {
    depth: usize,
    line: usize,
    /// Only what begins on its line begins with it.
    is_group: bool,
    start: usize,
    doc: Option<Range<usize>>,
}

struct Visit<'t> {
    source: Source<'t>,
    table: &'static Table,
    found: Outline,
    functions: usize,
    constants: usize,
    open: Vec<Open<'t>>,
    /// Depths of holes in texts, with where the text goes on to.
    holes: Vec<(usize, usize, usize)>,
    leading: Option<Leading>,
    wrapper: Option<Wrapper>,
}

/// What a parsed text holds.
pub(super) fn outline(text: &str, tree: &Tree, grammar: Grammar) -> Outline {
    let mut visit = Visit {
        source: Source { text },
        table: grammar.table(),
        found: Outline::default(),
        functions: 0,
        constants: 0,
        open: Vec::new(),
        holes: Vec::new(),
        leading: None,
        wrapper: None,
    };
    visit.all(&mut tree.walk(), grammar.roles());
    let mut found = visit.found;
    found
        .definitions
        .sort_by_key(|one| (one.start, std::cmp::Reverse(one.end)));
    found
}

impl<'t> Visit<'t> {
    fn all(&mut self, cursor: &mut TreeCursor<'t>, roles: &[Role]) {
        let mut depth = 0;
        loop {
            let node = cursor.node();
            match roles.get(usize::from(node.kind_id())) {
                None | Some(Role::Pass) => drop(self.before(depth)),
                Some(role) => self.enter(node, *role, depth),
            }
            if cursor.goto_first_child() {
                depth += 1;
                continue;
            }
            loop {
                self.leave(depth);
                if cursor.goto_next_sibling() {
                    break;
                }
                if !cursor.goto_parent() {
                    return;
                }
                depth -= 1;
            }
        }
    }

    fn enter(&mut self, node: Node<'t>, role: Role, depth: usize) {
        let before = self
            .before(depth)
            .filter(|leading| leading.end >= node.start_position().row);
        match role {
            Role::Pass => {}
            // `const f = function g() {}` is f.
            Role::DefineOrScope if self.has_name(node) => {}
            Role::Define | Role::DefineOrScope => match self.named(node) {
                Some(found) => self.define(node, found, depth, before),
                None if role == Role::DefineOrScope => self.open_scope(depth),
                None => (self.table.import)(&self.source, node, &mut self.found.imports),
            },
            Role::Scope => self.open_scope(depth),
            Role::Import => (self.table.import)(&self.source, node, &mut self.found.imports),
            Role::Wrapper | Role::Group => {
                self.wrap(node, role == Role::Group, depth, before.clone());
                match self.named(node) {
                    Some(found) => self.define(node, found, depth, before),
                    None if role == Role::Wrapper => {
                        (self.table.import)(&self.source, node, &mut self.found.imports);
                    }
                    None => {}
                }
            }
            Role::Attribute => self.lead(node, false, depth, before),
            Role::Comment => {
                self.text(node);
                self.lead(node, true, depth, before);
            }
            Role::Text => self.text(node),
            Role::Hole => self.hole(node, depth),
        }
    }

    /// What was before a node at that depth. What is within an attribute leaves it for the node behind.
    fn before(&mut self, depth: usize) -> Option<Leading> {
        let before = self.leading.take_if(|leading| leading.depth >= depth)?;
        (before.depth == depth).then_some(before)
    }

    fn leave(&mut self, depth: usize) {
        while self.open.last().is_some_and(|open| open.depth >= depth) {
            self.open.pop();
        }
        self.wrapper.take_if(|wrapper| wrapper.depth >= depth);
        while let Some((_, start, end)) = self.holes.pop_if(|(own, ..)| *own >= depth) {
            if start < end {
                self.found.prose.push(start..end);
            }
        }
    }

    /// What a node defines, if it has a name.
    fn named(&self, node: Node<'t>) -> Option<Found<'t>> {
        let found = (self.table.define)(&self.source, node)?;
        (!found.name.is_empty() && found.name.len() <= MOST_NAME).then_some(found)
    }

    /// Whether a function or a class is what the definition around it assigns.
    fn has_name(&self, node: Node<'t>) -> bool {
        let body = node.child_by_field_name("body").map(|body| body.id());
        body.is_some() && self.open.last().is_some_and(|open| open.body == body)
    }

    fn open_scope(&mut self, depth: usize) {
        self.open.push(Open {
            depth,
            name: None,
            container: None,
            is_class: false,
            body: None,
        });
    }

    fn define(&mut self, node: Node<'t>, found: Found<'t>, depth: usize, before: Option<Leading>) {
        let is_kept = self.keep(node, &found, depth, before).is_some();
        if found.kind == Kind::Constant && found.body.is_none() {
            // A value holds nothing by itself.
            return;
        }
        self.open.push(Open {
            depth,
            name: is_kept.then_some(found.name),
            container: found.container.filter(|_| is_kept),
            is_class: found.kind == Kind::Class,
            body: found.body.map(|body| body.id()),
        });
    }

    fn keep(
        &mut self,
        node: Node<'t>,
        found: &Found<'t>,
        depth: usize,
        before: Option<Leading>,
    ) -> Option<()> {
        let is_constant = found.kind == Kind::Constant;
        // Within a function they are variables, and what looks like a prototype may be one.
        let is_plain = matches!(found.kind, Kind::Function | Kind::Class);
        if self.open.len() >= MOST_NESTED || (!is_plain && self.open.iter().any(|open| !open.is_class)) {
            return None;
        }
        let full_name = joined(&self.open, found)?;
        let count = if is_constant {
            &mut self.constants
        } else {
            &mut self.functions
        };
        if *count >= MOST_DEFINITIONS {
            return None;
        }
        *count += 1;
        let definition = self.definition(node, found, full_name, depth, before);
        self.found.definitions.push(definition);
        Some(())
    }

    fn definition(
        &self,
        node: Node<'t>,
        found: &Found<'t>,
        full_name: String,
        depth: usize,
        before: Option<Leading>,
    ) -> Definition {
        let own = node.start_position().row;
        let end = end_line(node);
        let (mut start, mut doc) = begins(own, before);
        if let Some(wrapper) = &self.wrapper
            && wrapper.depth + 1 == depth
            && (!wrapper.is_group || wrapper.line == own)
        {
            start = start.min(wrapper.start);
            doc = doc.or_else(|| wrapper.doc.clone());
        }
        if self.table.doc_inside && found.kind != Kind::Constant {
            doc = found.body.and_then(|body| doc_string(&self.source, body));
        }
        let at = found.at.start_position();
        let header = at.row.clamp(start, end - 1);
        let line = found.at.start_byte() - at.column;
        Definition {
            name: found.name.to_owned(),
            full_name,
            kind: found.kind,
            start,
            header,
            body: body_line(node, found.body)
                .unwrap_or(header + 1)
                .clamp(header + 1, end),
            end,
            indent: indent_of(self.source.text.get(line..).unwrap_or_default()),
            doc,
        }
    }

    fn wrap(&mut self, node: Node<'t>, is_group: bool, depth: usize, before: Option<Leading>) {
        let line = node.start_position().row;
        let (mut start, mut doc) = begins(line, before);
        if let Some(outer) = &self.wrapper
            && outer.depth + 1 == depth
            && outer.line <= line
            && (!is_group || outer.line == line || !outer.is_group)
        {
            start = outer.start;
            doc = doc.or_else(|| outer.doc.clone());
        }
        self.wrapper = Some(Wrapper {
            depth,
            line,
            is_group,
            start,
            doc,
        });
    }

    /// Takes down a comment or an attribute, which the next node may belong to.
    fn lead(&mut self, node: Node<'t>, is_comment: bool, depth: usize, before: Option<Leading>) {
        let place = node.start_position();
        let line = node.start_byte() - place.column;
        let above = self.source.text.get(line..node.start_byte()).unwrap_or_default();
        let is_doc = is_comment && (self.table.is_doc)(self.source.text(node));
        if before.is_none() && is_comment && !above.trim().is_empty() {
            // It says something of the code before it, on its line.
            return;
        }
        let own = place.row..end_line(node);
        let mut leading = before.unwrap_or(Leading {
            depth,
            end: own.end,
            attribute: None,
            comments: None,
        });
        leading.end = own.end;
        if is_doc {
            let first = leading.comments.map_or(own.start, |comments| comments.start);
            leading.comments = Some(first..own.end);
        } else if !is_comment {
            leading.attribute = leading.attribute.or(Some(own.start));
        }
        self.leading = Some(leading);
    }

    fn text(&mut self, node: Node<'t>) {
        let range = node.byte_range();
        let is_apart = self.found.prose.last().is_none_or(|last| last.end <= range.start);
        if is_apart && !range.is_empty() {
            self.found.prose.push(range);
        }
    }

    /// Cuts code out of the text around it.
    fn hole(&mut self, node: Node<'t>, depth: usize) {
        let own = node.byte_range();
        let around = |last: &mut Range<usize>| last.start <= own.start && own.end <= last.end;
        let Some(text) = self.found.prose.pop_if(around) else {
            return;
        };
        if text.start < own.start {
            self.found.prose.push(text.start..own.start);
        }
        self.holes.push((depth, own.end, text.end));
    }
}

/// The names of what is open and a definition's own, joined by dots.
fn joined(open: &[Open<'_>], found: &Found<'_>) -> Option<String> {
    let own = [found.container, Some(found.name)];
    let outer = open.iter().flat_map(|open| [open.container, open.name]);
    let mut full = String::new();
    for part in outer.chain(own).flatten() {
        if !full.is_empty() {
            full.push('.');
        }
        if full.len() + part.len() > MOST_NAME {
            return None;
        }
        full.push_str(&part.replace("::", ".").replace('\\', "."));
    }
    Some(full)
}

/// The first line of what begins on a line with what is directly before it, and the lines of its doc.
fn begins(line: usize, before: Option<Leading>) -> (usize, Option<Range<usize>>) {
    match before {
        Some(before) => (before.attribute.unwrap_or(line).min(line), before.comments),
        None => (line, None),
    }
}

/// The line behind a node's last.
fn end_line(node: Node<'_>) -> usize {
    let (start, end) = (node.start_position(), node.end_position());
    // Some nodes hold the end of their last line.
    if end.column == 0 && end.row > start.row {
        end.row
    } else {
        end.row + 1
    }
}

/// The line behind a definition's signature.
fn body_line(node: Node<'_>, body: Option<Node<'_>>) -> Option<usize> {
    let body = body?;
    let first = body.child(0).map_or("", |child| child.kind());
    if first == "{" {
        return Some(body.start_position().row + 1);
    }
    // Behind the colon, the arrow or the arguments. The body may stand deeper: in a function that is assigned.
    let (mut holder, mut last) = (node, None);
    while holder.id() != body.id() {
        let mut inner = None;
        for child in holder.children(&mut holder.walk()) {
            if child.id() == body.id()
                || (child.start_byte() <= body.start_byte() && body.end_byte() <= child.end_byte())
            {
                inner = Some(child);
                break;
            }
            if !child.is_extra() && child.end_byte() <= body.start_byte() {
                last = Some(child);
            }
        }
        holder = inner?;
    }
    last.map(end_line)
}

/// The lines of the string that a body begins with.
fn doc_string(source: &Source<'_>, body: Node<'_>) -> Option<Range<usize>> {
    let mut cursor = body.walk();
    let first = body.named_children(&mut cursor).find(|child| !child.is_extra())?;
    let text = first.named_child(0)?;
    let is_string = match text.kind() {
        "string" => is_plain(source.text(text)),
        "concatenated_string" => text
            .named_children(&mut text.walk())
            .all(|part| is_plain(source.text(part))),
        _ => false,
    };
    let is_doc = first.kind() == "expression_statement" && is_string;
    is_doc.then(|| text.start_position().row..end_line(text))
}

/// Whether a string in quotes is no bytes and has no holes.
fn is_plain(text: &str) -> bool {
    let kinds = text.split(['"', '\'']).next().unwrap_or_default();
    !kinds.contains(['b', 'B', 'f', 'F', 't', 'T'])
}
