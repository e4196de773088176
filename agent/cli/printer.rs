//! The only place that prints. Results go to stdout, everything else to stderr. What enters are texts and
//! JSON events; what leaves is bytes on the two streams, coloured only where a person reads them.
//!
//! A stdout whose reader has gone ends the run quietly ([`ReaderGone`]); a stderr that cannot be written is
//! ignored, because there is nowhere left to say so.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::environment::Environment;
use crate::cli::exit_code::ExitCode;
use crate::cli::failure::{Failure, ReaderGone};
use crate::cli::live::{self, LiveLine, Screen};
use crate::cli::text::{cut, plain};

/// The version of the JSON events, in each of them as `schema`. It grows when a field is renamed, removed
/// or changes its meaning; new events and new fields may come without that.
pub const SCHEMA: u32 = 1;

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set; everywhere if CLICOLOR_FORCE is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Notes, warnings and, on a terminal, progress.
    #[default]
    Normal,
    /// Details as well.
    Verbose,
}

/// In which form results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text for a person.
    #[default]
    Text,
    /// One JSON object a line.
    JsonLines,
}

/// The form, the amount and the colours of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The form of results.
    pub format: Format,
    /// How much is said beside them.
    pub verbosity: Verbosity,
    /// Whether stdout takes colours.
    pub color_results: bool,
    /// Whether stderr takes colours.
    pub color_messages: bool,
    /// Whether a passing line of progress may be shown on stderr.
    pub progress: bool,
}

impl Settings {
    /// What the flags, the environment and the two streams ask for together.
    pub fn resolve(
        format: Format,
        verbosity: Verbosity,
        color: ColorChoice,
        environment: &Environment,
    ) -> Settings {
        let error_terminal = io::stderr().is_terminal();
        let dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        Settings {
            format,
            verbosity,
            color_results: format == Format::Text && colored(color, environment, io::stdout().is_terminal()),
            color_messages: colored(color, environment, error_terminal),
            progress: error_terminal && !dumb && verbosity > Verbosity::Quiet,
        }
    }
}

/// A flag outranks NO_COLOR, which outranks CLICOLOR_FORCE, which outranks what the stream is.
fn colored(choice: ColorChoice, environment: &Environment, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if environment.get("NO_COLOR").is_some() => false,
        ColorChoice::Auto
            if environment
                .get("CLICOLOR_FORCE")
                .is_some_and(|value| value != "0") =>
        {
            true
        }
        ColorChoice::Auto => {
            terminal
                && environment.get("CLICOLOR").is_none_or(|value| value != "0")
                && environment.get("TERM").is_none_or(|value| value != "dumb")
        }
    }
}

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// All is well.
    Good,
    /// Worth a look.
    Caution,
    /// Wrong.
    Bad,
    /// A heading or a name.
    Strong,
    /// Less important than what is around it.
    Faint,
}

impl Style {
    fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Style::Good => "32",
            Style::Caution => "33",
            Style::Bad => "1;31",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        if color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// An event as it stands on its line: the schema's version and the event's name before its own fields.
#[derive(Serialize)]
struct Envelope<'a, Body> {
    schema: u32,
    event: &'a str,
    #[serde(flatten)]
    body: &'a Body,
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    message: &'a str,
    causes: &'a [String],
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct EndEvent {
    exit_code: u8,
    meaning: &'static str,
}

/// What stands on the terminal below all that was printed, and will go again.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Below {
    Nothing,
    /// A line of progress; the cursor is behind it.
    Line,
    /// A live area as it was drawn; the cursor is at its beginning. There it stays before the same text when a terminal is made
    /// narrower and breaks lines anew, so that the area is found again.
    Area(String, Screen),
}

/// Writes results and messages.
pub struct Printer {
    results: Box<dyn Write>,
    messages: Box<dyn Write>,
    settings: Settings,
    screen: Box<dyn Fn() -> Screen>,
    below: Below,
    /// The live area that comes back after other output.
    live: Vec<LiveLine>,
    /// Whether the last output did not end its line.
    line_open: bool,
}

