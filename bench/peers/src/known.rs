//! What is known of the family, so that a model that drifted is seen at once.
//!
//! The counts without reductions were found by five tools that share no code
//! (Spin, Rumur, TLC, stateright, LTSmin) and are therefore those of the model.
//! What reductions leave is a fact about one tool each; sorted devices come to
//! the same number in Rumur, TLC and stateright.

use crate::family::{Policy, Size};
use crate::peer::{Figures, Mode, Verdict};

/// Pages, devices, states, transitions, levels of a breadth-first search.
const WHOLE: [(usize, usize, u64, u64, u64); 8] = [
    (2, 1, 828, 2_386, 23),
    (2, 2, 8_816, 35_542, 27),
    (2, 3, 102_852, 537_102, 32),
    (3, 1, 11_272, 44_736, 34),
    (3, 2, 286_624, 1_613_844, 40),
    (3, 3, 8_237_320, 60_689_344, 47),
    (4, 1, 130_160, 650_808, 45),
    (4, 2, 7_379_648, 52_797_688, 53),
];

/// Pages, devices, states when devices are sorted.
const SORTED: [(usize, usize, u64); 4] =
    [(3, 2, 148_948), (3, 3, 1_519_956), (4, 2, 3_754_904), (4, 3, 84_581_000)];

/// Pages, devices, states with Spin's partial order reduction.
const SPIN_REDUCED: [(usize, usize, u64); 3] =
    [(3, 3, 2_598_998), (4, 2, 1_155_367), (4, 3, 79_903_855)];

/// The states of the whole graph at 4,3: nobody visited them all, they are the
/// sum over the orbits of a search with sorted devices.
const LARGEST: (usize, usize, u64) = (4, 3, 485_086_736);

/// Steps of a shortest violation at 2, 3 and 4 pages, whatever the devices.
const SHORTEST: [(usize, u64); 3] = [(2, 17), (3, 19), (4, 21)];

fn find<const N: usize>(table: [(usize, usize, u64); N], size: Size) -> Option<u64> {
    let row = table.iter().find(|row| (row.0, row.1) == (size.pages, size.devices));
    row.map(|row| row.2)
}

/// States, transitions and levels of the whole graph, under the lock.
fn whole(size: Size) -> Option<(u64, u64, u64)> {
    let row = WHOLE.iter().find(|row| (row.0, row.1) == (size.pages, size.devices));
    row.map(|row| (row.2, row.3, row.4))
}

/// How many states a mode visits to prove the policy under the lock.
pub fn states(mode: Mode, size: Size) -> Option<u64> {
    match mode {
        Mode::Ours => None,
        Mode::SpinReduced => find(SPIN_REDUCED, size),
        // With one device there is nothing to sort.
        Mode::RumurSorted | Mode::StaterightSorted if size.devices > 1 => find(SORTED, size),
        _ => whole(size).map(|row| row.0).or_else(|| find([LARGEST], size)),
    }
}

/// What is wrong with figures, if anything is known that they contradict.
pub fn contradiction(mode: Mode, size: Size, policy: Policy, figures: &Figures) -> Option<String> {
    let expected = if policy.holds(size) { Verdict::Holds } else { Verdict::Violated };
    if figures.verdict != expected {
        return Some(format!("{}, known to be {}", figures.verdict.name(), expected.name()));
    }
    let differs = |what: &str, found: Option<u64>, known: Option<u64>| match (found, known) {
        (Some(found), Some(known)) if found != known => {
            Some(format!("{found} {what}, known are {known}"))
        }
        _ => None,
    };
    match expected {
        Verdict::Holds if policy == Policy::UnderLock => {
            let exact = whole(size).filter(|_| mode.visits_everything());
            let levels = exact.filter(|_| mode.is_breadth_first());
            differs("states", Some(figures.states), states(mode, size))
                .or_else(|| differs("transitions", figures.transitions, exact.map(|row| row.1)))
                .or_else(|| differs("levels", figures.levels, levels.map(|row| row.2)))
        }
        Verdict::Violated if mode.is_breadth_first() => {
            let known = SHORTEST.iter().find(|row| row.0 == size.pages).map(|row| row.1);
            differs("steps to the violation", figures.length, known)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(verdict: Verdict, states: u64) -> Figures {
        Figures { verdict, states, ..Figures::default() }
    }

    #[test]
    fn a_model_that_drifted_is_seen() {
        let size = Size::new(2, 1);
        let right = figures(Verdict::Holds, 828);
        assert_eq!(contradiction(Mode::SpinDeep, size, Policy::UnderLock, &right), None);
        let wrong = figures(Verdict::Holds, 829);
        assert_eq!(
            contradiction(Mode::Rumur, size, Policy::UnderLock, &wrong).as_deref(),
            Some("829 states, known are 828")
        );
        assert_eq!(
            contradiction(Mode::Ours, size, Policy::Deferred, &right).as_deref(),
            Some("holds, known to be violated")
        );
    }

    #[test]
    fn a_long_witness_is_wrong_only_where_the_shortest_was_promised() {
        let long = Figures { length: Some(29), ..figures(Verdict::Violated, 1) };
        let at = |mode| contradiction(mode, Size::new(3, 2), Policy::Deferred, &long);
        assert_eq!(at(Mode::SpinDeep), None);
        assert_eq!(at(Mode::SpinBroad).as_deref(), Some("29 steps to the violation, known are 19"));
    }

    #[test]
    fn one_device_has_nothing_to_sort() {
        assert_eq!(states(Mode::RumurSorted, Size::new(3, 1)), Some(11_272));
        assert_eq!(states(Mode::RumurSorted, Size::new(2, 2)), None);
        assert_eq!(states(Mode::Rumur, Size::new(4, 3)), Some(485_086_736));
    }
}
