//! The checkers, the ways in which they are run, and what they answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::child::{Limits, Usage};
use crate::family::{Policy, Size};
use crate::{in_rust, known, ours, rumur, spin};

/// A program that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Ours,
    Spin,
    Rumur,
    Stateright,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Ours => "ours",
            Peer::Spin => "spin",
            Peer::Rumur => "rumur",
            Peer::Stateright => "stateright",
        }
    }
}

/// A way to run a peer. All use one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Ours, with whatever it does by itself.
    Ours,
    /// Spin, depth first, every state.
    SpinDeep,
    /// Spin, breadth first, every state: the shortest violation.
    SpinBroad,
    /// Spin, depth first with partial order reduction.
    SpinReduced,
    /// Rumur, every state; it goes breadth first by itself.
    Rumur,
    /// Rumur with the devices sorted (a scalarset).
    RumurSorted,
    /// stateright, breadth first, every state.
    StaterightBroad,
    /// stateright with the devices sorted, which it can do depth first only.
    StaterightSorted,
}

impl Mode {
    pub const ALL: [Mode; 8] = [
        Mode::Ours,
        Mode::SpinDeep,
        Mode::SpinBroad,
        Mode::SpinReduced,
        Mode::Rumur,
        Mode::RumurSorted,
        Mode::StaterightBroad,
        Mode::StaterightSorted,
    ];

    pub fn peer(self) -> Peer {
        match self {
            Mode::Ours => Peer::Ours,
            Mode::SpinDeep | Mode::SpinBroad | Mode::SpinReduced => Peer::Spin,
            Mode::Rumur | Mode::RumurSorted => Peer::Rumur,
            Mode::StaterightBroad | Mode::StaterightSorted => Peer::Stateright,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mode::Ours => "ours",
            Mode::SpinDeep => "spin dfs",
            Mode::SpinBroad => "spin bfs",
            Mode::SpinReduced => "spin por",
            Mode::Rumur => "rumur",
            Mode::RumurSorted => "rumur sorted",
            Mode::StaterightBroad => "stateright bfs",
            Mode::StaterightSorted => "stateright sorted",
        }
    }

    /// Whether the first violation that it meets is a shortest one.
    pub fn is_breadth_first(self) -> bool {
        matches!(self, Mode::SpinBroad | Mode::Rumur | Mode::RumurSorted | Mode::StaterightBroad)
    }

    /// Whether it uses no reduction.
    pub fn visits_everything(self) -> bool {
        matches!(self, Mode::SpinDeep | Mode::SpinBroad | Mode::Rumur | Mode::StaterightBroad)
    }

    /// Bytes that a state takes at the least, to refuse what cannot fit.
    fn bytes_of_a_state(self) -> u64 {
        match self.peer() {
            Peer::Ours => 0,
            Peer::Spin => 60,
            Peer::Rumur => 36,
            Peer::Stateright => 80,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    Holds,
    Violated,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Violated => "violated",
        }
    }
}

/// What a peer found and what it took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub verdict: Verdict,
    pub states: u64,
    /// Steps taken, into states that were known too; not that into the first.
    pub transitions: Option<u64>,
    /// Levels of a breadth-first search, the first state's included.
    pub levels: Option<u64>,
    /// Steps of the counterexample.
    pub length: Option<u64>,
    pub usage: Usage,
    /// Generating and compiling the search, for the peers that do.
    pub preparation: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub enum Answer {
    Found(Figures),
    /// The peer is not on this machine.
    Missing {
        why: String,
        install: String,
    },
    /// Known beforehand to lead nowhere.
    NotTried(String),
    /// Stopped by a limit.
    Stopped(String, Usage),
}

/// What a whole table needs to know.
pub struct Setting {
    pub limits: Limits,
    /// Try what takes minutes and gigabytes.
    pub long: bool,
    /// Our checker.
    pub ours: PathBuf,
}

/// Above this many states a run is long: about a minute for the slower peers.
const LONG: u64 = 20_000_000;

/// Runs one mode once.
///
/// # Errors
///
/// If the peer is there and does not do what it should: a model that it does
/// not accept, an answer that cannot be read.
pub fn run(mode: Mode, size: Size, policy: Policy, setting: &Setting) -> Result<Answer, String> {
    if let Some(why) = hopeless(mode, size, policy, setting) {
        return Ok(Answer::NotTried(why));
    }
    match mode.peer() {
        Peer::Ours => ours::run(size, policy, setting),
        Peer::Spin => spin::run(mode, size, policy, &setting.limits),
        Peer::Rumur => rumur::run(mode, size, policy, &setting.limits),
        Peer::Stateright => in_rust::run(mode, size, policy, &setting.limits),
    }
}

/// Why a run would not end, as far as known.
fn hopeless(mode: Mode, size: Size, policy: Policy, setting: &Setting) -> Option<String> {
    let states = known::states(mode, size)?;
    let states = match policy {
        Policy::UnderLock => states,
        // Depth first it is met at once, however many states there are;
        // breadth first, after a tenth of them or more.
        Policy::Deferred if mode.is_breadth_first() => states / 10,
        Policy::Deferred => return None,
    };
    let needed = states * mode.bytes_of_a_state();
    if needed > setting.limits.bytes {
        let (needed, allowed) = (needed >> 30, setting.limits.bytes >> 30);
        return Some(format!("{states} states need {needed} GiB or more, allowed are {allowed}"));
    }
    (states > LONG && !setting.long).then(|| format!("{states} states; --long tries"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_end_is_not_begun() {
        let limits = Limits { time: Duration::from_secs(60), bytes: 8 << 30 };
        let mut setting = Setting { limits, long: false, ours: PathBuf::new() };
        let largest = Size::new(4, 3);
        let why = |mode, policy, setting: &Setting| hopeless(mode, largest, policy, setting);
        assert_eq!(
            why(Mode::Rumur, Policy::UnderLock, &setting).as_deref(),
            Some("485086736 states need 16 GiB or more, allowed are 8")
        );
        assert_eq!(
            why(Mode::SpinReduced, Policy::UnderLock, &setting).as_deref(),
            Some("79903855 states; --long tries")
        );
        assert_eq!(why(Mode::SpinDeep, Policy::Deferred, &setting), None);
        setting.long = true;
        assert_eq!(why(Mode::SpinReduced, Policy::UnderLock, &setting), None);
        assert_eq!(hopeless(Mode::Rumur, Size::new(3, 3), Policy::UnderLock, &setting), None);
    }
}
