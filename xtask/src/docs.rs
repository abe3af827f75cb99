//! `cargo xtask docs`: the documents say what the programs do.
//!
//! - Each ` ```console ` block is run from the repository's root, command by
//!   command, and what it prints is compared with what the block shows.
//!   ` ```console no-run: REASON ` is the only way out; the block with the
//!   test command, which CI runs as a step of its own, is marked
//!   ` ```console no-run test-command `.
//! - Each ` ```text error=FILE.stderr ` block is an excerpt of what the
//!   compiler said of a program that must not compile.
//! - Each ` ```rust ` block stands in a document that is compiled as doctests.
//!
//! `--bless` rewrites the output of commands and shows what changed.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use crate::finding::{Finding, report};
use crate::tree::{Tree, root};

mod console;
mod diff;
mod excerpt;
mod fence;
mod mask;
mod runner;

use console::Command;
use fence::{Block, Kind};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Bless,
}

/// Where the documents are that doctests compile.
const DOCTESTS: &str = "xtask/doctests/src/lib.rs";

pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let root = root();
    let tree = Tree::read(&root)?;
    let mut shell = |command: &str| runner::run(&root, command);
    let outcome = check(&tree, mode, &mut shell);
    for (path, text) in &outcome.rewritten {
        fs::write(root.join(Path::new(path)), text).map_err(|error| format!("{path}: {error}"))?;
    }
    for line in &outcome.shown {
        println!("{line}");
    }
    report(outcome.findings, "docs")?;
    let rewritten = match outcome.rewritten.len() {
        0 => String::new(),
        n => format!(", {n} documents rewritten"),
    };
    println!("docs: ok ({} commands run, {} not run{rewritten})", outcome.run, outcome.not_run);
    Ok(())
}

#[derive(Default)]
struct Outcome {
    findings: Vec<Finding>,
    /// Diffs and reasons, for the reader.
    shown: Vec<String>,
    /// New text of documents, if blessed.
    rewritten: BTreeMap<String, String>,
    run: usize,
    not_run: usize,
}

fn check(
    tree: &Tree,
    mode: Mode,
    shell: &mut dyn FnMut(&str) -> Result<runner::Output, String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    for (path, text) in tree.files().filter(|(path, _)| is_document(path)) {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut edits = Vec::new();
        let blocks = match fence::blocks(text) {
            Ok(blocks) => blocks,
            Err((line, message)) => {
                outcome.findings.push(Finding::error(path, line, message));
                continue;
            }
        };
        for block in &blocks {
            match &block.kind {
                Kind::Console => {
                    edits.extend(run_block(path, block, &lines, mode, shell, &mut outcome));
                }
                Kind::NotRun { reason } => {
                    outcome.not_run += 1;
                    let reason = reason.as_deref().unwrap_or("see the text around it");
                    outcome.shown.push(format!("{path}:{}: not run: {reason}", block.line));
                }
                Kind::Error { file } => {
                    let shown = &lines[block.body.clone()];
                    if let Err(message) = excerpt::check(tree, file, shown) {
                        outcome.findings.push(Finding::error(path, block.line, message));
                    }
                }
                Kind::Rust => {
                    let listed = tree.get(DOCTESTS).is_some_and(|list| {
                        list.contains(&format!("include_str!(\"../../../{path}\")"))
                    });
                    if !listed {
                        let message = format!(
                            "a rust block in a document that {DOCTESTS} does not list; add it there"
                        );
                        outcome.findings.push(Finding::error(path, block.line, message));
                    }
                }
                Kind::Other => {}
                Kind::Refused(message) => {
                    outcome.findings.push(Finding::error(path, block.line, message.clone()));
                }
            }
        }
        if !edits.is_empty() {
            // From the end, so that no edit moves the place of another.
            for Edit { place, lines: printed } in edits.into_iter().rev() {
                lines.splice(place, printed);
            }
            outcome.rewritten.insert(path.to_owned(), lines.join("\n") + "\n");
        }
    }
    outcome
}

/// Lines of a document that are to be replaced.
struct Edit {
    place: Range<usize>,
    lines: Vec<String>,
}

