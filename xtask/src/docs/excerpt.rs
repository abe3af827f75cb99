//! Blocks that show what the compiler says of a program that must not compile.

use crate::tree::Tree;

/// In a block: some lines of the file are left out here.
const LEFT_OUT: &str = "...";

/// Checks that the block is an excerpt of the file: its lines follow one
/// another in the file, in the same order; a line `...` stands for any number
/// of lines that are left out.
pub(super) fn check(tree: &Tree, file: &str, block: &[String]) -> Result<(), String> {
    let text = find(tree, file)?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut from = 0;
    let chunks = block.split(|line| line.trim() == LEFT_OUT);
    for chunk in chunks.filter(|chunk| !chunk.is_empty()) {
        let wanted: Vec<&str> = chunk.iter().map(|line| line.trim_end()).collect();
        let found = lines[from..].windows(wanted.len()).position(|window| window == wanted);
        match found {
            Some(at) => from += at + wanted.len(),
            None => {
                return Err(format!(
                    "{file} does not have these lines in this order, beginning with {:?}; copy \
                     them from it, with `{LEFT_OUT}` where lines are left out",
                    wanted[0]
                ));
            }
        }
    }
    if from == 0 { Err(format!("an excerpt of {file} without a line of it")) } else { Ok(()) }
}

/// The file of this path, or the only one of this name under `crates/`.
fn find<'t>(tree: &'t Tree, file: &str) -> Result<&'t str, String> {
    if let Some(text) = tree.get(file) {
        return Ok(text);
    }
    let ending = format!("/{file}");
    let mut found =
        tree.files().filter(|(path, _)| path.starts_with("crates/") && path.ends_with(&ending));
    match (found.next(), found.next()) {
        (Some((_, text)), None) => Ok(text),
        (None, _) => Err(format!("there is no {file} under crates/; name one from its tests")),
        (Some((one, _)), Some((two, _))) => {
            Err(format!("{file} may be {one} or {two}; write the path from the root"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(block: &str) -> Result<(), String> {
        let mut tree = Tree::default();
        tree.insert("crates/a/tests/ui/x.stderr", "error: one\n --> two\n  |\n3 | three\n");
        let block: Vec<String> = block.lines().map(str::to_owned).collect();
        check(&tree, "x.stderr", &block)
    }

    #[test]
    fn the_whole_file_or_parts_of_it() {
        assert_eq!(run("error: one\n --> two\n  |\n3 | three"), Ok(()));
        assert_eq!(run("error: one\n --> two"), Ok(()));
        assert_eq!(run("error: one\n...\n3 | three"), Ok(()));
    }

    #[test]
    fn lines_that_are_not_there_or_not_there_in_this_order() {
        assert!(run("error: two").is_err());
        assert!(run("error: one\n3 | three").is_err(), "a gap is marked");
        assert!(run("3 | three\n...\nerror: one").is_err());
        assert!(run("...").is_err());
    }

    #[test]
    fn a_file_that_is_not_there_or_is_two() {
        let mut tree = Tree::default();
        assert!(check(&tree, "x.stderr", &[]).unwrap_err().contains("no x.stderr"));
        tree.insert("crates/a/x.stderr", "");
        tree.insert("crates/b/x.stderr", "");
        assert!(check(&tree, "x.stderr", &[]).unwrap_err().contains("may be"));
    }
}
