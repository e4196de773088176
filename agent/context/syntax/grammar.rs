//! The grammars that are built in.

use std::sync::OnceLock;

use tree_sitter::Language;

use super::table::{Role, Table};
use super::{c, csharp, go, java, php, python, ruby, rust, script, shell};

/// A language with a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::context) enum Grammar {
    /// Python, stubs included.
    Python,
    /// Rust.
    Rust,
    /// JavaScript, with JSX.
    JavaScript,
    /// TypeScript, without JSX.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// Go.
    Go,
    /// Java.
    Java,
    /// C.
    C,
    /// C++, and headers, which may be either's.
    Cpp,
    /// Ruby.
    Ruby,
    /// PHP, within HTML or without.
    Php,
    /// C#.
    CSharp,
    /// Bash and the shells that it descends from.
    Bash,
}

impl Grammar {
    /// Every grammar, each at its own number's place.
    pub(in crate::context) const ALL: [Grammar; 13] = [
        Grammar::Python,
        Grammar::Rust,
        Grammar::JavaScript,
        Grammar::TypeScript,
        Grammar::Tsx,
        Grammar::Go,
        Grammar::Java,
        Grammar::C,
        Grammar::Cpp,
        Grammar::Ruby,
        Grammar::Php,
        Grammar::CSharp,
        Grammar::Bash,
    ];

    pub(super) fn language(self) -> Language {
        match self {
            Grammar::Python => tree_sitter_python::LANGUAGE,
            Grammar::Rust => tree_sitter_rust::LANGUAGE,
            Grammar::JavaScript => tree_sitter_javascript::LANGUAGE,
            Grammar::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
            Grammar::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            Grammar::Go => tree_sitter_go::LANGUAGE,
            Grammar::Java => tree_sitter_java::LANGUAGE,
            Grammar::C => tree_sitter_c::LANGUAGE,
            Grammar::Cpp => tree_sitter_cpp::LANGUAGE,
            Grammar::Ruby => tree_sitter_ruby::LANGUAGE,
            Grammar::Php => tree_sitter_php::LANGUAGE_PHP,
            Grammar::CSharp => tree_sitter_c_sharp::LANGUAGE,
            Grammar::Bash => tree_sitter_bash::LANGUAGE,
        }
        .into()
    }

    pub(super) fn table(self) -> &'static Table {
        match self {
            Grammar::Python => &python::TABLE,
            Grammar::Rust => &rust::TABLE,
            Grammar::JavaScript | Grammar::TypeScript | Grammar::Tsx => &script::TABLE,
            Grammar::Go => &go::TABLE,
            Grammar::Java => &java::TABLE,
            Grammar::C | Grammar::Cpp => &c::TABLE,
            Grammar::Ruby => &ruby::TABLE,
            Grammar::Php => &php::TABLE,
            Grammar::CSharp => &csharp::TABLE,
            Grammar::Bash => &shell::TABLE,
        }
    }

    /// The role of each kind of node, by the kind's number.
    pub(super) fn roles(self) -> &'static [Role] {
        static ROLES: [OnceLock<Vec<Role>>; Grammar::ALL.len()] =
            [const { OnceLock::new() }; Grammar::ALL.len()];
        let Some(roles) = ROLES.get(self as usize) else {
            return &[];
        };
        roles.get_or_init(|| {
            let (language, kinds) = (self.language(), self.table().kinds);
            let role = |number: usize| {
                let number = u16::try_from(number).ok()?;
                let name = language
                    .node_kind_for_id(number)
                    .filter(|_| language.node_kind_is_named(number))?;
                let (_, role) = kinds.iter().find(|(kind, _)| *kind == name)?;
                Some(*role)
            };
            (0..language.node_kind_count())
                .map(|number| role(number).unwrap_or(Role::Pass))
                .collect()
        })
    }
}