impl Printer {
    /// A printer on the process's stdout and stderr.
    pub fn standard(settings: Settings) -> Printer {
        let printer = Printer::to(Box::new(io::stdout()), Box::new(io::stderr()), settings);
        printer.on_screen(Screen::of_stderr)
    }

    /// A printer on other streams.
    pub fn to(results: Box<dyn Write>, messages: Box<dyn Write>, settings: Settings) -> Printer {
        Printer {
            results,
            messages,
            settings,
            screen: Box::new(|| Screen::USUAL),
            below: Below::Nothing,
            live: Vec::new(),
            line_open: false,
        }
    }

    /// The same on a terminal whose size is asked for each time that something is drawn.
    #[must_use]
    pub(crate) fn on_screen(mut self, screen: impl Fn() -> Screen + 'static) -> Printer {
        self.screen = Box::new(screen);
        self
    }

    /// How large the terminal is; of a usual size where there is none.
    pub(crate) fn screen(&self) -> Screen {
        (self.screen)()
    }

    /// Whether progress is shown.
    pub(crate) fn shows_progress(&self) -> bool {
        self.settings.progress
    }

    /// A piece of a message in its colour, or plain.
    pub(crate) fn paint_message(&self, style: Style, text: &str) -> String {
        style.paint(text, self.settings.color_messages)
    }

    /// Whether results are JSON events.
    pub fn is_json(&self) -> bool {
        self.settings.format == Format::JsonLines
    }

    /// From now on results are text, and no events come: for commands whose `--json` is one document.
    pub fn leave_events(&mut self) {
        self.settings.format = Format::Text;
    }

    /// Whether results may hold colour codes.
    pub fn colors_results(&self) -> bool {
        self.settings.color_results
    }

    /// A piece of a result in its colour, or plain.
    pub fn paint(&self, style: Style, text: &str) -> String {
        style.paint(text, self.settings.color_results)
    }

