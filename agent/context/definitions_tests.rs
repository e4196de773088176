//! Tests of finding definitions.

use super::*;

fn found(text: &str, layout: Layout) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    scanned(&lines, layout)
        .into_iter()
        .map(|definition| {
            let (start, header, end) = (definition.start + 1, definition.header + 1, definition.end);
            format!("{} {start}/{header}-{end}", definition.full_name)
        })
        .collect()
}

#[test]
fn python_is_told_by_indentation() {
    let text = "\
import os

@cache
@other(1)
def first(
    a,
    b=\"x\",
):
    '''Text.

def not_a_function():
    '''
    return a
# Not its own.

class Thing(Base):
    x = 1

    def method(self):
        def inner(): return 1
        # Its own.

        return inner

    async def other(self): pass
def last(): return 2
";
    assert_eq!(
        found(text, Layout::Indented),
        [
            "first 3/5-13",
            "Thing 16/16-25",
            "Thing.method 19/19-23",
            "Thing.method.inner 20/20-20",
            "Thing.other 25/25-25",
            "last 26/26-26",
        ]
    );
}

#[test]
fn braces_tell_rust() {
    let text = "\
use std::fmt;
/// Text with { a brace.
#[derive(Debug)]
pub struct Point<'a> {
    name: &'a str,
}

impl<'a> fmt::Display for Point<'a> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.name == \"{\" { return Ok(()); }
        let c = '{';
        match c { '}' => {} _ => {} }
        write!(f, \"{}\", self.name)
    }
}
pub(crate) fn main() {}
";
    assert_eq!(
        found(text, Layout::Braced),
        [
            "Point 3/4-6",
            "Point 8/8-16",
            "Point.fmt 9/10-15",
            "main 17/17-17"
        ]
    );
}

#[test]
fn braces_tell_other_languages() {
    let go = "package p\n\nfunc (s *Stack[T]) Push(x T) {\n\ts.v = append(s.v, x)\n}\n\nfunc Max(a, b int) (int, error) {\n\tfor {\n\t}\n}\n\ntype Stack struct {\n}\n";
    assert_eq!(
        found(go, Layout::Braced),
        ["Stack.Push 3/3-5", "Max 7/7-10", "Stack 12/12-13"]
    );
    let js = "export class A extends B {\n  static get(a, { b }) {\n    return `{${a}`;\n  }\n}\nconst f = async (x) => {\n  g(() => { x; });\n};\nfunction h() { return 1 }\nmodule.exports = function () { };\n";
    assert_eq!(
        found(js, Layout::Braced)[..2],
        ["A 1/1-5".to_owned(), "f 6/6-8".to_owned()]
    );
    let java = "class A {\n  @Override\n  public List<String> names(int x) throws E {\n    while (true) { }\n  }\n}\n";
    assert_eq!(found(java, Layout::Braced), ["A 1/1-6", "A.names 2/3-5"]);
    let c = "int max(int a, int b)\n{\n  /* } */\n  return a > b ? a : b;\n}\n";
    assert_eq!(found(c, Layout::Braced), ["max 1/1-5"]);
}

proptest::proptest! {
    #[test]
    fn any_text_has_definitions_within_itself(text in "[a-z \\t\\n{}()'\"`/*#@=:;é\\\\]{0,200}|(def |class |fn |func |\\{|\\}|\\n| |x|\\(|\\)|:|'''){0,60}") {
        let lines: Vec<&str> = text.lines().collect();
        for layout in [Layout::Indented, Layout::Braced] {
            for definition in scanned(&lines, layout) {
                proptest::prop_assert!(definition.start <= definition.header && definition.header < definition.end && definition.end <= lines.len());
            }
        }
    }
}

#[test]
fn definitions_in_one_another_stay_few_and_small() {
    let text = "a(){".repeat(250_000);
    let found = scanned(&[text.as_str()], Layout::Braced);
    assert!((1..=4000).contains(&found.len()));
    assert!(found.iter().all(|one| one.full_name.len() < 1000));
    let text: String = (0..300)
        .map(|depth| format!("{}def f():\n", " ".repeat(depth)))
        .collect();
    let lines: Vec<&str> = text.lines().collect();
    let found = scanned(&lines, Layout::Indented);
    assert!((1..=4000).contains(&found.len()));
    assert!(found.iter().all(|one| one.full_name.len() < 1000));
}

#[test]
fn a_header_that_is_never_closed_ends() {
    let lines = vec!["def f("; 50_000];
    let found = scanned(&lines, Layout::Indented);
    assert_eq!(found.len(), 4000);
    assert!(found.iter().all(|one| one.end - one.start <= 202));
}
