//! All minimal sets of places that are right, the cheapest first.
//!
//! A set of places that is wrong says where to look: a right one has a place that
//! is not in it. The wrong set is first made as large as it may be while it stays
//! wrong, which leaves few places for that: a *need*. A candidate is a cheapest
//! set that has a place for each need that is known; it is right, or there is one
//! need more. This is the enumeration of minimal hitting sets in the order of
//! their cost, and it is complete: a minimal right set has a place for each need,
//! and branching on the first need that a set lacks comes by every such set.
//!
//! Making a wrong set larger rests on this: with more notifications less can
//! happen. Where that is not so, no set is made larger, a need is only "something
//! else than these", and sets are tried up to a size.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::answer::Covered;

/// What a set of places turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Right,
    Wrong,
    /// The search of its states reached a limit.
    Open(String),
}

/// Sets by cost, then by size, then by their places.
type Candidate = Reverse<(u64, usize, Vec<usize>)>;

pub(super) struct Search<'j> {
    /// What each place costs; never nothing.
    pub(super) costs: &'j [u64],
    pub(super) judge: &'j dyn Fn(&[usize]) -> Said,
    /// With more places less can happen.
    pub(super) monotone: bool,
    /// The largest set that is tried if that is not so.
    pub(super) size: usize,
    /// How many sets are wanted.
    pub(super) wanted: usize,
    /// Why no more is asked, if it is so.
    pub(super) late: &'j dyn Fn() -> Option<&'static str>,
    /// Is told of each right set at once: what comes behind it may be cut short.
    pub(super) found: &'j dyn Fn(&[usize]),
}

impl Search<'_> {
    /// The right sets, and what was covered.
    pub(super) fn run(&self) -> (Vec<Vec<usize>>, Covered) {
        let all: Vec<usize> = (0..self.costs.len()).collect();
        let mut needs: Vec<Vec<usize>> = Vec::new();
        let mut right: Vec<Vec<usize>> = Vec::new();
        let mut open: Option<String> = None;
        let mut seen: HashSet<Vec<usize>> = HashSet::new();
        let mut queue: BinaryHeap<Candidate> = BinaryHeap::from([Reverse((0, 0, Vec::new()))]);
        let mut cut = false;
        while let Some(Reverse((_, _, set))) = queue.pop() {
            if has_one_of(&set, &right) {
                continue;
            }
            if right.len() >= self.wanted {
                return (right, Covered::Cheapest);
            }
            if let Some(why) = (self.late)() {
                return (right, Covered::Stopped(why.to_owned()));
            }
            let mut lacking = needs.iter().find(|need| !need.iter().any(|at| set.contains(at)));
            if lacking.is_none() {
                match (self.judge)(&set) {
                    Said::Right => {
                        (self.found)(&set);
                        right.push(set);
                        continue;
                    }
                    Said::Wrong => needs.push(self.need(&set, &all)),
                    Said::Open(why) => {
                        // Others than this one, of which nothing is known.
                        needs.push(without(&all, &set));
                        open.get_or_insert(why);
                    }
                }
                lacking = needs.last();
            }
            if !self.monotone && set.len() >= self.size {
                cut = true;
                continue;
            }
            for at in lacking.into_iter().flatten() {
                let mut larger = set.clone();
                larger.push(*at);
                larger.sort_unstable();
                if seen.insert(larger.clone()) {
                    let cost = larger.iter().map(|at| self.costs[*at]).sum();
                    queue.push(Reverse((cost, larger.len(), larger)));
                }
            }
        }
        let covered = match open {
            Some(why) => Covered::Stopped(why),
            None if cut => Covered::UpTo(self.size),
            None => Covered::All,
        };
        (right, covered)
    }

    /// Places of which a right set has one, since this one is wrong.
    fn need(&self, wrong: &[usize], all: &[usize]) -> Vec<usize> {
        let others = without(all, wrong);
        if !self.monotone {
            return others;
        }
        let largest = self.enlarge(wrong.to_vec(), &others);
        without(all, &largest)
    }

    /// The wrong set with as many of these as it may have and stay wrong: half by
    /// half, since most places help nobody.
    fn enlarge(&self, wrong: Vec<usize>, more: &[usize]) -> Vec<usize> {
        if more.is_empty() || (self.late)().is_some() {
            return wrong;
        }
        let mut larger = wrong.clone();
        larger.extend(more);
        larger.sort_unstable();
        if (self.judge)(&larger) == Said::Wrong {
            return larger;
        }
        if more.len() == 1 {
            return wrong;
        }
        let (first, last) = more.split_at(more.len() / 2);
        let wrong = self.enlarge(wrong, first);
        self.enlarge(wrong, last)
    }
}

/// Whether a set has all of one of these.
fn has_one_of(set: &[usize], others: &[Vec<usize>]) -> bool {
    others.iter().any(|other| other.iter().all(|at| set.contains(at)))
}

