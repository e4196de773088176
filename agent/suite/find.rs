//! How a repository is tested, guessed from its files.

use std::path::Path;

use super::types::{CommandSource, Framework, TestCommand};

/// The commands that run the tests of a tree, the most telling first; empty when nothing gives one away.
pub fn find(tree: &Path) -> Vec<TestCommand> {
    let found = |command: &str, framework: Framework, reason: &str| TestCommand {
        command: command.to_owned(),
        framework,
        source: CommandSource::Found {
            reason: reason.to_owned(),
        },
    };
    let mut commands = Vec::new();
    if tree.join("Cargo.toml").is_file() {
        commands.push(found("cargo test", Framework::Cargo, "there is a Cargo.toml"));
    }
    commands
}

impl TestCommand {
    /// A command that the user gave; its framework is told from its words.
    pub fn given(command: &str) -> TestCommand {
        TestCommand {
            command: command.to_owned(),
            framework: Framework::Other,
            source: CommandSource::Given,
        }
    }
}
