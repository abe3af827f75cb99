//! States from which a run can only go on for ever.
//!
//! No edges are stored, so the states from which an end can be reached are
//! marked by expanding them again: a state is good if it has no steps or leads
//! to a good one. The levels are swept from the deepest to the first, because
//! most steps lead to the next level, and as often as that marks something.
//! What is left is trapped. The marks that are left at last do not depend on
//! the order, so threads may set and read them as they please.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limit::Stop;
use crate::model::Model;
use crate::packed::Packed;
use crate::parallel::in_parallel;
use crate::search::{BLOCK, FEW};
use crate::store::{Place, SHARDS, Store};
use crate::successor::Successors;

/// A bit for each state.
struct Marks {
    shards: Vec<Vec<AtomicU64>>,
}

impl Marks {
    fn get(&self, place: Place) -> bool {
        let word = self.shards[place.shard][place.index / 64].load(Ordering::Relaxed);
        word >> (place.index % 64) & 1 == 1
    }

    fn set(&self, place: Place) {
        let word = &self.shards[place.shard][place.index / 64];
        word.fetch_or(1 << (place.index % 64), Ordering::Relaxed);
    }
}

/// The least trapped state of the first level that has one, and that level.
///
/// `may_go_on` is asked between blocks of states.
pub(crate) fn find<M: Model>(
    successors: &Successors<'_, M>,
    store: &Store<M::State>,
    threads: usize,
    may_go_on: impl Fn() -> Result<(), Stop>,
) -> Result<Option<(usize, M::State)>, Stop> {
    let bits = |shard: usize| {
        let words = store.shards[shard].len().div_ceil(64);
        (0..words).map(|_| AtomicU64::new(0)).collect()
    };
    let good = Marks { shards: (0..SHARDS).map(bits).collect() };
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
            let steps = successors.each(&open, &mut |next| {
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
