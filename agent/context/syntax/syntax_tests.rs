//! Tests of reading texts by grammars.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::context::definitions::definitions;
use crate::context::language::language;

const UPDATE: &str = "CWM_UPDATE_SNAPSHOTS";

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent/context/syntax/fixtures");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension != "outline"));
    found.sort();
    found
}

/// An outline as lines that a person can check; lines are counted from 1, and a range's last one is in it.
fn shown(text: &str, outline: &Outline) -> String {
    let mut shown = String::new();
    for one in &outline.definitions {
        let doc = one.doc.clone();
        let doc = doc.map_or(String::new(), |doc| {
            format!(", doc {}-{}", doc.start + 1, doc.end)
        });
        writeln!(
            shown,
            "{:?} {}: {}-{}, header {}, body {}, indent {}{doc}",
            one.kind,
            one.full_name,
            one.start + 1,
            one.end,
            one.header + 1,
            one.body + 1,
            one.indent
        )
        .unwrap();
    }
    for one in &outline.imports {
        let relative = if one.is_relative { " from here" } else { "" };
        writeln!(shown, "import {} {:?}{relative}", one.module, one.names).unwrap();
    }
    for range in &outline.prose {
        writeln!(shown, "prose {:?}", &text[range.clone()]).unwrap();
    }
    shown
}

