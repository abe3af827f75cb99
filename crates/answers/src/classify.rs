//! What an end that ideal memory lacks is called.
//!
//! The access that makes it impossible is found: the earliest point of the run
//! from which no end of ideal memory agrees with what the threads know. If that
//! access went through an old translation, the step that broke the obligation
//! is found by what the translation outlived; otherwise the old translations
//! that were written through before it are asked.

use std::collections::BTreeSet;

use shootdown_litmus::program::ContractKind;
use shootdown_machine::machine::Machine;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::model::Process;
use shootdown_machine::outcome::{Observable, comparable};
use shootdown_machine::run::frame_of_choice;
use shootdown_machine::sets::Sets;
use shootdown_machine::state::State;
use shootdown_machine::weak::age_of;
use shootdown_step::value::{WORD_BASE, entry, frame_of_page, page_of_address};
use shootdown_step::{EntryAt, Op};

use crate::check::revokes;
use crate::story::Story;

/// Ends of ideal memory.
pub struct Ends {
    /// What is compared.
    pub compared: Vec<Observable>,
    /// Every end.
    pub allowed: BTreeSet<Vec<i64>>,
}

impl Ends {
    /// Whether ideal memory has this end.
    pub fn allows<M: Mmu>(&self, machine: &Machine<M>, state: &State) -> bool {
        self.allowed.contains(&comparable(machine, state, &self.compared))
    }
}

/// An access through a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The step, from 0.
    pub row: usize,
    /// Who.
    pub thread: usize,
    /// Which page.
    pub page: usize,
    /// Where it went.
    pub frame: usize,
    /// Whether it wrote.
    pub write: bool,
    /// The table does not grant it at that time.
    pub stale: bool,
}

/// What was found out about an end.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Codes, with the step that breaks each and its name; the earliest first.
    pub obligations: Vec<(&'static str, usize, String)>,
    /// The access that makes the end impossible.
    pub culprit: Option<usize>,
    /// Every access through an old translation that matters.
    pub uses: Vec<Use>,
    /// Every write through a pin that matters: the step, who, and the frame.
    pub pinned: Vec<(usize, usize, usize)>,
}

