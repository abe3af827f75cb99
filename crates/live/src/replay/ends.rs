//! The end of a run: what the test looks at, there and here.

use std::sync::atomic::Ordering;

use shootdown_machine::outcome::{Observable, UNMAPPED, name, observe, shown, value_name};

use super::Stand;
use crate::plan::Planner;
use crate::replayed::Refused;

impl Stand<'_> {
    /// What the test looks at: as in the run, and here.
    pub(super) fn values(&mut self) -> Result<Vec<(String, String)>, Refused> {
        let Planner { program, machine, run, .. } = self.planner;
        let end = self.planner.state(run.steps.len());
        let mut values = Vec::new();
        for what in shown(program, self.lowered) {
            let expected = observe(machine, end, what);
            let found = match what {
                Observable::Word(word) => self.words[word],
                Observable::Memory(space, page, word) => self.memory_word(space, page, word),
                Observable::Frame(frame, word) if self.planner.is_live(frame) => {
                    match self.frames[frame] {
                        Some(pfn) => {
                            self.memory.word(pfn, word as u64 * 8).load(Ordering::Acquire) as i64
                        }
                        None => expected,
                    }
                }
                // They follow from what was read, and that was compared.
                _ => expected,
            };
            let name = name(self.lowered, program, what);
            if found != expected {
                let why = format!(
                    "in the end {name} is {} in the run, and here {}{}",
                    value_name(expected),
                    value_name(found),
                    self.because()
                );
                return Err(self.refuse(None, why));
            }
            values.push((name, value_name(found)));
        }
        Ok(values)
    }

    fn memory_word(&self, space: usize, page: usize, word: usize) -> i64 {
        let found = self.ground.spaces[space]
            .as_ref()
            .and_then(|space| space.translate(self.layout.address(page)));
        found.map_or(UNMAPPED, |found| {
            let word = self.memory.word(found.pfn, word as u64 * 8);
            word.load(Ordering::Acquire) as i64
        })
    }
}
