//! What a file imports of its own repository.

use std::cell::Cell;
use std::collections::HashSet;

use super::mentions::Index;

/// Of a file no more names than these are looked up.
const MOST_NAMES: usize = 500;

/// Looks names up for one file, until there were too many.
struct Names<'a, 'b> {
    index: &'b Index<'a>,
    left: Cell<usize>,
}

impl Names<'_, '_> {
    fn may(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn by_module(&self, parts: &[&str]) -> Option<usize> {
        self.may().then(|| self.index.by_module(parts)).flatten()
    }

    fn by_path(&self, path: &str) -> Option<usize> {
        let mut found = self.may().then(|| self.index.by_path(path))?.into_iter();
        found.next()
    }

    fn in_folder(&self, folder: &str, extension: &str) -> Vec<usize> {
        let found = self.may().then(|| self.index.in_folder(folder, extension));
        found.unwrap_or_default()
    }

    fn exact(&self, path: &str) -> Option<usize> {
        self.index.exact(path)
    }
}

/// The files that a file imports, in its order.
pub(super) fn imports(index: &Index<'_>, path: &str, text: &str) -> Vec<usize> {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let names = &Names {
        index,
        left: Cell::new(MOST_NAMES),
    };
    let mut found = Vec::new();
    for line in text.lines().take(5000) {
        let line = line.trim();
        match extension {
            "py" | "pyi" | "pyx" => python(names, path, line, &mut found),
            "rs" => rust(names, path, line, &mut found),
            "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "vue" => {
                script(names, path, line, &mut found)
            }
            "go" => go(names, line, &mut found),
            "java" | "kt" | "scala" => {
                if let Some(rest) = line.strip_prefix("import ") {
                    let name = rest.trim_start_matches("static ").trim_end_matches(';');
                    found.extend(names.by_module(&name.split('.').collect::<Vec<_>>()));
                }
            }
            _ => {
                if let Some(rest) = line.strip_prefix("#include \"") {
                    let name = rest.split('"').next().unwrap_or_default();
                    found.extend(relative(path, name).and_then(|near| index.exact(&near)));
                    found.extend(names.by_path(name));
                }
            }
        }
    }
    let mut seen = HashSet::new();
    let mut once = Vec::new();
    for file in found {
        if index.path(file) != path && seen.insert(file) {
            once.push(file);
        }
    }
    once
}

fn python(names: &Names<'_, '_>, path: &str, line: &str, found: &mut Vec<usize>) {
    if let Some(rest) = line.strip_prefix("from ") {
        let Some((module, imported)) = rest.split_once(" import ") else {
            return;
        };
        let module = module.trim();
        let dots = module.len() - module.trim_start_matches('.').len();
        let inner = module.trim_start_matches('.');
        let mut base: Vec<&str> = Vec::new();
        if dots > 0 {
            base = path.split('/').collect();
            base.truncate(base.len().saturating_sub(dots));
        }
        base.extend(inner.split('.').filter(|part| !part.is_empty()));
        // Each name may be a module of its own.
        for name in imported.split([',', '(', ')']).map(str::trim) {
            let name = name.split(' ').next().unwrap_or_default();
            let mut full = base.clone();
            if !name.is_empty() && name != "*" {
                full.push(name);
            }
            found.extend(names.by_module(&full));
        }
    } else if let Some(rest) = line.strip_prefix("import ") {
        for module in rest.split(',') {
            let module = module.trim().split(' ').next().unwrap_or_default();
            found.extend(names.by_module(&module.split('.').collect::<Vec<_>>()));
        }
    }
}

fn rust(names: &Names<'_, '_>, path: &str, line: &str, found: &mut Vec<usize>) {
    let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
    if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
        for base in [folder.to_owned(), format!("{folder}/{stem}")] {
            for form in [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")] {
                found.extend(names.exact(form.trim_start_matches('/')));
            }
        }
    } else if let Some(rest) = line.strip_prefix("use ") {
        let head = rest.split(['{', ';']).next().unwrap_or_default();
        let parts: Vec<&str> = head
            .split("::")
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        let inner: Vec<&str> = parts
            .iter()
            .copied()
            .filter(|part| !["crate", "self", "super"].contains(part))
            .collect();
        // The first name may be the crate's own, which stands in no path.
        found.extend(
            names
                .by_module(&inner)
                .or_else(|| names.by_module(inner.get(1..)?)),
        );
    }
}

fn script(names: &Names<'_, '_>, path: &str, line: &str, found: &mut Vec<usize>) {
    if !line.contains("from") && !line.contains("require(") && !line.contains("import") {
        return;
    }
    for name in line
        .split(['"', '\'', '`'])
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with('.'))
    {
        let Some(base) = relative(path, name) else {
            continue;
        };
        const FORMS: &[&str] = &[
            "",
            ".js",
            ".ts",
            ".jsx",
            ".tsx",
            ".mjs",
            ".cjs",
            ".vue",
            "/index.js",
            "/index.ts",
            "/index.tsx",
        ];
        let plain = base.trim_end_matches(".js");
        let all = FORMS.iter().map(|form| format!("{base}{form}"));
        let own = all.chain([format!("{plain}.ts"), format!("{plain}.tsx")]);
        found.extend(own.filter_map(|form| names.exact(&form)).take(1));
    }
}

fn go(names: &Names<'_, '_>, line: &str, found: &mut Vec<usize>) {
    let Some(name) = line.split('"').nth(1) else {
        return;
    };
    let is_import = line.starts_with("import") || line.ends_with('"');
    if is_import && name.contains('/') {
        found.extend(names.in_folder(name, ".go"));
    }
}

/// A path that stands relative to a file's folder.
fn relative(path: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
