//! A text's code without what does not change what it does: comments, layout, kinds of quotes, doc strings, and the names of locals.
//!
//! Two texts with the same form do the same; two with different forms may still do. Names of locals are told only where a grammar says
//! plainly what binds them (Python, Rust, scripts, Go); parameters keep theirs, which callers may use.

use std::collections::{BTreeMap, BTreeSet};

use tree_sitter::Node;

use super::{Grammar, Reader};

/// Where names are bound: the node's kind, and its field that holds them.
const BINDINGS: [(&str, &str); 10] = [
    ("assignment", "left"),
    ("for_statement", "left"),
    ("for_in_clause", "left"),
    ("named_expression", "name"),
    ("as_pattern", "alias"),
    ("let_declaration", "pattern"),
    ("for_expression", "pattern"),
    ("variable_declarator", "name"),
    ("for_in_statement", "left"),
    ("short_var_declaration", "left"),
];
/// What has locals of its own.
const FUNCTIONS: [&str; 8] = [
    "function_definition",
    "function_item",
    "function_declaration",
    "method_definition",
    "method_declaration",
    "arrow_function",
    "function_expression",
    "func_literal",
];
/// What names are declared in that are no locals.
const FOREIGN: [&str; 6] = [
    "parameters",
    "formal_parameters",
    "parameter_list",
    "lambda_parameters",
    "global_statement",
    "nonlocal_statement",
];
/// Deeper code is left as it is.
const MOST_DEPTH: usize = 400;

/// The form of a text; none where it cannot be read.
pub(in crate::context) fn canonical(text: &str, grammar: Grammar) -> Option<String> {
    let tree = Reader::default().parse(text, grammar)?;
    let mut form = Form {
        text,
        out: String::with_capacity(text.len()),
        names: None,
        too_deep: false,
    };
    form.write(tree.root_node(), 0);
    (!form.too_deep && !tree.root_node().has_error()).then_some(form.out)
}

struct Form<'t> {
    text: &'t str,
    out: String,
    /// New names of the locals of the function that is being written.
    names: Option<BTreeMap<&'t str, usize>>,
    too_deep: bool,
}

impl<'t> Form<'t> {
    fn write(&mut self, node: Node<'_>, depth: usize) {
        if depth > MOST_DEPTH {
            self.too_deep = true;
            return;
        }
        if node.is_extra() || node.kind().contains("comment") || is_doc_string(node) {
            return;
        }
        let outermost = self.names.is_none() && FUNCTIONS.contains(&node.kind());
        if outermost {
            self.names = Some(self.locals(node));
        }
        if node.child_count() == 0 {
            self.leaf(node);
        } else {
            // Which statement stands within which is layout in some languages.
            let holds = node.is_named();
            if holds {
                self.out.push('(');
            }
            let mut cursor = node.walk();
            for child in node.children(&mut cursor) {
                self.write(child, depth + 1);
            }
            if holds {
                self.out.push(')');
            }
        }
        if outermost {
            self.names = None;
        }
    }

    fn leaf(&mut self, node: Node<'_>) {
        let word = self.word(node);
        let renamed = self
            .names
            .as_ref()
            .filter(|_| node.kind() == "identifier" && !is_attribute(node))
            .and_then(|names| names.get(word));
        match (renamed, node.kind()) {
            (Some(number), _) => self.out.push_str(&format!("local{number}")),
            // The content's own quotes are escaped one way or the other; only plain ones are made alike.
            (None, "string_start" | "string_end" | "\"" | "'") => {
                self.out.push_str(&word.replace('\'', "\""));
            }
            (None, _) => self.out.push_str(word),
        }
        self.out.push(' ');
    }

