//! States from which a run can only go on for ever.
//!
//! Who follows steps to the next level comes to an end, or to a state that has
//! none: one that has *turned*. So if an end can be reached from every state
//! that has turned, it can from all, and the search has kept a list of them. A
//! way on from each is looked for, from the deepest to the first: it may stop
//! at any state that is deeper, and at any that is known to be good.
//!
//! If that finds one from which there is no way on, or takes too long, all
//! states are looked at. No edges are stored, so the states from which an end
//! can be reached are marked by expanding them again: a state is good if it has
//! no steps or leads to a good one. The levels are swept from the deepest to
//! the first, because most steps lead to the next level, and as often as that
//! marks something. What is left is trapped. The marks that are left at last do
//! not depend on the order, so threads may set and read them as they please.

use std::collections::HashSet;

use crate::bits::Bits;
use crate::limit::Stop;
use crate::model::Model;
use crate::packed::Packed;
use crate::parallel::in_parallel;
use crate::search::{BLOCK, FEW};
use crate::store::{Place, SHARDS, Store};
use crate::successor::Successors;

/// A bit for each state.
struct Marks {
    shards: Vec<Bits>,
}

impl Marks {
    fn new<S: Packed>(store: &Store<S>) -> Marks {
        Marks { shards: store.shards.iter().map(|shard| Bits::new(shard.len())).collect() }
    }

    fn get(&self, place: Place) -> bool {
        self.shards[place.shard].get(place.index)
    }

    fn set(&self, place: Place) {
        self.shards[place.shard].set(place.index);
    }
}

/// The least trapped state of the first level that has one, and that level.
///
/// `turned` are the states without a step to the next level that have any.
/// `may_go_on` is asked between blocks of states.
pub(crate) fn find<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    turned: Vec<Place>,
    threads: usize,
    may_go_on: impl Fn() -> Result<(), Stop>,
) -> Result<Option<(usize, M::State)>, Stop> {
    if (Ways { successors, store, left: store.len() / 2 }).lead_on_from_all(turned, &may_go_on)? {
        return Ok(None);
    }
    sweep_all(successors, store, threads, may_go_on)
}

/// Ways on from states that have turned.
struct Ways<'s, 'm, M: Model> {
    successors: &'s Successors<'m, M>,
    store: &'s Store<M::State>,
    /// States that may still be expanded before a sweep is cheaper.
    left: u64,
}

impl<M: Model> Ways<'_, '_, M> {
    /// Whether an end can be reached from each of these; `false` if that was
    /// not found out.
    fn lead_on_from_all(
        mut self,
        mut turned: Vec<Place>,
        may_go_on: &impl Fn() -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        if turned.is_empty() {
            return Ok(true);
        }
        let has_turned = Marks::new(self.store);
        turned.iter().for_each(|place| has_turned.set(*place));
        turned.sort_by_cached_key(|place| std::cmp::Reverse(self.store.depth(*place)));
        let good = Marks::new(self.store);
        for place in turned {
            if !good.get(place) && !self.leads_on(place, &has_turned, &good, may_go_on)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks for a way from a state to a good one, and marks what is on it.
    /// All deeper states that have turned are good, and so are all deeper ones.
    fn leads_on(
        &mut self,
        from: Place,
        has_turned: &Marks,
        good: &Marks,
        may_go_on: &impl Fn() -> Result<(), Stop>,
    ) -> Result<bool, Stop> {
        let depth = self.store.depth(from);
        let mut seen = HashSet::from([from]);
        // A state, and where on the way the one before it is.
        let mut open = vec![(from, usize::MAX)];
        let mut way: Vec<(Place, usize)> = Vec::new();
        while let Some((place, before)) = open.pop() {
            if self.left & (BLOCK as u64 - 1) == 0 {
                may_go_on()?;
            }
            if self.left == 0 {
                return Ok(false);
            }
            self.left -= 1;
            way.push((place, before));
            let at = way.len() - 1;
            let state = self.successors.model.open(self.store.at(place));
            let mut arrived = false;
            let mut next = Vec::new();
            let steps = self.successors.each(&state, self.store, &mut |_, to| {
                let to = self.store.find(&to.state).expect("the search stored every state");
                let level = self.store.depth(to);
                arrived = arrived
                    || good.get(to)
                    || level > depth
                    || level == depth && !has_turned.get(to);
                next.push((level, to));
            });
            if arrived || steps == 0 {
                let mut on = at;
                while let Some((place, before)) = way.get(on) {
                    good.set(*place);
                    on = *before;
                }
                return Ok(true);
            }
            // The deepest first.
            next.sort_by_key(|(level, _)| *level);
            next.retain(|(_, to)| seen.insert(*to));
            open.extend(next.into_iter().map(|(_, to)| (to, at)));
        }
        Ok(false)
    }
}

fn sweep_all<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    threads: usize,
    may_go_on: impl Fn() -> Result<(), Stop>,
) -> Result<Option<(usize, M::State)>, Stop> {
    let good = Marks::new(store);
    let mut left = store.len();
    loop {
        let mut marked = 0;
        for level in (0..store.levels()).rev() {
            for shard in 0..SHARDS {
                let mut range = store.shards[shard].range(level);
                while !range.is_empty() {
                    may_go_on()?;
                    let end = range.end.min(range.start + BLOCK);
                    let block: Vec<Place> = (range.start..end)
                        .map(|index| Place { shard, index })
                        .filter(|place| !good.get(*place))
                        .collect();
                    marked += sweep(successors, store, &good, &block, threads);
                    range.start = end;
                }
            }
        }
        left -= marked;
        if left == 0 {
            return Ok(None);
        }
        if marked == 0 {
            return Ok(least(store, &good));
        }
    }
}

/// Marks what leads to a good state, and says how many that are.
fn sweep<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    good: &Marks,
    block: &[Place],
    threads: usize,
) -> u64 {
    let threads = if block.len() < FEW { 1 } else { threads.max(1) };
    let part = block.len().div_ceil(threads).max(1);
    let marked = in_parallel(block.chunks(part), |places| {
        let mut marked = 0;
        for place in places {
            let open = successors.model.open(store.at(*place));
            let mut leads = false;
            let steps = successors.each(&open, store, &mut |_, next| {
                let next = || store.find(&next.state).expect("the search stored every state");
                leads = leads || good.get(next());
            });
            if leads || steps == 0 {
                good.set(*place);
                marked += 1;
            }
        }
        marked
    });
    marked.iter().sum()
}

fn least<S: Packed>(store: &Store<S>, good: &Marks) -> Option<(usize, S)> {
    (0..store.levels()).find_map(|level| {
        let places = (0..SHARDS).flat_map(|shard| {
            store.shards[shard].range(level).map(move |index| Place { shard, index })
        });
        let state = places.filter(|place| !good.get(*place)).map(|place| *store.at(place)).min()?;
        Some((level, state))
    })
}