#[test]
fn every_language_is_read_as_its_sample_says() {
    let samples = samples();
    for path in &samples {
        let text = std::fs::read_to_string(path).unwrap();
        let grammar = language(path.to_str().unwrap()).unwrap().grammar.unwrap();
        let found = outline(&text, grammar);
        check(&text, &found);
        let found = shown(&text, &found);
        let expected = path.with_added_extension("outline");
        if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
            std::fs::write(&expected, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(found, expected, "{}", path.display());
    }
    let read = |grammar: &&Grammar| {
        let is_own = |path: &PathBuf| language(path.to_str().unwrap()).unwrap().grammar == Some(**grammar);
        samples.iter().any(is_own)
    };
    assert_eq!(Grammar::ALL.iter().filter(read).count(), Grammar::ALL.len());
}

/// What holds of every outline.
fn check(text: &str, outline: &Outline) {
    let lines = text.lines().count().max(1);
    let mut before = 0;
    for one in &outline.definitions {
        assert!(before <= one.start, "{one:?}");
        before = one.start;
        let in_order = one.start <= one.header && one.header < one.body && one.body <= one.end;
        assert!(in_order && one.end <= lines, "{one:?} of {lines} lines");
        assert!(
            one.full_name
                .ends_with(&one.name.replace("::", ".").replace('\\', ".")),
            "{one:?}"
        );
        let line = text.split('\n').nth(one.header).unwrap();
        assert!(line.is_char_boundary(one.indent), "{one:?}");
        if let Some(doc) = &one.doc {
            assert!(
                doc.start < doc.end && doc.end <= lines,
                "{one:?} of {lines} lines"
            );
        }
    }
    let mut before = 0;
    for range in &outline.prose {
        assert!(before <= range.start && range.start < range.end, "{range:?}");
        assert!(text.get(range.clone()).is_some(), "{range:?}");
        before = range.end;
    }
}

#[test]
fn each_role_names_a_node_of_a_grammar_that_has_the_table() {
    let mut missing = Vec::new();
    for grammar in Grammar::ALL {
        for (kind, _) in grammar.table().kinds {
            let has = |other: &Grammar| {
                std::ptr::eq(grammar.table(), other.table())
                    && other.language().id_for_node_kind(kind, true) != 0
            };
            if !Grammar::ALL.iter().any(has) {
                missing.push((grammar, *kind));
            }
        }
    }
    assert_eq!(missing, []);
}

#[test]
fn whole_files_are_told_by_their_grammar_and_others_by_layout() {
    let names = |path: &str, text: &str| -> Vec<String> {
        let found = definitions(text, &language(path).unwrap());
        found.into_iter().map(|one| one.full_name).collect()
    };
    let text = "LIMIT = 1\nclass A:\n    size = 2\n    def b(self): pass\n";
    assert_eq!(names("a.py", text), ["A", "A.b"]);
    assert_eq!(names("a.pyx", "cpdef f(x):\n    pass\n"), ["f"]);
    assert_eq!(names("a.kt", "class A {\n  fun b() {\n  }\n}\n"), ["A", "A.b"]);
    assert_eq!(names("a.rb", "class A\n  def b; end\nend\n"), ["A", "A.b"]);
    assert_eq!(names("a.sql", "select 1"), Vec::<String>::new());
    let trait_of_two = "trait A {\n    fn b();\n    fn c() {}\n}\n";
    assert_eq!(names("a.rs", trait_of_two), ["A", "A.c"]);
}

#[test]
fn a_broken_text_is_read_around_what_is_broken() {
    let text = "def a():\n    return (\n\ndef b():\n    return 1\n\nclass C:\n    def d(self):\n        x = = 1\n\n    def e(self):\n        pass\n";
    let found = outline(text, Grammar::Python);
    let names: Vec<&str> = found
        .definitions
        .iter()
        .map(|one| one.full_name.as_str())
        .collect();
    assert!(names.contains(&"C.e") && names.contains(&"b"), "{names:?}");
}

#[test]
fn a_reader_may_change_its_language_and_goes_on_after_what_it_gives_up() {
    let mut reader = Reader::default();
    let python = "def a(): pass\n";
    for _ in 0..2 {
        assert_eq!(reader.outline(python, Grammar::Python).definitions.len(), 1);
        assert_eq!(reader.outline("fn a() {}\n", Grammar::Rust).definitions.len(), 1);
        assert_eq!(
            reader.outline(&"x".repeat((1 << 20) + 1), Grammar::Rust),
            Outline::default()
        );
        assert_eq!(
            reader.outline(&"a<".repeat(20_000), Grammar::Java),
            Outline::default()
        );
        assert_eq!(
            reader.outline("def a(): '\0'\n", Grammar::Python),
            Outline::default()
        );
    }
}

#[test]
fn what_people_write_is_not_too_hard() {
    let loops = "for (int i = 0; i < n; i++) { std::cout << a << b; x->y(i <= 2); }\n".repeat(500);
    assert!(!limits::is_too_hard(&loops, Grammar::Cpp));
    let table = "    [KEY] = 0x00, /* <a> */\n".repeat(10_000);
    assert!(!limits::is_too_hard(&table, Grammar::C));
    let calls = "value = function(first, second)\n".repeat(10_000);
    assert!(!limits::is_too_hard(&calls, Grammar::Python));
    assert!(limits::is_too_hard(&"a<b;\n".repeat(3_000), Grammar::TypeScript));
    assert!(limits::is_too_hard(&"(".repeat(2_000), Grammar::Python));
}

#[test]
fn deep_and_odd_texts_do_no_harm() {
    let mut reader = Reader::default();
    let deep = |open: &str| open.repeat(100_000 / open.len());
    let texts = [
        deep("("),
        deep("["),
        deep("{"),
        deep("a("),
        deep("a<"),
        deep("a=>"),
        deep("(a)"),
        deep("- "),
        "a<".repeat(900) + &";\n".repeat(100),
        ("a<".repeat(900) + ";\n").repeat(20),
        deep("if a:\n"),
        deep("\"${"),
        deep("f'{"),
        deep("é\u{feff}\r"),
        (0..300)
            .map(|depth| format!("{}class A:\n", " ".repeat(depth)))
            .collect(),
        deep("function f() {"),
        deep("mod a { "),
        format!("def {}(): pass", "a".repeat(100_000)),
        deep("x=1\n"),
        deep("/*"),
        deep("<<A\n"),
    ];
    for grammar in Grammar::ALL {
        for text in &texts {
            let found = reader.outline(text, grammar);
            check(text, &found);
            assert!(found.definitions.len() <= 8000);
            assert!(found.definitions.iter().all(|one| one.full_name.len() <= 1000));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_text_has_an_outline_within_itself(
        text in "\\PC{0,200}|[\\x00-\\x7f\\n\"'é]{0,200}|(def |class |fn |func |function |impl |struct |import |from |use |#define |#|//|/\\*|\\*/|@|\"|'|`|\\$\\{|f\"|<<A\n|end|\\{|\\}|\\n|\\r\\n|    | |x|é|=|\\(|\\)|:|;|,|'''|\u{0}){0,80}"
    ) {
        let mut reader = Reader::default();
        for grammar in Grammar::ALL {
            check(&text, &reader.outline(&text, grammar));
        }
    }
}
