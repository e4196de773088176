//! Hides a function's body, so that a model writes it from what it shall do instead of copying its bug.

use crate::context::{Definition, Layout, Ranking, language};
use crate::prompts::{PromptError, Prompts, ShownFile};

use super::redefine::{body_start, docstring};

/// A body is not written again when it is longer than this.
const MOST_LINES: usize = 80;

/// Hides the body of the function that the issue is most likely about; its name and file. Nothing is hidden when no function stands out,
/// when it is not shown as a whole, or when nothing but its body says what it shall do.
pub(super) fn hide(
    prompts: &Prompts,
    ranking: &Ranking,
    files: &mut [ShownFile],
) -> Result<Option<(String, String)>, PromptError> {
    let Some((path, function)) = ranking.suspect() else {
        return Ok(None);
    };
    let Some(language) = language(&path) else {
        return Ok(None);
    };
    let shows = |file: &&mut ShownFile| {
        file.path == path && file.first_line <= function.start + 1 && function.end <= file.last_line
    };
    let Some(file) = files.iter_mut().find(shows) else {
        return Ok(None);
    };
    let lines: Vec<String> = file.text.lines().map(str::to_owned).collect();
    let offset = file.first_line - 1;
    let Some((start, end)) = body(&lines, &function, offset, language.layout) else {
        return Ok(None);
    };
    if end - start > MOST_LINES || start >= end {
        return Ok(None);
    }
    let header = lines.get(function.header - offset).map_or("", String::as_str);
    let indent = header.get(..function.indent).unwrap_or_default();
    let deeper = if indent.contains('\t') { "\t" } else { "    " };
    let mut text: Vec<String> = lines.get(..start).unwrap_or_default().to_vec();
    text.push(format!(
        "{indent}{deeper}{}",
        prompts.one_shot_hidden(language.comment)?
    ));
    text.extend(lines.get(end..).unwrap_or_default().iter().cloned());
    file.text = text.join("\n");
    // It is not whole any more, so that an answer is no new file.
    file.hidden = true;
    Ok(Some((function.name, path)))
}

/// The lines of the body, in the excerpt: behind the docstring, or between the braces when a comment stands above.
fn body(
    lines: &[String],
    function: &Definition,
    offset: usize,
    layout: Option<Layout>,
) -> Option<(usize, usize)> {
    let (header, end) = (
        function.header.checked_sub(offset)?,
        function.end.checked_sub(offset)?,
    );
    let own = lines.get(header..end)?;
    match layout? {
        Layout::Indented => {
            body_start(own)?;
            docstring(own).map(|(_, to)| (header + to, end))
        }
        Layout::Braced => {
            let above = lines
                .get(function.start.checked_sub(offset)?.checked_sub(1)?)?
                .trim();
            let told = above.starts_with("//") || above.ends_with("*/");
            let opens = own.iter().position(|line| line.trim_end().ends_with('{'))?;
            let closes = own.last()?.trim() == "}" || own.last()?.trim() == "};";
            (told && closes).then_some((header + opens + 1, end - 1))
        }
    }
}

#[cfg(test)]
#[path = "hide_tests.rs"]
mod tests;
