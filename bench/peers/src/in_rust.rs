// SPDX-License-Identifier: MIT OR Apache-2.0

//! The family for the crate stateright, which is compiled in.
//!
//! It runs in a process of its own like the other peers, so that its time and
//! memory are measured the same way: the program starts itself with
//! [`WORD`] as the first argument and reads back one line of JSON.
//!
//! The state is kept as small as the tool allows, because it hashes and clones
//! all of it at each step: two bits for each entry that a device has cached.

use serde_json::{Value, json};
use stateright::{Checker, Model, Property, Representative};

use crate::child::{self, Limits};
use crate::family::{MOST, Policy, Size};
use crate::peer::{Answer, Figures, Mode, Verdict};

/// The first argument of the child.
pub const WORD: &str = "--stateright-child";

const PROPERTY: &str = "new after old";

/// Where a copy is: about to take this step.
mod at {
    pub(super) const LOCK: u8 = 1;
    pub(super) const CLEAR: u8 = 2;
    pub(super) const FLUSH: u8 = 3;
    pub(super) const NOTIFY: u8 = 4;
    pub(super) const SET: u8 = 5;
    pub(super) const UNLOCK: u8 = 6;
    pub(super) const RANGE_END: u8 = 7;
    pub(super) const DONE: u8 = 8;
}

const ABSENT: u16 = 0;
const OLD: u16 = 1;
const NEW: u16 = 2;

struct Family {
    size: Size,
    policy: Policy,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    at: [u8; MOST.pages],
    /// New pages below this hold the new value.
    stores: u8,
    devices: [Device; MOST.devices],
}

/// One that is not in use is all zeroes and remains so. Nothing is smaller, so
/// that sorting leaves those not in use in front, or swaps equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Device {
    /// Two bits for each page.
    cached: u16,
    /// Pages below this are still to be read.
    left: u8,
    seen: bool,
    wrong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Copy(u8),
    Store,
    Read(u8),
    Fill(u8, u8),
}

impl Device {
    fn entry(&self, page: usize) -> u16 {
        self.cached >> (2 * page) & 3
    }

    fn cache(&mut self, page: usize, entry: u16) {
        self.cached = self.cached & !(3 << (2 * page)) | entry << (2 * page);
    }
}

impl State {
    /// The page's entry follows from how far its copy is.
    fn entry(&self, page: usize) -> u16 {
        match self.at[page] {
            0..=at::CLEAR => OLD,
            at::FLUSH..=at::SET => ABSENT,
            _ => NEW,
        }
    }
}

impl Family {
    /// The devices in use: the last ones, so that sorting leaves them in use.
    fn devices(&self) -> std::ops::Range<usize> {
        MOST.devices - self.size.devices..MOST.devices
    }
}

impl Representative for State {
    /// Devices are equal: sorted, they stand for all their permutations.
    fn representative(&self) -> Self {
        let mut sorted = self.clone();
        sorted.devices.sort_unstable();
        sorted
    }
}

