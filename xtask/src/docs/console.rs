//! The commands of a console block and what each is said to print.

use std::ops::Range;

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Line of its `$ `, counted from 1.
    pub(super) line: usize,
    /// Without `$ `; a line that ends in `\` goes on in the next.
    pub(super) text: String,
    /// Indices of the lines of its output.
    pub(super) output: Range<usize>,
}

/// Takes a block apart. An error names a line, counted from 1.
pub(super) fn commands(
    lines: &[String],
    body: Range<usize>,
) -> Result<Vec<Command>, (usize, String)> {
    let mut commands: Vec<Command> = Vec::new();
    let mut at = body.start;
    while at < body.end {
        if let Some(first) = lines[at].strip_prefix("$ ") {
            let line = at + 1;
            let mut text = first.to_owned();
            while text.ends_with('\\') && at + 1 < body.end {
                at += 1;
                text = format!("{text}\n{}", lines[at]);
            }
            commands.push(Command { line, text, output: at + 1..at + 1 });
        } else if let Some(command) = commands.last_mut() {
            command.output.end = at + 1;
        } else {
            let message = "a console block begins with `$ ` and a command; add it, or use text";
            return Err((at + 1, message.to_owned()));
        }
        at += 1;
    }
    if commands.is_empty() {
        let message = "a console block without a command; add one, or take it out";
        return Err((body.start, message.to_owned()));
    }
    Ok(commands)
}

/// Blank lines at the end only part one command from the next.
pub(super) fn without_blank_end(lines: &[String]) -> &[String] {
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    &lines[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Command>, (usize, String)> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let end = lines.len();
        commands(&lines, 0..end)
    }

    #[test]
    fn commands_and_their_output() {
        let commands = parse("$ one\na\n\nb\n\n$ two \\\n  more\n$ three\nc").unwrap();
        let texts: Vec<_> = commands.iter().map(|command| command.text.as_str()).collect();
        assert_eq!(texts, ["one", "two \\\n  more", "three"]);
        let outputs: Vec<_> = commands.iter().map(|command| command.output.clone()).collect();
        assert_eq!(outputs, [1..5, 7..7, 8..9]);
        assert_eq!(commands[1].line, 6);
    }

    #[test]
    fn blank_lines_at_the_end_do_not_count() {
        let lines: Vec<String> = ["a", "", "b", "", " "].map(str::to_owned).to_vec();
        assert_eq!(without_blank_end(&lines).len(), 3);
        assert!(without_blank_end(&lines[3..]).is_empty());
    }

    #[test]
    fn output_without_a_command() {
        assert_eq!(parse("a\n$ b").unwrap_err().0, 1);
        assert!(parse("").is_err());
    }
}