    fn word(&self, node: Node<'_>) -> &'t str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// The names that a function binds and that nothing outside can see, numbered in the order of their first binding.
    fn locals(&self, function: Node<'_>) -> BTreeMap<&'t str, usize> {
        let (mut bound, mut foreign) = (Vec::new(), BTreeSet::new());
        let mut open = vec![function];
        while let Some(node) = open.pop() {
            if FOREIGN.contains(&node.kind()) {
                foreign.extend(self.identifiers(node));
            }
            if let Some((_, field)) = BINDINGS.iter().find(|(kind, _)| *kind == node.kind())
                && let Some(target) = node.child_by_field_name(field)
            {
                bound.extend(self.identifiers(target));
            }
            open.extend(children_reversed(node));
        }
        let mut names = BTreeMap::new();
        for name in bound.into_iter().filter(|name| !foreign.contains(name)) {
            let next = names.len();
            names.entry(name).or_insert(next);
        }
        names
    }

    /// The plain names within a pattern: what is behind a dot or in an index is bound elsewhere.
    fn identifiers(&self, node: Node<'_>) -> Vec<&'t str> {
        let mut found = Vec::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            match node.kind() {
                "identifier" => found.push(self.word(node)),
                "attribute"
                | "subscript"
                | "member_expression"
                | "field_expression"
                | "selector_expression"
                | "type"
                | "default_value" => {}
                _ => {
                    open.extend(children_reversed(node));
                }
            }
        }
        found
    }
}

/// A node's children, the last first: what is put on a stack comes off it in the order of the text.
fn children_reversed(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    (0..node.child_count())
        .rev()
        .filter_map(move |index| node.child(index))
}

/// A text that stands alone as a statement.
fn is_doc_string(node: Node<'_>) -> bool {
    node.kind() == "expression_statement"
        && node.named_child_count() == 1
        && node.named_child(0).is_some_and(|only| only.kind() == "string")
}

/// Whether a name is looked up in something, or names an argument.
fn is_attribute(node: Node<'_>) -> bool {
    node.parent().is_some_and(|parent| {
        let is = |field: &str| parent.child_by_field_name(field) == Some(node);
        match parent.kind() {
            "attribute" => is("attribute"),
            "keyword_argument" => is("name"),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(grammar: Grammar, one: &str, other: &str) -> bool {
        canonical(one, grammar).unwrap() == canonical(other, grammar).unwrap()
    }

    #[test]
    fn layout_comments_quotes_and_locals_do_not_count() {
        let one = "def f(xs):\n    \"\"\"Doc.\"\"\"\n    total = 0\n    for x in xs:  # each\n        total += x.total\n    return g(total=total, s='a')\n";
        let other = "def f( xs ):\n    s = 0\n\n    for item in xs:\n        s += item.total\n    return g(total=s,\n             s=\"a\")\n";
        assert!(same(Grammar::Python, one, other));
    }

    #[test]
    fn what_does_something_counts() {
        let base = "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n";
        for other in [
            base.replace("+=", "-="),
            base.replace("= 0", "= 1"),
            base.replace("xs", "ys"),
            base.replace("    return", "        return"),
            base.replace("total = 0", "global total\n    total = 0"),
            base.replace("+= x", "+= x.x"),
        ] {
            assert!(!same(Grammar::Python, base, &other), "{other}");
        }
        // Swapped names are other code.
        assert!(!same(
            Grammar::Python,
            "def f():\n    a = 1\n    b = 2\n    return a\n",
            "def f():\n    a = 1\n    b = 2\n    return b\n"
        ));
    }

    #[test]
    fn other_languages_have_locals_too() {
        assert!(same(
            Grammar::Rust,
            "fn f(a: u8) -> u8 { let b = a; b }",
            "fn f(a: u8) -> u8 {\n  // same\n  let c = a;\n  c\n}"
        ));
        assert!(!same(
            Grammar::Rust,
            "fn f(a: u8) -> u8 { let b = a; b }",
            "fn f(a: u8) -> u8 { let b = a; a }"
        ));
        assert!(same(
            Grammar::JavaScript,
            "function f() { const a = 1; return a }",
            "function f() { const b = 1; return b }"
        ));
        assert!(same(
            Grammar::Go,
            "package p\nfunc f() int { a := 1; return a }",
            "package p\nfunc f() int { b := 1; return b }"
        ));
    }

    #[test]
    fn what_cannot_be_read_has_no_form() {
        assert_eq!(canonical("def f(:\n", Grammar::Python), None);
        assert_eq!(canonical(&"(".repeat(5000), Grammar::Python), None);
    }
}
