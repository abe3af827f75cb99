//! Every `unsafe` says why it is right.
//!
//! Clippy asks this of the code it compiles, except inside macros and of
//! private functions. This check reads text: it sees every `cfg` (the
//! model-checked builds too), macro bodies, and what is private.

use std::sync::LazyLock;

use regex::Regex;

use crate::finding::Finding;
use crate::source::Source;
use crate::tree::Tree;

/// An `unsafe` and what follows it. Declarations of foreign functions
/// (`unsafe extern "C" {`) are left to the calls, and function pointer types
/// have nothing to explain.
static UNSAFE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\bunsafe\s+(?:(\{)|(impl)\b|(trait)\b|(?:extern\s+"[^"]*"\s+)?(fn)\s+\w)"#)
        .expect("a constant")
});

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.crate_sources().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let source = Source::parse(text);
    let impls = source.impls();
    let mut findings = Vec::new();
    for found in UNSAFE.captures_iter(&source.code) {
        let at = found.get(0).expect("the match").start();
        let line = source.line_of(at);
        let message = if found.get(1).is_some() {
            (!block_is_explained(&source, line)).then_some(
                "unsafe block without `// SAFETY:` above its statement; say why it is right",
            )
        } else if found.get(2).is_some() {
            (!comments_above_say(&source, line, "SAFETY:"))
                .then_some("unsafe impl without `// SAFETY:` above it; say why the promise is kept")
        } else {
            // The methods of an implementation repeat the trait's contract.
            let repeats = impls.iter().any(|block| block.of_trait && block.body.contains(&at));
            (!repeats && !comments_above_say(&source, line, "# Safety"))
                .then_some("unsafe without a `# Safety` section; say what the caller promises")
        };
        findings.extend(message.map(|message| Finding::error(path, line + 1, message)));
    }
    findings
}

/// Whether the block's line, or a line further up in the same statement, has
/// the comment above it.
fn block_is_explained(source: &Source, line: usize) -> bool {
    if source.comment(line).contains("SAFETY:") {
        return true;
    }
    let mut line = line;
    loop {
        if comments_above_say(source, line, "SAFETY:") {
            return true;
        }
        let Some(above) = line.checked_sub(1).map(|above| source.line(above)) else { return false };
        if above.is_empty() || above.ends_with([';', '{', '}']) {
            return false;
        }
        line -= 1;
    }
}

fn comments_above_say(source: &Source, line: usize, word: &str) -> bool {
    source.lines_above(line).any(|line| source.comment(line).contains(word))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{TOKEN, assert_one, tree};
    use super::*;

    #[test]
    fn a_block_without_a_comment() {
        let mut tree = tree();
        tree.replace(TOKEN, "// SAFETY: INV-PAGE: taken once.", "// INV-PAGE: taken once.");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:8: error: ", "unsafe block");
    }

    #[test]
    fn a_comment_above_another_statement_does_not_count() {
        let mut tree = tree();
        tree.replace(TOKEN, "let page =\n", "let a = 1;\n        let page =\n");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:9: error: ", "unsafe block");
    }

    #[test]
    fn an_impl_without_a_comment() {
        let mut tree = tree();
        tree.replace(TOKEN, "// SAFETY: INV-PAGE: it is owned.\n", "");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:12: error: ", "unsafe impl");
    }

    #[test]
    fn a_private_function_without_a_section() {
        let mut tree = tree();
        tree.replace(TOKEN, "/// # Safety\n", "/// Careful.\n");
        assert_one(&check(&tree), "crates/mmu-notifier/src/token.rs:21: error: ", "`# Safety`");
    }

    #[test]
    fn a_trait_without_a_section_and_an_implementation_that_needs_none() {
        let mut tree = tree();
        let text = "unsafe trait A { }\n\n\
                    // SAFETY: INV-PAGE: kept.\n\
                    unsafe impl A for B {\n    unsafe fn take(&self) {}\n}\n\
                    type F = unsafe fn(u8);\n";
        tree.insert("crates/mmu-notifier/src/other.rs", text);
        assert_one(&check(&tree), "crates/mmu-notifier/src/other.rs:1: error: ", "`# Safety`");
    }

    #[test]
    fn a_block_in_a_macro_is_seen() {
        let mut tree = tree();
        tree.insert(
            "crates/mmu-notifier/src/other.rs",
            "macro_rules! m {\n    () => {\n        unsafe { f() }\n    };\n}\n",
        );
        assert_one(&check(&tree), "crates/mmu-notifier/src/other.rs:3: error: ", "unsafe block");
    }
}
