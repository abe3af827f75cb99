//! The fenced blocks of a document.

use std::ops::Range;

/// A block between two fences.
#[derive(Debug)]
pub(super) struct Block {
    /// Line of the opening fence, counted from 1.
    pub(super) line: usize,
    /// Indices of the lines between the fences.
    pub(super) body: Range<usize>,
    pub(super) kind: Kind,
}

/// What the words after the opening fence ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To be run and compared.
    Console,
    /// Commands that are not run.
    NotRun { reason: Option<String> },
    /// An excerpt of what the compiler said.
    Error { file: String },
    /// Compiled as a doctest.
    Rust,
    /// Nothing is claimed.
    Other,
    /// Something that would escape the checks.
    Refused(String),
}

/// All blocks in order, or the line of a fence that is never closed.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, (usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, usize, &str)> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let ticks = trimmed.bytes().take_while(|byte| *byte == b'`').count();
        match open {
            None if ticks >= 3 => open = Some((number, ticks, trimmed[ticks..].trim())),
            Some((start, opened, info))
                if ticks >= opened && trimmed[ticks..].trim().is_empty() =>
            {
                blocks.push(Block { line: start + 1, body: start + 1..number, kind: kind(info) });
                open = None;
            }
            _ => {}
        }
    }
    match open {
        Some((start, ..)) => Err((start + 1, "this fence is never closed; close it".to_owned())),
        None => Ok(blocks),
    }
}

fn kind(info: &str) -> Kind {
    let (language, rest) = info.split_once(char::is_whitespace).unwrap_or((info, ""));
    let rest = rest.trim();
    match language {
        "console" => match rest {
            "" => Kind::Console,
            "no-run" => Kind::NotRun { reason: None },
            "no-run test-command" => {
                Kind::NotRun { reason: Some("CI runs the test command itself".to_owned()) }
            }
            _ => match rest.strip_prefix("no-run:").map(str::trim) {
                Some(reason) if !reason.is_empty() => {
                    Kind::NotRun { reason: Some(reason.to_owned()) }
                }
                _ => Kind::Refused(format!(
                    "unknown word {rest:?} on a console block; `no-run: REASON` is the only one"
                )),
            },
        },
        "sh" | "bash" | "shell" | "shell-session" | "zsh" => Kind::Refused(format!(
            "a {language} block is not checked; use console and `$ ` before the command"
        )),
        "text" => match rest.strip_prefix("error=") {
            Some(file) => Kind::Error { file: file.to_owned() },
            None => Kind::Other,
        },
        _ => rust_kind(info),
    }
}

/// `rust`, and the words that rustdoc takes beside it: `rust,no_run`.
fn rust_kind(info: &str) -> Kind {
    let mut words = info.split([',', ' ']);
    if words.next() != Some("rust") {
        return Kind::Other;
    }
    if words.any(|word| word.starts_with("ignore")) {
        return Kind::Refused("an ignored rust block is not tested; make it compile".to_owned());
    }
    Kind::Rust
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(text: &str) -> Kind {
        let mut blocks = blocks(text).unwrap();
        assert_eq!(blocks.len(), 1);
        blocks.remove(0).kind
    }

    #[test]
    fn a_block_knows_where_it_is() {
        let blocks = blocks("a\n```console\n$ b\nc\n```\n````text\n```\n````\n").unwrap();
        assert_eq!((blocks[0].line, blocks[0].body.clone()), (2, 2..4));
        assert_eq!((blocks[1].line, blocks[1].body.clone()), (6, 6..7));
        assert_eq!(blocks[1].kind, Kind::Other);
    }

    #[test]
    fn a_block_knows_what_it_is() {
        assert_eq!(only("```console\n```"), Kind::Console);
        assert_eq!(only("```console no-run\n```"), Kind::NotRun { reason: None });
        let slow = Kind::NotRun { reason: Some("slow".to_owned()) };
        assert_eq!(only("```console no-run: slow\n```"), slow);
        assert!(matches!(only("```console no-run test-command\n```"), Kind::NotRun { .. }));
        let file = Kind::Error { file: "a.stderr".to_owned() };
        assert_eq!(only("```text error=a.stderr\n```"), file);
        assert_eq!(only("```rust,no_run\n```"), Kind::Rust);
    }

    #[test]
    fn ways_out_are_refused() {
        for info in
            ["console skip", "console no-run:", "console test-command", "sh", "bash", "rust,ignore"]
        {
            let kind = only(&format!("```{info}\n```"));
            assert!(matches!(kind, Kind::Refused(_)), "{info}: {kind:?}");
        }
    }

    #[test]
    fn a_fence_that_is_never_closed() {
        assert_eq!(blocks("a\n```console\n$ b\n").unwrap_err().0, 2);
    }
}
