//! What a step changed, for the side of a timeline.

use shootdown_machine::outcome::value_name;
use shootdown_machine::state::State;
use shootdown_step::shape::Kept;

use crate::story::Story;
use crate::timeline::{Change, ChangeKind};

impl Story<'_> {
    /// What is different after a step.
    pub(crate) fn changes(&self, row: usize) -> Vec<Change> {
        let world = &self.machine.world;
        let shape = world.shape();
        let (before, after) = (self.state(row), self.state(row + 1));
        let mut list = Vec::new();
        let mut add = |kind, text: String| list.push(Change { kind, text });
        for space in 0..shape.spaces.len() {
            let at = if space == 0 { String::new() } else { format!("@{}", shape.spaces[space]) };
            for (page, is) in shape.pages.iter().enumerate() {
                let (old, new) = (world.walk(before, space, page), world.walk(after, space, page));
                if old != new {
                    let (old, new) = (world.entry_name(old), world.entry_name(new));
                    add(ChangeKind::Table, format!("{}{at}: {old} -> {new}", is.name));
                }
            }
        }
        for (soft, pages) in world.softs.iter().enumerate() {
            for (page, slot) in pages.iter().enumerate() {
                if before.get(*slot) != after.get(*slot) {
                    let (old, new) =
                        (world.entry_name(before.get(*slot)), world.entry_name(after.get(*slot)));
                    let text =
                        format!("{} {}: {old} -> {new}", shape.softs[soft], shape.pages[page].name);
                    add(ChangeKind::Table, text);
                }
            }
        }
        for (lock, slots) in world.locks.iter().enumerate() {
            let (old, new) = (before.get(slots.writer), after.get(slots.writer));
            if old != new {
                let who = match new {
                    0 => "free".to_owned(),
                    thread => self.agent_name(thread as usize - 1),
                };
                add(ChangeKind::Lock, format!("{}: {who}", world.lock_name(lock)));
            }
            let (old, new) = (before.get(slots.readers), after.get(slots.readers));
            if old != new {
                let readers = (0..world.threads.len()).filter(|thread| new >> thread & 1 != 0);
                let names: Vec<String> = readers.map(|thread| self.agent_name(thread)).collect();
                let who = if names.is_empty() {
                    "no readers".to_owned()
                } else {
                    format!("read by {}", names.join(", "))
                };
                add(ChangeKind::Lock, format!("{}: {who}", world.lock_name(lock)));
            }
        }
        for (context, is) in shape.contexts.iter().enumerate() {
            let loaded = |state: &State| match world.root(state, context) {
                Some(space) => {
                    let tag = world.tagged(state, context) - is.cache;
                    let lazy = state.get(world.contexts[context].lazy) != 0;
                    let lazy = if lazy { ", lazy" } else { "" };
                    format!("{} tag {tag}{lazy}", shape.spaces[space])
                }
                None => "nothing".to_owned(),
            };
            if loaded(before) != loaded(after) {
                add(
                    ChangeKind::Table,
                    format!("{}: {} -> {}", is.name, loaded(before), loaded(after)),
                );
            }
        }
        for (at, cache) in shape.caches.iter().enumerate() {
            for (page, is) in shape.pages.iter().enumerate() {
                let old = self.machine.mmu.entries(world, before, at, page);
                let new = self.machine.mmu.entries(world, after, at, page);
                let gone: Vec<i64> =
                    old.iter().filter(|value| !new.contains(value)).copied().collect();
                if gone.is_empty() {
                    continue;
                }
                let who = if cache.cpu { "CPUs forget" } else { "forgets" };
                let name = if cache.cpu { String::new() } else { format!("{} ", cache.name) };
                let at = if cache.space == 0 {
                    String::new()
                } else {
                    format!("@{}", shape.spaces[cache.space])
                };
                let names: Vec<String> =
                    gone.iter().map(|value| world.entry_name(*value)).collect();
                let text = format!("{name}{who} {}{at} -> {}", is.name, names.join(", "));
                if !list.iter().any(|change| change.text == text) {
                    list.push(Change { kind: ChangeKind::Tlb, text });
                }
            }
        }
        let mut add = |kind, text: String| list.push(Change { kind, text });
        for (queue, places) in world.queues.iter().enumerate() {
            let count = |state: &State| places.iter().filter(|slot| state.get(**slot) != 0).count();
            if count(before) != count(after) {
                add(
                    ChangeKind::Queue,
                    format!("{}: {} posted", shape.queues[queue].name, count(after)),
                );
            }
        }
        for (frame, is) in shape.frames.iter().enumerate() {
            let (old, new) = (before.get(world.frames[frame]), after.get(world.frames[frame]));
            if old != new {
                let what = if new == shootdown_machine::pages::FREE { "freed" } else { "taken" };
                add(ChangeKind::Frame, format!("{} {what}", is.name));
            }
            let (old, now) = (before.get(world.marked[frame]), after.get(world.marked[frame]));
            if old != now {
                let what = if now != 0 { "marked dirty" } else { "no longer marked" };
                add(ChangeKind::Frame, format!("{} {what}", is.name));
            }
            if before.get(world.kept[frame]) == Kept::Older as i64
                && after.get(world.kept[frame]) == Kept::Same as i64
            {
                add(ChangeKind::Frame, format!("{} written out", is.name));
            }
            let words = &world.contents[frame];
            let changed = words.iter().any(|word| before.get(*word) != after.get(*word));
            if changed && new != shootdown_machine::pages::FREE {
                let values: Vec<String> =
                    words.iter().map(|word| value_name(after.get(*word))).collect();
                add(ChangeKind::Frame, format!("{} = {{{}}}", is.name, values.join(", ")));
            }
        }
        for (word, is) in shape.words.iter().enumerate() {
            let (old, new) = (before.get(world.words[word]), after.get(world.words[word]));
            if old != new {
                add(ChangeKind::Word, format!("[{}] = {}", is.name, value_name(new)));
            }
        }
        for slots in &world.threads {
            let (old, new) = (before.get(slots.ranges), after.get(slots.ranges));
            if old != new {
                let what = if new > old { "range open" } else { "range closed" };
                add(ChangeKind::Range, what.to_owned());
            }
        }
        list
    }
}