fn run_block(
    path: &str,
    block: &Block,
    lines: &[String],
    mode: Mode,
    shell: &mut dyn FnMut(&str) -> Result<runner::Output, String>,
    outcome: &mut Outcome,
) -> Vec<Edit> {
    let mut edits = Vec::new();
    let commands = match console::commands(lines, block.body.clone()) {
        Ok(commands) => commands,
        Err((line, message)) => {
            outcome.findings.push(Finding::error(path, line, message));
            return edits;
        }
    };
    for Command { line, text, output } in commands {
        eprintln!("{path}:{line}: $ {text}");
        outcome.run += 1;
        let mut error =
            |message: String| outcome.findings.push(Finding::error(path, line, message));
        let printed = match shell(&text) {
            Ok(printed) if printed.success => printed.lines,
            Ok(printed) => {
                error(format!(
                    "`{text}` failed; if that is what it shows, end the command with `; echo $?`\n{}",
                    printed.lines.join("\n")
                ));
                return edits;
            }
            Err(message) => {
                error(message);
                return edits;
            }
        };
        let shown = console::without_blank_end(&lines[output.clone()]);
        if mask::equal(shown, &printed) {
            continue;
        }
        let difference = diff::lines(shown, &printed);
        if mode == Mode::Bless {
            outcome.shown.push(format!("{path}:{line}: $ {text}\n{difference}"));
            let place = output.start..output.start + shown.len();
            edits.push(Edit { place, lines: printed });
        } else {
            error(format!(
                "`{text}` prints something else; correct the program or run \
                 `cargo xtask docs --bless`\n{difference}"
            ));
        }
    }
    edits
}

fn is_document(path: &str) -> bool {
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].contains(&path)
        || (path.starts_with("docs/") && path.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "\
# Name

```console
$ play
  between clear and set:  0 of 41532 reads, 60 rounds

$ other
two
```

```text error=a.stderr
error[E0599]: no method
```

```rust
let a = 1;
```

```console no-run: it takes an hour
$ long
```
";

    fn tree(readme: &str) -> Tree {
        let mut tree = Tree::default();
        tree.insert("README.md", readme);
        tree.insert(
            "crates/mmu-notifier/tests/ui/a.stderr",
            "error[E0599]: no method\n --> a.rs\n",
        );
        tree.insert(DOCTESTS, "#[doc = include_str!(\"../../../README.md\")]");
        tree
    }

    fn outcome(readme: &str, mode: Mode, play: &str) -> Outcome {
        let mut shell = |command: &str| {
            let text = match command {
                "play" => play,
                "other" => "two",
                "bad" => return Ok(runner::Output { lines: Vec::new(), success: false }),
                _ => panic!("{command} must not be run"),
            };
            Ok(runner::Output { lines: text.lines().map(str::to_owned).collect(), success: true })
        };
        check(&tree(readme), mode, &mut shell)
    }

    const OTHER_COUNT: &str = "  between clear and set:  0 of 7 reads, 3 rounds";
    const STALE: &str = "  between clear and set:  3 of 7 reads, 3 rounds";

    #[test]
    fn another_count_of_runs_is_the_same_output() {
        let outcome = outcome(README, Mode::Check, OTHER_COUNT);
        assert_eq!(outcome.findings, []);
        assert_eq!((outcome.run, outcome.not_run), (2, 1));
        assert!(outcome.rewritten.is_empty());
    }

    #[test]
    fn a_count_that_was_zero_and_is_not_is_another_output() {
        let outcome = outcome(README, Mode::Check, STALE);
        let shown = outcome.findings[0].to_string();
        assert_eq!(outcome.findings.len(), 1);
        assert!(shown.starts_with("README.md:4: error: `play` prints something else"), "{shown}");
        assert!(shown.contains(&format!("+{STALE}")), "{shown}");
    }

    #[test]
    fn bless_rewrites_only_what_differs() {
        let same = outcome(README, Mode::Bless, OTHER_COUNT);
        assert!(same.rewritten.is_empty());
        let other = outcome(README, Mode::Bless, STALE);
        let old = "  between clear and set:  0 of 41532 reads, 60 rounds";
        assert_eq!(other.rewritten["README.md"], README.replace(old, STALE));
        assert_eq!(other.findings, []);
    }

    #[test]
    fn a_command_that_fails_is_an_error_even_if_its_output_fits() {
        let readme = README.replace("$ other\ntwo", "$ bad");
        let findings = outcome(&readme, Mode::Check, OTHER_COUNT).findings;
        assert!(findings[0].message.contains("failed"), "{findings:?}");
    }

    #[test]
    fn an_error_block_that_is_not_what_the_compiler_said() {
        let readme = README.replace("E0599]: no method\n", "E0599]: no such method\n");
        let findings = outcome(&readme, Mode::Check, OTHER_COUNT).findings;
        assert_eq!((findings.len(), findings[0].line), (1, 11));
    }

    #[test]
    fn a_rust_block_that_no_doctest_compiles() {
        let mut tree = tree(README);
        tree.insert(DOCTESTS, "");
        tree.replace("README.md", "$ play", "$ other");
        tree.replace("README.md", "  between clear and set:  0 of 41532 reads, 60 rounds", "two");
        let mut shell =
            |_: &str| Ok(runner::Output { lines: vec!["two".to_owned()], success: true });
        let findings = check(&tree, Mode::Check, &mut shell).findings;
        assert_eq!((findings.len(), findings[0].line), (1, 15));
    }
}