/// Names an end.
pub fn name_outcome(story: &Story<'_>, ends: &Ends) -> Named {
    let uses = story.uses();
    let culprit = culprit(story, ends);
    let stale = uses.iter().filter(|used| used.stale).copied();
    let mut candidates: Vec<Use> = match culprit {
        Some(row) => stale.clone().filter(|used| used.row == row).collect(),
        None => Vec::new(),
    };
    if candidates.is_empty() {
        let last = culprit.unwrap_or(usize::MAX);
        candidates = stale.clone().filter(|used| used.write && used.row < last).collect();
    }
    if candidates.is_empty() {
        candidates = stale.filter(|used| culprit.is_none_or(|row| used.row < row)).collect();
    }
    let mut obligations: Vec<(&'static str, usize, String)> = Vec::new();
    for used in &candidates {
        for (code, row) in outlived(story, used) {
            if !obligations.iter().any(|(known, at, _)| *known == code && *at == row) {
                obligations.push((code, row, story.name_of(row)));
            }
        }
    }
    if obligations.is_empty() {
        // A write behind a copy may go through an entry that the table still has.
        let last = culprit.unwrap_or(usize::MAX);
        for used in uses.iter().filter(|used| used.write && !used.stale && used.row < last) {
            for (code, row) in outlived(story, used).into_iter().filter(|(code, _)| *code == "COPY")
            {
                if !obligations.iter().any(|(_, at, _)| *at == row) {
                    obligations.push((code, row, story.name_of(row)));
                    candidates.push(*used);
                }
            }
        }
    }
    let mut pinned = Vec::new();
    if obligations.is_empty() {
        // A pin passes all tables: its page may be copied and replaced, or given
        // to a child as well, and it still takes what a device writes.
        for used in pinned_writes(story).filter(|used| used.row < culprit.unwrap_or(usize::MAX)) {
            let fits = |(code, row): &(&'static str, usize)| match *code {
                "COPY" => true,
                "RETURN" => is_fork(story, *row),
                _ => false,
            };
            for (code, row) in outlived(story, &used).into_iter().filter(fits) {
                if !obligations.iter().any(|(known, at, _)| *known == code && *at == row) {
                    obligations.push((code, row, story.name_of(row)));
                    pinned.push((used.row, used.thread, used.frame));
                }
            }
        }
    }
    obligations.sort_by_key(|(_, row, _)| *row);
    Named { obligations, culprit, uses: candidates, pinned }
}

/// Whether a step is the return of a fork. Of what others revoke a pin keeps what
/// it had: on ideal memory too it goes to the cell of that time.
fn is_fork(story: &Story<'_>, row: usize) -> bool {
    let Process::Thread(thread) = story.run.steps[row].0 else { return false };
    let world = &story.machine.world;
    let Some((_, Op::Return { contract })) = world.next_step(story.state(row), thread) else {
        return false;
    };
    let kind = world.lowered.contracts[*contract].kind;
    matches!(kind, ContractKind::Fork | ContractKind::ForkPerPage)
}

/// Writes to a page while somebody has it pinned, for each address that led to
/// it before.
fn pinned_writes<'s>(story: &'s Story<'_>) -> impl Iterator<Item = Use> + 's {
    let world = &story.machine.world;
    let frames = (0..story.run.steps.len()).filter_map(move |row| {
        let Process::Thread(thread) = story.run.steps[row].0 else { return None };
        let before = story.state(row);
        let Some((_, Op::PageWrite { page, .. })) = world.next_step(before, thread) else {
            return None;
        };
        let frame = frame_of_page(story.value(before, thread, page))?;
        (before.get(world.pins[frame]) != 0).then_some((row, thread, frame))
    });
    frames.flat_map(move |(row, thread, frame)| {
        let led = move |page: &usize| {
            (0..=row).any(|at| entry::frame(world.walk(story.state(at), 0, *page)) == Some(frame))
        };
        let pages = (0..world.shape().pages.len()).filter(led);
        pages.map(move |page| Use { row, thread, page, frame, write: true, stale: false })
    })
}

/// The variables and faults that have got a value in a run, with the step that
/// gave it.
pub(crate) fn known(story: &Story<'_>, ends: &Ends) -> Vec<(usize, usize)> {
    let compared = ends.compared.iter().enumerate();
    compared
        .filter_map(|(at, what)| match what {
            Observable::Variable(thread, variable) => {
                Some((at, story.last_write(*thread, *variable)?))
            }
            Observable::Fault(thread) => Some((at, story.fault_of(*thread)?)),
            _ => None,
        })
        .collect()
}

/// The first step after which no end of ideal memory agrees with what is known.
pub(crate) fn culprit(story: &Story<'_>, ends: &Ends) -> Option<usize> {
    let last = &story.run.steps.last()?.2;
    let values = comparable(story.machine, last, &ends.compared);
    let known = known(story, ends);
    let mut rows: Vec<usize> = known.iter().map(|(_, row)| *row).collect();
    rows.sort_unstable();
    rows.dedup();
    rows.into_iter().find(|row| {
        let agreed: Vec<usize> =
            known.iter().filter(|(_, at)| at <= row).map(|(at, _)| *at).collect();
        !ends.allowed.iter().any(|end| agreed.iter().all(|at| end[*at] == values[*at]))
    })
}

/// The obligations that the use of a translation breaks, with the steps that
/// it outlived.
fn outlived(story: &Story<'_>, used: &Use) -> Vec<(&'static str, usize)> {
    let world = &story.machine.world;
    let agent = &world.shape().agents[used.thread];
    let space = space_of(story.machine, story.state(used.row), used.thread);
    // What is under a tag that is not loaded nobody can use.
    let through = |state: &State| world.translation(state, used.thread);
    let used_then = through(story.state(used.row));
    let usable = |state: &State| agent.context.is_none() || through(state) == used_then;
    let mut found = Vec::new();
    // Who took the used entry out of the table: only who does that replaces it.
    // A page that a later fault maps is no new entry in its place.
    let mut cleared_by = None;
    // Whether the table has led there yet.
    let mut mapped = false;
    let mut replaced = None;
    let mut copied: Vec<(usize, usize)> = Vec::new();
    for row in 0..used.row {
        let Process::Thread(thread) = story.run.steps[row].0 else { continue };
        let (before, after) = (story.state(row), story.state(row + 1));
        let Some((_, op)) = world.next_step(before, thread) else { continue };
        let value = |expr| story.value(before, thread, expr);
        let leads =
            |state: &State| entry::frame(world.walk(state, space, used.page)) == Some(used.frame);
        let was_there = leads(before);
        mapped |= was_there;
        if was_there && !leads(after) {
            cleared_by = Some(thread);
        }
        match op {
            Op::PutPage { .. } | Op::GatherFree if usable(after) => {
                let slot = world.frames[used.frame];
                if before.get(slot) != after.get(slot)
                    && after.get(slot) == shootdown_machine::pages::FREE
                {
                    found.push(("FREE", row));
                }
            }
            Op::CopyPage { from, to } if frame_of_page(value(from)) == Some(used.frame) => {
                if let Some(to) = frame_of_page(value(to))
                    && !copied.iter().any(|(_, known)| *known == to)
                {
                    copied.push((row, to));
                }
            }
            Op::SamePages { left, right, .. } => {
                let pair = (frame_of_page(value(left)), frame_of_page(value(right)));
                if let (Some(left), Some(right)) = pair
                    && (left == used.frame || right == used.frame)
                {
                    copied.push((row, if left == used.frame { right } else { left }));
                }
            }
            Op::SetEntry { entry: at, value: new } => {
                let new = value(new);
                let pointer = value(at.pointer());
                let page_there = match at {
                    EntryAt::Lower(_) => world
                        .shape()
                        .entry_of_pointer(pointer)
                        .is_some_and(|(_, page)| page == used.page),
                    EntryAt::Upper(_) => world
                        .shape()
                        .upper_of_pointer(pointer)
                        .is_some_and(|(_, block)| world.shape().blocks[block].contains(&used.page)),
                    EntryAt::Soft(..) => false,
                };
                if page_there && let Some(frame) = entry::frame(new) {
                    if frame == used.frame {
                        // The table leads there again: what came before does
                        // not count.
                        replaced = None;
                        continue;
                    }
                    // A copy takes its place, whoever maps it.
                    let copy = copied.iter().any(|(_, to)| *to == frame);
                    if was_there || cleared_by == Some(thread) || copy {
                        replaced.get_or_insert(row);
                    }
                }
            }
            Op::LoadRoot { context, .. } if agent.context == Some(*context) => {
                // Every entry is new, and this one is not among them.
                let now = world.walk(after, space, used.page);
                let stale =
                    entry::frame(now) != Some(used.frame) || !entry::grants(now, used.write);
                replaced = stale.then_some(row);
            }
            Op::Return { contract } => {
                // The return kills what is older than the call's own state,
                // whoever took it out of the table.
                let kind = world.lowered.contracts[*contract].kind;
                let about = story.machine.contract_pages(before, *contract) >> used.page & 1 != 0;
                let now = world.walk(before, space, used.page);
                let elsewhere = entry::frame(now) != Some(used.frame);
                let taken = match kind {
                    ContractKind::Downgrade | ContractKind::Fork | ContractKind::ForkPerPage => {
                        used.write && !entry::grants(now, true)
                    }
                    // The entry still leads there, and grants nothing.
                    ContractKind::Revoke => elsewhere || !entry::grants(now, used.write),
                    _ => elsewhere,
                };
                if about && taken && mapped && revokes(kind) && usable(after) {
                    found.push(("RETURN", row));
                }
            }
            _ => {}
        }
    }
    // A copy counts if the table leads to it in the end.
    let last = story.state(story.run.steps.len());
    for (row, to) in copied {
        let installed = (0..=story.run.steps.len())
            .any(|at| entry::frame(world.walk(story.state(at), 0, used.page)) == Some(to))
            || entry::frame(world.walk(last, 0, used.page)) == Some(to);
        if used.write && installed {
            found.push(("COPY", row));
        }
    }
    // A write through what survived the copy is lost whether it comes before the
    // new entry or after it: the copy is what it broke.
    let copied = found.iter().any(|(code, _)| *code == "COPY");
    if let Some(row) = replaced.filter(|_| !copied) {
        found.push(("NEW", row));
    }
    found
}

/// The address space whose pages a thread's accesses name.
pub(crate) fn space_of(machine: &Machine<Sets>, state: &State, thread: usize) -> usize {
    let own = machine.world.shape().agents[thread].space;
    machine.world.translation(state, thread).map_or(own, |(_, space)| space)
}

/// An access of a step, if it is one that is translated.
pub(crate) fn use_of(
    machine: &Machine<Sets>,
    before: &State,
    process: Process,
    choice: u32,
    row: usize,
) -> Option<Use> {
    let Process::Thread(thread) = process else { return None };
    let world = &machine.world;
    let (_, op) = world.next_step(before, thread)?;
    let Op::Access { pointer, access, .. } = op else { return None };
    let (choice, _) = age_of(choice);
    let registers = &world.threads[thread].registers;
    let pointer = pointer.value(&|reg| before.get(registers[reg.0 as usize]));
    if pointer >= WORD_BASE {
        return None;
    }
    let page = page_of_address(pointer)?;
    // An access that was translated before is performed now.
    let frame = match before.get(world.threads[thread].in_flight) {
        0 => frame_of_choice(choice)?,
        in_flight => in_flight as usize - 1,
    };
    let space = space_of(machine, before, thread);
    let write = access.writes();
    let now = world.walk(before, space, page);
    let stale = entry::frame(now) != Some(frame) || !entry::grants(now, write);
    Some(Use { row, thread, page, frame, write, stale })
}
