//! What the one-shot strategy says to a model.

use minijinja::context;

use super::{PromptError, Prompts};

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFormat {
    /// SEARCH/REPLACE blocks.
    Blocks,
    /// Whole functions, in a code block.
    Function,
    /// One function, whose body is not shown, in a code block.
    Rewrite,
    /// The whole file, in a code block.
    File,
}

impl AnswerFormat {
    /// What templates call it.
    fn name(self) -> &'static str {
        match self {
            AnswerFormat::Blocks => "blocks",
            AnswerFormat::Function => "function",
            AnswerFormat::Rewrite => "rewrite",
            AnswerFormat::File => "file",
        }
    }
}

/// What sets a sample's prompt apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskFor {
    /// The form of the answer.
    pub format: AnswerFormat,
    /// Whether the bug is to be named first.
    pub explain: bool,
    /// Where to look: a name that the request's template knows, or empty.
    pub hint: &'static str,
}

/// A part of a file, as the request shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// The file, relative to the root.
    pub path: String,
    /// What follows the fence's backticks.
    pub language: String,
    /// The lines, without the last one's end.
    pub text: String,
    /// The number of the first one, from 1.
    pub first_line: usize,
    /// The number of the last one.
    pub last_line: usize,
    /// Lines of the whole file.
    pub file_lines: usize,
    /// Whether that is all of it.
    pub whole: bool,
    /// Whether it holds tests.
    pub is_test: bool,
    /// Whether a part of it is hidden.
    pub hidden: bool,
}

/// What a repository tells those who work on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownGuidance {
    /// The file.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A request's values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneShotRequest {
    /// Files, the likeliest first.
    pub files: Vec<ShownFile>,
    /// What the repository tells those who work on it.
    pub guidance: Vec<ShownGuidance>,
    /// What is to be mended.
    pub issue: String,
    /// What failing tests say; empty when that is not known.
    pub failures: String,
    /// The function that is to be written again, and its file; else empty.
    pub rewrite: (String, String),
    /// The tests that it must pass, where they are shown apart from the files.
    pub tests: Vec<ShownFile>,
}

/// What tests of the issue are asked for with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestsRequest {
    /// Files, the likeliest first.
    pub files: Vec<ShownFile>,
    /// Tests that pass, which show how the code is used.
    pub tests: Vec<ShownFile>,
    /// What is to be mended.
    pub issue: String,
    /// The function that the issue is about; else empty.
    pub name: String,
    /// Diffs that tests are to tell apart, if that is what they are for.
    pub rivals: Vec<String>,
    /// How many tests are asked for.
    pub most: usize,
}

/// Where a test of the issue goes in the repository's own framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFilePlace {
    /// The file, relative to the root.
    pub path: String,
    /// What the framework is called.
    pub framework: String,
    /// What follows a fence's backticks.
    pub language: String,
    /// What the file begins with; empty where that is not known.
    pub head: String,
    /// A test of the repository's, or its beginning.
    pub example: Option<ShownFile>,
    /// What runs the file alone.
    pub command: String,
}

impl ShownFile {
    fn variables(&self) -> minijinja::Value {
        let ShownFile {
            path,
            language,
            text,
            first_line,
            last_line,
            file_lines,
            whole,
            ..
        } = self;
        context! { path, language, text, first_line, last_line, file_lines, whole }
    }
}

impl Prompts {
    /// The one-shot strategy's system prompt.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_system(&self, ask: AskFor) -> Result<String, PromptError> {
        let AskFor { format, explain, .. } = ask;
        let format = format.name();
        self.render("one_shot_system", context! { format, explain })
    }

    /// The example's request and its answer.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_example(&self, ask: AskFor) -> Result<[String; 2], PromptError> {
        let AskFor { format, explain, .. } = ask;
        let format = format.name();
        let part = |part: &str| self.render("one_shot_example", context! { part, format, explain });
        Ok([part("request")?, part("answer")?])
    }

    /// Files, issue and failures, and what is asked for.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_request(&self, request: &OneShotRequest, ask: AskFor) -> Result<String, PromptError> {
        let OneShotRequest {
            files,
            guidance,
            issue,
            failures,
            rewrite: (name, path),
            tests,
        } = request;
        let AskFor {
            format,
            explain,
            hint,
        } = ask;
        let format = format.name();
        let files: Vec<_> = files.iter().map(ShownFile::variables).collect();
        let tests: Vec<_> = tests.iter().map(ShownFile::variables).collect();
        let guidance = guidance
            .iter()
            .map(|part| context! { path => &part.path, text => &part.text });
        let guidance: Vec<_> = guidance.collect();
        self.render(
            "one_shot_request",
            context! { files, guidance, issue, failures, format, explain, hint, name, path, tests },
        )
    }

    /// Why the last answer will not do. `kind` is `failed` when tests say so.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_feedback(
        &self,
        kind: &str,
        path: &str,
        failures: &str,
        ask: AskFor,
    ) -> Result<String, PromptError> {
        let AskFor { format, explain, .. } = ask;
        let format = format.name();
        self.render(
            "one_shot_feedback",
            context! { kind, path, failures, format, explain },
        )
    }

    /// What the answer begins with.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_prefix(&self, language: &str, path: &str, ask: AskFor) -> Result<String, PromptError> {
        let AskFor { format, explain, .. } = ask;
        let format = format.name();
        self.render("one_shot_prefix", context! { language, path, format, explain })
    }

    /// A part of what asks for tests of the issue: `system`, `request` or `prefix`, what the answer begins with.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_tests(&self, part: &str, request: &TestsRequest) -> Result<String, PromptError> {
        let TestsRequest {
            files,
            tests,
            issue,
            name,
            rivals,
            most,
        } = request;
        let files: Vec<_> = files.iter().map(ShownFile::variables).collect();
        let tests: Vec<_> = tests.iter().map(ShownFile::variables).collect();
        self.render(
            "one_shot_tests",
            context! { part, files, tests, issue, name, rivals, most },
        )
    }

    /// The same for a file of tests in the repository's own framework. The tests of the request are not shown: the place has one.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_test_file(
        &self,
        part: &str,
        request: &TestsRequest,
        place: &TestFilePlace,
    ) -> Result<String, PromptError> {
        let TestsRequest {
            files,
            issue,
            name,
            rivals,
            most,
            ..
        } = request;
        let files: Vec<_> = files.iter().map(ShownFile::variables).collect();
        let TestFilePlace {
            path,
            framework,
            language,
            head,
            ..
        } = place;
        let example = place.example.as_ref().map(ShownFile::variables);
        self.render(
            "one_shot_test_file",
            context! { part, path, framework, language, head, example, files, issue, name, rivals, most },
        )
    }

    /// A part of what asks which of two diffs is right: `system`, `request` or `prefix`, what the answer begins with.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_compare(
        &self,
        part: &str,
        files: &[ShownFile],
        issue: &str,
        changes: &[String],
    ) -> Result<String, PromptError> {
        let files: Vec<_> = files.iter().map(ShownFile::variables).collect();
        let changes = changes.to_vec();
        self.render("one_shot_compare", context! { part, files, issue, changes })
    }

    /// The line that stands for a function's hidden body. `comment` begins a comment in its language.
    ///
    /// # Errors
    ///
    /// When the template fails.
    pub fn one_shot_hidden(&self, comment: &str) -> Result<String, PromptError> {
        self.render("one_shot_hidden", context! { comment })
    }
}

#[cfg(test)]
#[path = "test_file_tests.rs"]
mod tests;
