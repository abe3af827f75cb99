//! The command line. Four words do not need a parser.

/// What the program was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    /// The whole table.
    Table,
    /// Instructions only.
    CountsOnly,
    /// The instruction gate only.
    Gate,
    /// One case, under callgrind.
    Counted(String, u64),
    /// How to use it.
    Help,
}

pub const USAGE: &str = "\
usage: shootdown-bench [--counts-only | --gate]

  (nothing)      times and counts everything; one to two minutes
  --counts-only  instruction counts only; needs valgrind
  --gate         the typed COW path has at most the instructions of the one by
                 hand: exit status 0 ok, 1 not reached, 3 not counted
";

/// Reads the arguments.
///
/// # Errors
///
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Mode, String> {
    let arguments: Vec<String> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => Ok(Mode::Table),
        ["--counts-only"] => Ok(Mode::CountsOnly),
        ["--gate"] => Ok(Mode::Gate),
        [crate::counting::ARGUMENT, case, steps] => match steps.parse() {
            Ok(steps) => Ok(Mode::Counted((*case).to_owned(), steps)),
            Err(_) => Err(format!("not a number of steps: {steps}")),
        },
        ["-h" | "--help"] => Ok(Mode::Help),
        _ => Err(format!("unknown arguments: {}; see --help", words.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(words: &[&str]) -> Result<Mode, String> {
        parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn each_form_and_a_wrong_one() {
        assert_eq!(mode(&[]), Ok(Mode::Table));
        assert_eq!(mode(&["--counts-only"]), Ok(Mode::CountsOnly));
        assert_eq!(mode(&["--gate"]), Ok(Mode::Gate));
        assert_eq!(mode(&["--counted", "x", "7"]), Ok(Mode::Counted("x".to_owned(), 7)));
        assert!(mode(&["--gate", "--counts-only"]).unwrap_err().contains("--help"));
    }
}