    /// Writes a part of the result to stdout, byte for byte.
    pub fn result(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        self.take_down();
        let outcome = self
            .results
            .write_all(bytes.as_ref())
            .and_then(|()| self.results.flush());
        self.put_back(bytes.as_ref());
        outcome.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => ReaderGone.into(),
            _ => Failure::new(
                ExitCode::Environment,
                format!("The result could not be written to standard output: {error}."),
            )
            .with_hint("Check where standard output leads, and that its disk is not full.")
            .into(),
        })
    }

    /// Writes one JSON event to stdout when results are JSON events, else nothing.
    pub fn event(&mut self, name: &str, body: &impl Serialize) -> anyhow::Result<()> {
        if !self.is_json() {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&Envelope {
            schema: SCHEMA,
            event: name,
            body,
        })?;
        line.push(b'\n');
        self.result(line)
    }

    /// Says something on stderr that is not an error.
    pub fn note(&mut self, text: impl Display) {
        self.message(Verbosity::Normal, &text);
    }

    /// Says on stderr what only `--verbose` asks for.
    pub fn detail(&mut self, text: impl Display) {
        if self.settings.verbosity >= Verbosity::Verbose {
            let text = Style::Faint.paint(&text.to_string(), self.settings.color_messages);
            self.message(Verbosity::Verbose, &text);
        }
    }

    /// Passes a program's own bytes on to stderr, whatever the verbosity.
    pub fn pass_on(&mut self, bytes: &[u8]) {
        self.take_down();
        self.write_message(bytes);
        self.put_back(bytes);
    }

    /// Warns on stderr.
    pub fn warning(&mut self, text: impl Display) {
        let label = Style::Caution.paint("warning:", self.settings.color_messages);
        self.message(Verbosity::Normal, &format_args!("{label} {text}"));
    }

    /// Says on stderr, and as an event, why the command failed.
    pub fn error(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        // Servers and models have a say in messages; none of it may act on a terminal.
        let harmless = |text: String| text.lines().map(plain).collect::<Vec<_>>().join("\n");
        let message = harmless(error.to_string());
        let causes: Vec<String> = error
            .chain()
            .skip(1)
            .map(|cause| harmless(cause.to_string()))
            .collect();
        let hint = Failure::behind(error).and_then(|failure| failure.hint.as_deref());

        let color = self.settings.color_messages;
        let mut text = format!("{} {message}", Style::Bad.paint("cwm: error:", color));
        for cause in &causes {
            text.push_str(&format!("\n  {} {cause}", Style::Faint.paint("because:", color)));
        }
        if let Some(hint) = hint {
            text.push_str(&format!("\n  {} {hint}", Style::Strong.paint("hint:", color)));
        }
        self.message(Verbosity::Quiet, &text);
        self.event(
            "error",
            &ErrorEvent {
                message: &message,
                causes: &causes,
                hint,
            },
        )
    }

    /// The last event of every run.
    pub fn end(&mut self, code: ExitCode) -> anyhow::Result<()> {
        self.event(
            "end",
            &EndEvent {
                exit_code: code.code(),
                meaning: code.meaning(),
            },
        )
    }

    /// Shows on a terminal, in one line that the next output replaces, what is going on.
    pub fn progress(&mut self, text: impl Display) {
        if self.settings.progress {
            self.clear_progress();
            let text = cut(&plain(&text.to_string()), self.screen().columns.saturating_sub(1));
            let text = Style::Faint.paint(&text, self.settings.color_messages);
            self.write_message(text.as_bytes());
            self.below = Below::Line;
        }
    }

    /// Shows on a terminal, in lines below all other output, what is going on; the next call replaces them. Other output goes above them.
    /// They are cut to the terminal's size.
    pub(crate) fn live(&mut self, lines: Vec<LiveLine>) {
        if !self.settings.progress {
            return;
        }
        if lines.is_empty() {
            return self.clear_progress();
        }
        if self.below == Below::Line {
            self.take_down();
        }
        if std::mem::take(&mut self.line_open) {
            self.write_message(b"\r\n");
        }
        self.live = lines;
        self.draw();
    }

    /// Takes the line of progress or the live area away.
    pub fn clear_progress(&mut self) {
        self.take_down();
        self.live.clear();
    }

    fn draw(&mut self) {
        let screen = self.screen();
        let color = self.settings.color_messages;
        let text = live::drawing(&self.live, screen, |style, text| style.paint(text, color));
        let drawn = Below::Area(text.clone(), screen);
        if self.below != drawn {
            self.write_message(text.as_bytes());
            self.below = drawn;
        }
    }

    /// Takes what is below away, so that something else can be written there.
    fn take_down(&mut self) {
        match std::mem::replace(&mut self.below, Below::Nothing) {
            Below::Nothing => {}
            Below::Line => self.write_message(b"\r\x1b[K"),
            Below::Area(..) => self.write_message(b"\r\x1b[J"),
        }
    }

    /// Draws the live area again below what was written; behind an open line it waits until its next change.
    fn put_back(&mut self, written: &[u8]) {
        if let Some(last) = written.last() {
            self.line_open = *last != b'\n';
        }
        if self.line_open {
            self.live.clear();
        } else if !self.live.is_empty() {
            self.draw();
        }
    }

    fn message(&mut self, least: Verbosity, text: &dyn Display) {
        if self.settings.verbosity >= least {
            self.take_down();
            let text = format!("{text}\n");
            self.write_message(text.as_bytes());
            self.put_back(text.as_bytes());
        }
    }

    fn write_message(&mut self, bytes: &[u8]) {
        ignore(
            self.messages
                .write_all(bytes)
                .and_then(|()| self.messages.flush()),
        );
    }
}

/// A message that cannot be written is dropped: stderr was the place to complain.
fn ignore(_outcome: io::Result<()>) {}

#[cfg(test)]
#[path = "printer_tests.rs"]
mod tests;
