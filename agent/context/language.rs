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
    pub(super) grammar: Option<Grammar>,
    /// How definitions are told without a grammar; none for what has no such.
    pub layout: Option<Layout>,
    /// What begins a comment up to the line's end.
    pub comment: &'static str,
}

const LANGUAGES: &[(&str, Language)] = &[
    ("py", indented("python").read_by(Grammar::Python)),
    ("pyi", indented("python").read_by(Grammar::Python)),
    ("pyx", indented("cython")),
    ("rs", braced("rust").read_by(Grammar::Rust)),
    ("go", braced("go").read_by(Grammar::Go)),
    ("js", braced("javascript").read_by(Grammar::JavaScript)),
    ("mjs", braced("javascript").read_by(Grammar::JavaScript)),
    ("cjs", braced("javascript").read_by(Grammar::JavaScript)),
    ("jsx", braced("jsx").read_by(Grammar::JavaScript)),
    ("ts", braced("typescript").read_by(Grammar::TypeScript)),
    ("mts", braced("typescript").read_by(Grammar::TypeScript)),
    ("cts", braced("typescript").read_by(Grammar::TypeScript)),
    ("tsx", braced("tsx").read_by(Grammar::Tsx)),
    ("vue", braced("vue")),
    ("java", braced("java").read_by(Grammar::Java)),
    ("kt", braced("kotlin")),
    ("scala", braced("scala")),
    ("cs", braced("csharp").read_by(Grammar::CSharp)),
    ("c", braced("c").read_by(Grammar::C)),
    ("h", braced("c").read_by(Grammar::Cpp)),
    ("cc", braced("cpp").read_by(Grammar::Cpp)),
    ("cpp", braced("cpp").read_by(Grammar::Cpp)),
    ("cxx", braced("cpp").read_by(Grammar::Cpp)),
    ("hh", braced("cpp").read_by(Grammar::Cpp)),
    ("hpp", braced("cpp").read_by(Grammar::Cpp)),
    ("swift", braced("swift")),
    ("dart", braced("dart")),
    ("php", braced("php").read_by(Grammar::Php)),
    ("zig", braced("zig")),
    ("rb", plain("ruby", "#").read_by(Grammar::Ruby)),
    ("ex", plain("elixir", "#")),
    ("exs", plain("elixir", "#")),
    ("jl", plain("julia", "#")),
    ("r", plain("r", "#")),
    (
        "sh",
        plain("bash", "#").read_by(Grammar::Bash).read_by(Grammar::Bash),
    ),
    ("bash", plain("bash", "#").read_by(Grammar::Bash)),
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
