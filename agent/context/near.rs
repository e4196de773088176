//! How near a test is to what a change touches: whether its file imports the changed ones, straight or through others.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use super::index::Index;
use super::paths::Paths;

/// Imports are followed over so many files: what is farther off is as good as anywhere.
const MOST_STEPS: u32 = 6;
/// How the names of Go's tests go on behind their package.
const GO_KINDS: [&str; 3] = [".Test", ".Example", ".Fuzz"];

/// Which files of a tree import which.
pub struct ImportGraph {
    index: Index,
    /// The files that import each file.
    importers: Vec<Vec<usize>>,
}

/// How far a test is from a change: the nearer, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    /// How many imports lie between.
    steps: u32,
    /// What else the files have to do with each other.
    ties: Reverse<u32>,
}

impl ImportGraph {
    /// Reads a tree.
    ///
    /// # Errors
    ///
    /// When the tree's folder cannot be read.
    pub fn of(tree: &Path) -> io::Result<ImportGraph> {
        let (index, _) = Index::open(tree, tree, None)?;
        let mut importers = vec![Vec::new(); index.files.len()];
        for file in 0..index.files.len() {
            for imported in index.edges.imports(file) {
                if let Some(own) = importers.get_mut(imported) {
                    own.push(file);
                }
            }
        }
        Ok(ImportGraph { index, importers })
    }

    /// The surroundings of a change, by the paths of the files that it touches.
    pub fn around(&self, changed: &[String]) -> Surroundings<'_> {
        let files = self.index.files.iter();
        let paths = Paths::new(files.map(|file| file.path.as_str()).collect(), "");
        let mut steps: HashMap<usize, u32> = HashMap::new();
        let changed: Vec<usize> = changed.iter().filter_map(|path| paths.exact(path)).collect();
        let mut queue: VecDeque<usize> = changed.iter().copied().collect();
        steps.extend(changed.iter().map(|file| (*file, 0)));
        while let Some(file) = queue.pop_front() {
            let own = steps.get(&file).copied().unwrap_or(0);
            if own >= MOST_STEPS {
                continue;
            }
            for importer in self.importers.get(file).into_iter().flatten() {
                steps.entry(*importer).or_insert_with(|| {
                    queue.push_back(*importer);
                    own + 1
                });
            }
        }
        let mut ties: HashMap<usize, u32> = HashMap::new();
        for file in &changed {
            for [other, weight] in self.index.edges.of(*file) {
                let sum = ties.entry(*other as usize).or_default();
                *sum = sum.saturating_add(*weight);
            }
        }
        Surroundings { paths, steps, ties }
    }
}

/// What lies around a change.
pub struct Surroundings<'a> {
    paths: Paths<'a>,
    /// Imports from a file to the nearest changed one.
    steps: HashMap<usize, u32>,
    /// How much files have to do with the changed ones.
    ties: HashMap<usize, u32>,
}

impl Surroundings<'_> {
    /// How far a test is from the change, by the name that its framework has for it; none where nothing leads from one to the other.
    pub fn distance(&self, test: &str) -> Option<Distance> {
        let distance = |file: &usize| {
            let ties = self.ties.get(file).copied().unwrap_or(0);
            let steps = self.steps.get(file).copied();
            let far = (ties > 0).then_some(MOST_STEPS + 1);
            Some(Distance {
                steps: steps.or(far)?,
                ties: Reverse(ties),
            })
        };
        self.files(test).iter().filter_map(distance).min()
    }

    /// The files that a test's name tells of.
    fn files(&self, test: &str) -> Vec<usize> {
        let head = test.split("::").next().unwrap_or(test);
        let head = head.split(" > ").next().unwrap_or(head);
        if head.contains('/') || head.rsplit_once('.').is_some_and(|(_, end)| end.len() <= 4) {
            let named = self.paths.by_path(head);
            if !named.is_empty() {
                return named;
            }
        }
        if let Some((program, inside)) = test.split_once(": ") {
            return self.cargo(program, inside);
        }
        let packages = GO_KINDS.iter().filter_map(|kind| test.find(kind));
        if let Some(package) = packages.min().and_then(|at| test.get(..at)) {
            let found = self.paths.in_folder(package, ".go");
            if !found.is_empty() {
                return found;
            }
        }
        let parts: Vec<&str> = test.split('.').collect();
        self.paths.by_module(&parts).into_iter().collect()
    }

    /// The file of a test of `cargo test`: that of its module, or its program's own.
    fn cargo(&self, program: &str, test: &str) -> Vec<usize> {
        let mut modules: Vec<&str> = test.split("::").collect();
        modules.pop();
        while modules
            .last()
            .is_some_and(|last| *last == "tests" || *last == "test")
        {
            modules.pop();
        }
        let own = program
            .split([' ', '(', ')'])
            .filter(|word| word.ends_with(".rs"));
        let own: Vec<usize> = own
            .filter_map(|path| self.paths.by_path(path).first().copied())
            .collect();
        if modules.is_empty() {
            return own;
        }
        self.paths.by_module(&modules).map_or(own, |file| vec![file])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_as_far_as_their_imports_lead() {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("pkg/__init__.py", ""),
            ("pkg/core.py", "def split_words(text):\n    return text.split()\n"),
            (
                "pkg/report.py",
                "from pkg.core import split_words\n\ndef report(text):\n    return split_words(text)\n",
            ),
            ("pkg/other.py", "def unrelated():\n    return 1\n"),
            ("tests/test_core.py", "from pkg.core import split_words\n"),
            ("tests/test_report.py", "import pkg.report\n"),
            ("tests/test_other.py", "import pkg.other\n"),
            ("src/lib.rs", "pub mod shapes;\n"),
            ("src/shapes.rs", "pub fn area() {}\n"),
            ("tool/tool.go", "package tool\n"),
            ("web/src/a.js", "export const a = 1;\n"),
            ("web/src/a.test.js", "import { a } from './a';\n"),
        ] {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let graph = ImportGraph::of(tree.path()).unwrap();
        let steps = |changed: &str, test: &str| {
            let around = graph.around(&[changed.to_owned()]);
            around.distance(test).map(|distance| distance.steps)
        };
        let core = "pkg/core.py";
        assert_eq!(steps(core, "tests/test_core.py::test_words[a b]"), Some(1));
        assert_eq!(steps(core, "tests.test_core.CoreTest.test_words"), Some(1));
        assert_eq!(steps(core, "tests/test_report.py::test_all"), Some(2));
        assert_eq!(steps(core, "tests/test_other.py::test_all"), None);
        assert_eq!(
            steps("src/shapes.rs", "tool src/lib.rs: shapes::tests::is_empty"),
            Some(0)
        );
        assert_eq!(steps("tool/tool.go", "example.com/tool.TestTool/sub"), Some(0));
        assert_eq!(steps("web/src/a.js", "web/src/a.test.js > adds > one"), Some(1));
        for odd in ["", "::", ": ", ".Test", "make test", "(broke)"] {
            assert_eq!(steps(core, odd), None, "{odd}");
        }
    }
}
