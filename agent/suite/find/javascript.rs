//! package.json's own test script, by the package manager whose lock file is there.

use std::path::Path;

use super::{found, text};
use crate::suite::types::{Framework, TestCommand};
use crate::suite::words::framework;

pub(super) fn find(tree: &Path) -> Option<TestCommand> {
    let package: serde_json::Value = serde_json::from_str(&text(&tree.join("package.json"))).ok()?;
    let script = package.get("scripts")?.get("test")?.as_str()?;
    // What `npm init` writes is no test.
    if script.trim().is_empty() || script.contains("no test specified") {
        return None;
    }
    let has = |name: &str| tree.join(name).is_file();
    let manager = if has("pnpm-lock.yaml") {
        "pnpm"
    } else if has("yarn.lock") {
        "yarn"
    } else {
        "npm"
    };
    let kind = match framework(script) {
        Framework::Jest => Framework::Jest,
        _ => Framework::Other,
    };
    Some(found(
        &format!("{manager} test"),
        kind,
        "package.json has a script `test`",
    ))
}
