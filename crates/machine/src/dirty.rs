//! Whether what a page holds is elsewhere too, and who knows if it is not.
//!
//! Beside each frame stands what nobody in the program can read: whether the
//! contents are newer than what is kept elsewhere. A write makes them newer, a
//! write-out makes them the same. The marks that software and hardware set are
//! the page's own and the dirty bits of the entries that map it; when all is
//! quiet one of them has to say so of every page that is newer. A page that is
//! freed while it is newer is lost.

use shootdown_step::DirtyAct;
use shootdown_step::shape::Kept;
use shootdown_step::value::entry;

use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::state::{Slot, State};
use crate::world::{MARK_CLEAN, Seen, World};

impl World {
    /// A word of memory has another value now.
    pub(crate) fn written(&self, state: &mut State, slot: Slot) {
        if self.tracks_dirty
            && let Some(frame) = self.frame_of_word(slot)
        {
            self.frame_written(state, frame);
        }
    }

    /// A frame has other contents now.
    pub(crate) fn frame_written(&self, state: &mut State, frame: usize) {
        if state.get(self.kept[frame]) != Kept::Nowhere as i64 {
            Seen::note(&self.seen.events, 16);
            state.set(self.kept[frame], Kept::Older as i64);
        }
    }

    /// A frame is given back, or handed out: nothing is kept of it.
    pub(crate) fn forgets(&self, state: &mut State, frame: usize) {
        if state.get(self.kept[frame]) == Kept::Older as i64 {
            state.set(self.marks, state.get(self.marks) | MARK_CLEAN);
        }
        state.set(self.kept[frame], Kept::Nowhere as i64);
        state.set(self.marked[frame], 0);
    }

    /// Whether the page or an entry that maps it says that it is dirty.
    pub fn says_dirty(&self, state: &State, frame: usize) -> bool {
        if state.get(self.marked[frame]) != 0 {
            return true;
        }
        let shape = self.shape();
        let says = |value: i64, index: usize| {
            value & entry::DIRTY != 0
                && entry::frame(value).is_some_and(|first| first + index == frame)
        };
        let tables = self.entries.iter().chain(&self.softs).flatten();
        let mut lower = tables.map(|slot| state.get(*slot));
        let upper = || {
            self.upper.iter().any(|blocks| {
                blocks.iter().zip(&shape.blocks).any(|(slot, pages)| {
                    let value = state.get(*slot);
                    value & entry::HUGE != 0 && (0..pages.len()).any(|index| says(value, index))
                })
            })
        };
        lower.any(|value| says(value, 0)) || upper()
    }

    /// A frame whose contents would be lost, and nobody says so.
    pub fn unsaid(&self, state: &State) -> Option<usize> {
        if !self.tracks_dirty {
            return None;
        }
        (0..self.frames.len()).find(|frame| {
            state.get(self.kept[*frame]) == Kept::Older as i64 && !self.says_dirty(state, *frame)
        })
    }
}

impl<M: Mmu> Machine<M> {
    /// What is done about a page's dirtiness; gives the answer.
    pub(crate) fn dirty_act(&self, state: &mut State, frame: usize, act: DirtyAct) -> i64 {
        let world = &self.world;
        let (kept, marked) = (world.kept[frame], world.marked[frame]);
        let was = state.get(marked);
        match act {
            DirtyAct::Mark => state.set(marked, 1),
            DirtyAct::Unmark => state.set(marked, 0),
            DirtyAct::Ask => {}
            DirtyAct::WriteOut | DirtyAct::GiveUp(false) => state.set(kept, Kept::Same as i64),
            DirtyAct::GiveUp(true) => {
                state.set(kept, Kept::Nowhere as i64);
                state.set(marked, 0);
            }
        }
        was
    }

    /// One page takes another's place.
    pub(crate) fn move_marks(&self, state: &mut State, to: usize, from: usize) {
        for slots in [&self.world.kept, &self.world.marked] {
            let moved = state.get(slots[from]).max(state.get(slots[to]));
            state.set(slots[to], moved);
            state.set(slots[from], 0);
        }
    }
}
