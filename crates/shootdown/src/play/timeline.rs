//! The document's form: one block for each time, one line for each thread.

use std::fmt;

use serde::Serialize;

/// What each thread does at one time.
#[derive(Clone, Debug, Serialize)]
pub struct Block {
    /// `N`, `N+1`, ...
    pub time: String,
    /// Thread and what it does; empty if nothing.
    pub lines: Vec<(String, String)>,
}

/// The blocks of a play.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// In order of time.
    pub blocks: Vec<Block>,
}

/// Width of a line of the document.
const WIDTH: usize = 78;

impl Timeline {
    /// Adds a block at time `N + time`, with a line for each of `threads`:
    /// what it does, if it is named in `doing`.
    pub(crate) fn add(&mut self, time: u32, threads: &[&str], doing: &[(&str, String)]) {
        let time = if time == 0 { "N".to_owned() } else { format!("N+{time}") };
        let line = |name: &str| {
            let what = doing.iter().find(|(who, _)| *who == name);
            (name.to_owned(), what.map(|(_, what)| what.clone()).unwrap_or_default())
        };
        self.blocks.push(Block { time, lines: threads.iter().map(|name| line(name)).collect() });
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for block in &self.blocks {
            let head = format!("[Time {}] ", block.time);
            writeln!(f, " {head}{}", "-".repeat(WIDTH - head.len() - 1))?;
            for (thread, what) in &block.lines {
                writeln!(f, " {thread}  {{{what}}}")?;
            }
        }
        Ok(())
    }
}
