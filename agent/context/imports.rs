//! What a file imports of its own repository.

use std::cell::Cell;
use std::collections::HashSet;

use super::paths::Paths;

/// Of a file no more names than these are looked up.
const MOST_NAMES: usize = 500;

/// Looks names up for one file, until there were too many.
struct Names<'a, 'b> {
    paths: &'b Paths<'a>,
    left: Cell<usize>,
}

impl Names<'_, '_> {
    fn may(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn by_module(&self, parts: &[&str]) -> Option<usize> {
        self.may().then(|| self.paths.by_module(parts)).flatten()
    }

    fn by_path(&self, path: &str) -> Option<usize> {
        let mut found = self.may().then(|| self.paths.by_path(path))?.into_iter();
        found.next()
    }

    fn in_folder(&self, folder: &str, extension: &str) -> Vec<usize> {
        let found = self.may().then(|| self.paths.in_folder(folder, extension));
        found.unwrap_or_default()
    }

    fn exact(&self, path: &str) -> Option<usize> {
        self.paths.exact(path)
    }
}

/// The files of its own repository that a file imports, in its order: of each import the module and the names that are taken from it.
pub(super) fn imports<'n>(
    paths: &Paths<'_>,
    path: &str,
    imports: impl Iterator<Item = (&'n str, Vec<&'n str>)>,
) -> Vec<usize> {
    let extension = path.rsplit('.').next().unwrap_or_default();
    let names = &Names {
        paths,
        left: Cell::new(MOST_NAMES),
    };
    let mut found = Vec::new();
    for (module, taken) in imports {
        match extension {
            "py" | "pyi" | "pyx" => python(names, path, module, &taken, &mut found),
            "rs" => rust(names, path, module, &taken, &mut found),
            "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" | "vue" => {
                script(names, path, module, &mut found);
            }
            "go" => found.extend(names.in_folder(module, ".go")),
            "java" | "kt" | "scala" => {
                found.extend(names.by_module(&module.split('.').collect::<Vec<_>>()));
            }
            "php" | "cs" => {
                let parts: Vec<&str> = module
                    .split(['\\', '.'])
                    .filter(|part| !part.is_empty())
                    .collect();
                let file = parts.join("/");
                let ends = if extension == "php" { ".php" } else { ".cs" };
                found.extend(names.by_path(&format!("{file}{ends}")));
            }
            "rb" => {
                let near = relative(path, module).map(|near| format!("{near}.rb"));
                let near = near.and_then(|near| names.exact(&near));
                found.extend(near.or_else(|| names.by_path(&format!("{module}.rb"))));
            }
            _ => {
                found.extend(relative(path, module).and_then(|near| paths.exact(&near)));
                found.extend(names.by_path(module));
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|file| paths.path(*file) != path && seen.insert(*file));
    found
}

fn python(names: &Names<'_, '_>, path: &str, module: &str, taken: &[&str], found: &mut Vec<usize>) {
    let dots = module.len() - module.trim_start_matches('.').len();
    let inner = module.trim_start_matches('.');
    let mut base: Vec<&str> = Vec::new();
    if dots > 0 {
        base = path.split('/').collect();
        base.truncate(base.len().saturating_sub(dots));
    }
    base.extend(inner.split('.').filter(|part| !part.is_empty()));
    if taken.is_empty() {
        found.extend(names.by_module(&base));
    }
    // Each name may be a module of its own.
    for name in taken {
        let mut full = base.clone();
        if *name != "*" {
            full.push(name);
        }
        found.extend(names.by_module(&full));
    }
}

fn rust(names: &Names<'_, '_>, path: &str, module: &str, taken: &[&str], found: &mut Vec<usize>) {
    let parts: Vec<&str> = module
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty() && !["crate", "self", "super"].contains(part))
        .collect();
    if let [name] = parts.as_slice()
        && taken.is_empty()
    {
        // `mod name;`
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
        for base in [folder.to_owned(), format!("{folder}/{stem}")] {
            for form in [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")] {
                found.extend(names.exact(form.trim_start_matches('/')));
            }
        }
    }
    // The first name may be the crate's own, which stands in no path.
    let own = names
        .by_module(&parts)
        .or_else(|| names.by_module(parts.get(1..)?));
    found.extend(own);
}

fn script(names: &Names<'_, '_>, path: &str, name: &str, found: &mut Vec<usize>) {
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
    if !name.starts_with('.') {
        return;
    }
    let Some(base) = relative(path, name) else {
        return;
    };
    let plain = base.trim_end_matches(".js");
    let all = FORMS.iter().map(|form| format!("{base}{form}"));
    let own = all.chain([format!("{plain}.ts"), format!("{plain}.tsx")]);
    found.extend(own.filter_map(|form| names.exact(&form)).take(1));
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