fn without(all: &[usize], some: &[usize]) -> Vec<usize> {
    all.iter().copied().filter(|at| !some.contains(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn search_of<'j>(
        costs: &'j [u64],
        judge: &'j dyn Fn(&[usize]) -> Said,
        late: &'j dyn Fn() -> Option<&'static str>,
    ) -> Search<'j> {
        Search { costs, judge, monotone: false, size: 1, wanted: 1, late, found: &|_| {} }
    }

    /// What a search finds if a set is right that has one of these.
    fn found(
        costs: &[u64],
        minimal: &[&[usize]],
        monotone: bool,
    ) -> (Vec<Vec<usize>>, Covered, usize) {
        let asked = Cell::new(0);
        let judge = |set: &[usize]| {
            asked.set(asked.get() + 1);
            let right = minimal.iter().any(|own| own.iter().all(|at| set.contains(at)));
            if right { Said::Right } else { Said::Wrong }
        };
        let search =
            Search { monotone, size: 2, wanted: usize::MAX, ..search_of(costs, &judge, &|| None) };
        let (sets, covered) = search.run();
        (sets, covered, asked.get())
    }

    /// The same without any thought: every set.
    fn by_hand(costs: &[u64], minimal: &[&[usize]]) -> Vec<(u64, Vec<usize>)> {
        let right = |set: &[usize]| minimal.iter().any(|own| own.iter().all(|a| set.contains(a)));
        let mut list = Vec::new();
        for bits in 0..1u32 << costs.len() {
            let set: Vec<usize> = (0..costs.len()).filter(|at| bits >> at & 1 != 0).collect();
            let less = |at: &usize| without(&set, &[*at]);
            if right(&set) && !set.iter().any(|at| right(&less(at))) {
                list.push((set.iter().map(|at| costs[*at]).sum(), set));
            }
        }
        list.sort();
        list
    }

    const CASES: [(&[u64], &[&[usize]]); 8] = [
        (&[1, 1, 1], &[]),
        (&[1, 1, 1], &[&[]]),
        (&[4, 4, 1, 1], &[&[1]]),
        (&[4, 4, 1, 1], &[&[0], &[1], &[2], &[3]]),
        (&[1, 2, 3, 4, 5], &[&[0, 1], &[2], &[3, 4]]),
        (&[1, 1, 1, 9, 1], &[&[0, 1, 2], &[3], &[0, 4]]),
        (&[3, 1, 2, 1, 1, 1], &[&[0, 1], &[1, 2], &[2, 3, 4], &[5, 0]]),
        (&[1, 1, 1, 1, 1, 1], &[&[0, 1, 2, 3], &[2, 3, 4, 5], &[0, 5]]),
    ];

    #[test]
    fn every_minimal_set_comes_once_and_the_cheapest_first() {
        for (costs, minimal) in CASES {
            let (sets, covered, _) = found(costs, minimal, true);
            assert_eq!(covered, Covered::All);
            let cost = |set: &Vec<usize>| set.iter().map(|at| costs[*at]).sum::<u64>();
            assert!(sets.is_sorted_by_key(cost), "{sets:?}");
            let mut list: Vec<(u64, Vec<usize>)> =
                sets.iter().map(|set| (cost(set), set.clone())).collect();
            list.sort();
            assert_eq!(list, by_hand(costs, minimal));
        }
    }

    #[test]
    fn where_more_may_hurt_small_sets_are_tried_one_by_one() {
        for (costs, minimal) in CASES {
            let (sets, covered, _) = found(costs, minimal, false);
            let mut small = by_hand(costs, minimal);
            small.retain(|(_, set)| set.len() <= 2);
            let mut sets = sets;
            sets.sort();
            let mut small: Vec<Vec<usize>> = small.into_iter().map(|(_, set)| set).collect();
            small.sort();
            assert_eq!(sets, small);
            assert!(covered == Covered::All || covered == Covered::UpTo(2));
        }
        // One place is right, and wrong together with another one.
        let judge = |set: &[usize]| match set {
            [1] => Said::Right,
            _ => Said::Wrong,
        };
        let search =
            Search { size: 2, wanted: usize::MAX, ..search_of(&[1, 1, 1], &judge, &|| None) };
        assert_eq!(search.run(), (vec![vec![1]], Covered::UpTo(2)));
    }

    #[test]
    fn one_place_of_many_is_found_with_few_questions() {
        let costs = [1; 64];
        let (sets, covered, asked) = found(&costs, &[&[37]], true);
        assert_eq!((sets, covered), (vec![vec![37]], Covered::All));
        assert!(asked < 20, "{asked}");
    }

    #[test]
    fn what_was_cut_short_is_said() {
        let judge = |set: &[usize]| match set.len() {
            1 => Said::Right,
            _ => Said::Wrong,
        };
        let search = |wanted, late: &dyn Fn() -> Option<&'static str>| {
            Search { size: 2, wanted, ..search_of(&[1; 4], &judge, late) }.run()
        };
        assert_eq!(search(2, &|| None), (vec![vec![0], vec![1]], Covered::Cheapest));
        // What was right before it was cut short stays.
        let told = RefCell::new(Vec::new());
        let late = || (told.borrow().len() == 2).then_some("interrupted");
        let found = |set: &[usize]| told.borrow_mut().push(set.to_vec());
        let cut = Search { size: 2, wanted: 9, found: &found, ..search_of(&[1; 4], &judge, &late) };
        let right = vec![vec![0], vec![1]];
        assert_eq!(cut.run(), (right.clone(), Covered::Stopped("interrupted".to_owned())));
        assert_eq!(told.into_inner(), right);
        let open = |_: &[usize]| Said::Open("a limit".to_owned());
        let search =
            Search { monotone: true, size: 2, wanted: 9, ..search_of(&[1, 1], &open, &|| None) };
        assert_eq!(search.run(), (Vec::new(), Covered::Stopped("a limit".to_owned())));
    }
}