impl Model for Family {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut devices = [Device::default(); MOST.devices];
        devices[self.devices()].fill(Device { left: self.size.pages as u8, ..Device::default() });
        vec![State { at: [0; MOST.pages], stores: 0, devices }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let pages = &state.at[..self.size.pages];
        let locked = pages.iter().any(|at| (at::CLEAR..=at::UNLOCK).contains(at));
        for (page, &at) in pages.iter().enumerate() {
            if at != at::DONE && !(at == at::LOCK && locked) {
                actions.push(Action::Copy(page as u8));
            }
        }
        let next = usize::from(state.stores);
        if next < self.size.pages && state.entry(next) == NEW {
            actions.push(Action::Store);
        }
        for d in self.devices() {
            let device = &state.devices[d];
            if device.left > 0 && device.entry(usize::from(device.left) - 1) != ABSENT {
                actions.push(Action::Read(d as u8));
            }
            for page in 0..self.size.pages {
                if device.entry(page) == ABSENT && state.entry(page) != ABSENT {
                    actions.push(Action::Fill(d as u8, page as u8));
                }
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Copy(page) => {
                let page = usize::from(page);
                let deferred = self.policy == Policy::Deferred;
                let at = &mut next.at[page];
                let notifies = *at == at::NOTIFY || (*at == at::RANGE_END && deferred);
                // The deferred policy has no such place.
                *at = if *at == at::FLUSH && deferred { at::SET } else { *at + 1 };
                if notifies {
                    next.devices.iter_mut().for_each(|device| device.cache(page, ABSENT));
                }
            }
            Action::Store => next.stores += 1,
            Action::Read(d) => {
                let device = &mut next.devices[usize::from(d)];
                device.left -= 1;
                let new = device.entry(usize::from(device.left)) == NEW;
                let value = new && device.left < state.stores;
                device.wrong |= device.seen && !value;
                device.seen |= value;
            }
            Action::Fill(d, page) => {
                let page = usize::from(page);
                next.devices[usize::from(d)].cache(page, state.entry(page));
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(PROPERTY, |_, state: &State| {
            !state.devices.iter().any(|device| device.wrong)
        })]
    }
}

/// The child's part: checks and prints.
pub fn child(arguments: &[String]) -> Result<(), String> {
    let [size, policy, mode] = arguments else {
        return Err(format!("{WORD} is for the program itself"));
    };
    let policy = if policy == "locked" { Policy::UnderLock } else { Policy::Deferred };
    let checker = Family { size: size.parse()?, policy }.checker().threads(1);
    let found = match mode.as_str() {
        "sorted" => report(&checker.symmetry().spawn_dfs().join()),
        _ => report(&checker.spawn_bfs().join()),
    };
    println!("{found}");
    Ok(())
}

fn report(checker: &impl Checker<Family>) -> Value {
    json!({
        "states": checker.unique_state_count(),
        // The first state counts as generated too.
        "transitions": checker.state_count() - 1,
        "levels": checker.max_depth(),
        "length": checker.discovery(PROPERTY).map(|path| path.into_actions().len()),
    })
}

/// The parent's part.
pub fn run(mode: Mode, size: Size, policy: Policy, limits: &Limits) -> Result<Answer, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("cannot find the program itself: {error}"))?;
    let Size { pages, devices } = size;
    let arguments = [
        WORD.to_owned(),
        format!("{pages},{devices}"),
        if policy == Policy::UnderLock { "locked" } else { "deferred" }.to_owned(),
        if mode == Mode::StaterightSorted { "sorted" } else { "whole" }.to_owned(),
    ];
    let ended = child::run(std::process::Command::new(program).args(arguments), limits)?;
    if let Some(why) = ended.stopped(limits) {
        return Ok(Answer::Stopped(why, ended.usage));
    }
    let found: Value = serde_json::from_str(&ended.output)
        .map_err(|_| format!("stateright: {}", ended.last_words()))?;
    let number = |key: &str| found[key].as_u64();
    let length = number("length");
    Ok(Answer::Found(Figures {
        verdict: if length.is_some() { Verdict::Violated } else { Verdict::Holds },
        states: number("states").ok_or("stateright: no count of states")?,
        transitions: number("transitions"),
        levels: number("levels").filter(|_| mode == Mode::StaterightBroad),
        length,
        usage: ended.usage,
        ..Figures::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(size: Size, policy: Policy) -> Value {
        report(&Family { size, policy }.checker().threads(1).spawn_bfs().join())
    }

    #[test]
    fn the_known_counts_come_out() {
        assert_eq!(
            found(Size::new(2, 1), Policy::UnderLock),
            json!({"states": 828, "transitions": 2386, "levels": 23, "length": null})
        );
        assert_eq!(found(Size::new(2, 2), Policy::UnderLock)["states"], 8816);
    }

    #[test]
    fn the_deferred_policy_is_violated_in_seventeen_steps() {
        assert_eq!(found(Size::new(2, 1), Policy::Deferred)["length"], 17);
    }

    #[test]
    fn sorting_does_not_confuse_a_device_with_an_unused_one() {
        let family = Family { size: Size::new(2, 2), policy: Policy::UnderLock };
        let sorted = family.checker().threads(1).symmetry().spawn_dfs().join();
        let states = sorted.unique_state_count();
        // Orbits of two equal devices: at least half of the states.
        assert!((4_408..8_816).contains(&states), "{states}");
        assert!(sorted.discovery(PROPERTY).is_none());
    }
}
