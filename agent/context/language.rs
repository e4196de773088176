//! What a file's name says of the language in it.

use super::syntax::Grammar;

/// How a language marks what belongs to a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// By indentation.
    Indented,
    /// By braces.
    Braced,
}

/// A language, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// What follows a fence's backticks.
    pub name: &'static str,
    /// What whole files of it are read by; none where no grammar is built in.
    pub grammar: Option<Grammar>,
    /// How definitions are told without a grammar; none for what has no such.
    pub layout: Option<Layout>,
    /// What begins a comment up to the line's end.
    pub comment: &'static str,
}

const LANGUAGES: &[(&str, Language)] = &[
    ("py", indented("python").read_by(Grammar::Python)),
    ("pyi", indented("python").read_by(Grammar::Python)),
    ("pyx", indented("cython")),
    ("rs", braced("rust")),
    ("go", braced("go")),
    ("js", braced("javascript")),
    ("mjs", braced("javascript")),
    ("cjs", braced("javascript")),
    ("jsx", braced("jsx")),
    ("ts", braced("typescript")),
    ("mts", braced("typescript")),
    ("cts", braced("typescript")),
    ("tsx", braced("tsx")),
    ("vue", braced("vue")),
    ("java", braced("java")),
    ("kt", braced("kotlin")),
    ("scala", braced("scala")),
    ("cs", braced("csharp")),
    ("c", braced("c")),
    ("h", braced("c")),
    ("cc", braced("cpp")),
    ("cpp", braced("cpp")),
    ("cxx", braced("cpp")),
    ("hh", braced("cpp")),
    ("hpp", braced("cpp")),
    ("swift", braced("swift")),
    ("dart", braced("dart")),
    ("php", braced("php")),
    ("zig", braced("zig")),
    ("rb", plain("ruby", "#")),
    ("ex", plain("elixir", "#")),
    ("exs", plain("elixir", "#")),
    ("jl", plain("julia", "#")),
    ("r", plain("r", "#")),
    ("sh", plain("bash", "#").read_by(Grammar::Bash)),
    ("bash", plain("bash", "#")),
    ("pl", plain("perl", "#")),
    ("lua", plain("lua", "--")),
    ("hs", plain("haskell", "--")),
    ("sql", plain("sql", "--")),
    ("ml", plain("ocaml", "(*")),
    ("clj", plain("clojure", ";")),
];

impl Language {
    const fn read_by(self, grammar: Grammar) -> Language {
        Language {
            grammar: Some(grammar),
            ..self
        }
    }
}

const fn indented(name: &'static str) -> Language {
    Language {
        name,
        grammar: None,
        layout: Some(Layout::Indented),
        comment: "#",
    }
}

const fn braced(name: &'static str) -> Language {
    Language {
        name,
        grammar: None,
        layout: Some(Layout::Braced),
        comment: "//",
    }
}

const fn plain(name: &'static str, comment: &'static str) -> Language {
    Language {
        name,
        grammar: None,
        layout: None,
        comment,
    }
}

/// The language of a file of that name; none for data, prose and what is not known.
pub fn language(path: &str) -> Option<Language> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, extension) = name.rsplit_once('.')?;
    LANGUAGES
        .iter()
        .find(|(known, _)| extension.eq_ignore_ascii_case(known))
        .map(|(_, language)| *language)
}
