//! Memory under `ra`: for each location the stores to it in their order, and
//! for each thread how much of that order it must have seen.
//!
//! A **message** is a store. The messages of a location are in modification
//! order; a *view* names one place in it for each location. A thread reads any
//! message that is not older than its view, and puts a store behind its view,
//! which may be in front of messages that exist. Nothing is read before it was
//! stored, so there is no load buffering. `docs/semantics.md`, section 5, has
//! the rules and what they are compared with; this file is the rules alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use shootdown_litmus::primitives::Fence;

/// A place in the modification order of each location.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View(Vec<u8>);

impl View {
    /// The beginning of every location.
    pub fn zero(locations: usize) -> View {
        View(vec![0; locations])
    }

    /// The place of a location.
    pub fn at(&self, location: usize) -> usize {
        usize::from(self.0[location])
    }

    /// Knows only of some locations.
    pub fn restrict(&mut self, to: &[bool]) {
        for (mine, keep) in self.0.iter_mut().zip(to) {
            if !keep {
                *mine = 0;
            }
        }
    }

    /// Is not before a place any more.
    pub fn raise(&mut self, location: usize, to: usize) {
        self.0[location] = self.0[location].max(to as u8);
    }

    /// Is not before the other any more.
    pub fn join(&mut self, other: &View) {
        for (mine, other) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*other);
        }
    }

    /// Is not after the other any more.
    pub fn meet(&mut self, other: &View) {
        for (mine, other) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).min(*other);
        }
    }
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// What was stored.
    pub value: i64,
    /// What a reader that orders its accesses has seen too.
    pub view: View,
    /// The thread that stored it through a translation, plus one; 0 for every
    /// other store.
    pub author: u8,
    /// It is one step with a read of the message before it: nothing gets
    /// between the two.
    pub attached: bool,
}

/// An entry that a cache holds apart from what its walks find, with what came
/// along with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// Its value.
    pub value: i64,
    /// What who goes through it has seen.
    pub view: View,
}

/// What a cache may hold at one place.
pub type Holds = BTreeMap<(usize, usize), BTreeSet<Held>>;

/// What a thread has seen. `write <= read <= seen` holds at all times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// It reads nothing older.
    pub read: View,
    /// It stores behind this. Weaker than `read`: `smp_rmb` orders no stores.
    pub write: View,
    /// With what came along with all it read: a fence makes it `read`.
    pub seen: View,
    /// What each of its stores brings along.
    pub release: View,
    /// Its own stores and what they brought along: `smp_wmb` makes it
    /// `release`.
    pub stored: View,
    /// What it had stored, and seen, when it last dropped a lock: taking the
    /// next one orders this too, whichever lock it is.
    pub parted: [View; 2],
}

impl Seen {
    fn zero(locations: usize) -> Seen {
        let zero = || View::zero(locations);
        Seen {
            read: zero(),
            write: zero(),
            seen: zero(),
            release: zero(),
            stored: zero(),
            parted: [zero(), zero()],
        }
    }

    fn views(&mut self) -> [&mut View; 7] {
        let [first, second] = &mut self.parted;
        [
            &mut self.read,
            &mut self.write,
            &mut self.seen,
            &mut self.release,
            &mut self.stored,
            first,
            second,
        ]
    }
}

/// Memory: messages, and who has seen what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Memory {
    /// By location, in modification order.
    pub messages: Vec<Vec<Message>>,
    /// By thread.
    pub threads: Vec<Seen>,
    /// What full fences have seen.
    fences: View,
    /// What came with the last drop of a lock: all, and stores alone.
    locks: BTreeMap<usize, [View; 2]>,
    /// By cache and block: no walk for it finds anything older there any more.
    /// Only entries that it may hold count. Pages of two blocks may end at one
    /// entry, and an invalidation names pages: hence by block.
    pub floors: Vec<View>,
    /// By cache and block: the same for upper entries that map huge pages, which an
    /// invalidation drops also if it leaves pointers to tables alone.
    pub huge_floors: Vec<View>,
    /// By cache and page: entries that it holds and no walk of it finds.
    pub held: Holds,
    /// The same of huge entries, by cache and block.
    pub held_huge: Holds,
    /// What completed invalidations knew: every walk that begins later finds it.
    told: View,
    /// What posted invalidations know, by queue and place.
    pub posted: BTreeMap<(usize, usize), View>,
    /// By sort of readers: what was seen by whoever began to wait for them. Who
    /// goes inside later has seen it.
    pub begun: BTreeMap<usize, View>,
    /// By sort of readers and who waits, or will: what those had seen that have
    /// left.
    pub left: BTreeMap<(usize, usize), View>,
    /// What was seen when a frame was given back: who gets it next knows.
    pub freed: BTreeMap<usize, View>,
    /// Ideal memory: what was seen when an object got its name.
    pub named: BTreeMap<usize, View>,
}

/// A store of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Store<'v> {
    /// Its value.
    pub value: i64,
    /// It brings along all that the thread has seen.
    pub release: bool,
    /// It is one step with a read of the message before it.
    pub reads: bool,
    /// It goes through a translation.
    pub translated: bool,
    /// It brings this along too.
    pub with: Option<&'v View>,
}

/// Messages of a location, at most: more is "unknown".
pub const MOST_MESSAGES: usize = 24;

impl Memory {
    /// One message at each location, seen by all.
    pub fn new(values: &[i64], threads: usize, floors: usize) -> Memory {
        let locations = values.len();
        let first = |value: &i64| {
            vec![Message { value: *value, view: View::zero(locations), author: 0, attached: false }]
        };
        Memory {
            messages: values.iter().map(first).collect(),
            threads: vec![Seen::zero(locations); threads],
            fences: View::zero(locations),
            locks: BTreeMap::new(),
            floors: vec![View::zero(locations); floors],
            huge_floors: vec![View::zero(locations); floors],
            held: Holds::new(),
            held_huge: Holds::new(),
            told: View::zero(locations),
            posted: BTreeMap::new(),
            begun: BTreeMap::new(),
            left: BTreeMap::new(),
            freed: BTreeMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// A location whose past nobody can ask for any more.
    pub fn reset(&mut self, location: usize, value: i64) {
        self.for_each_view(&mut |view| view.0[location] = 0);
        let view = View::zero(self.messages.len());
        self.messages[location] = vec![Message { value, view, author: 0, attached: false }];
    }

    /// Whether a thread has seen the last message of a location, so that its
    /// own store can only go behind it.
    pub fn is_ordered(&self, thread: usize, location: usize) -> bool {
        self.threads[thread].write.at(location) == self.last(location)
    }

    /// A thread has seen a message of a location, in whatever way.
    pub fn meets(&mut self, thread: usize, location: usize, at: usize) {
        let seen = &mut self.threads[thread];
        for view in [&mut seen.read, &mut seen.write, &mut seen.seen] {
            view.raise(location, at);
        }
    }

    /// A thread has seen what a view has.
    pub fn learns(&mut self, thread: usize, view: &View) {
        let seen = &mut self.threads[thread];
        for mine in [&mut seen.read, &mut seen.write, &mut seen.seen] {
            mine.join(view);
        }
    }

    /// An invalidation is complete: whoever asked for it has seen this of the
    /// tables.
    pub fn tells(&mut self, view: &View, tables: &[bool]) {
        let mut view = view.clone();
        view.restrict(tables);
        self.told.join(&view);
    }

    /// What a walk finds at least that begins once a thread has loaded a root:
    /// what that thread has seen, all full fences, and all completed
    /// invalidations.
    pub fn walkable(&self, thread: usize) -> View {
        let mut view = self.threads[thread].read.clone();
        view.join(&self.fences);
        view.join(&self.told);
        view
    }

    /// The place of the last message.
    pub fn last(&self, location: usize) -> usize {
        self.messages[location].len() - 1
    }

    /// The value of the last message.
    pub fn value(&self, location: usize) -> i64 {
        self.messages[location][self.last(location)].value
    }

    /// The messages that a thread may read.
    pub fn readable(&self, thread: usize, location: usize) -> std::ops::Range<usize> {
        self.threads[thread].read.at(location)..self.messages[location].len()
    }

    /// The messages that a thread may put a store right behind. An atomic
    /// operation without a result reads any of them: no `smp_rmb` orders it.
    pub fn places(&self, thread: usize, location: usize) -> impl Iterator<Item = usize> {
        let first = self.threads[thread].write.at(location);
        (first..self.messages[location].len()).filter(move |at| self.open_behind(location, *at))
    }

    fn open_behind(&self, location: usize, at: usize) -> bool {
        self.messages[location].get(at + 1).is_none_or(|next| !next.attached)
    }

    /// A thread reads a message. What `forgets` leaves no trace for a later
    /// `smp_rmb`: an atomic operation without a result.
    pub fn read(
        &mut self,
        thread: usize,
        location: usize,
        at: usize,
        acquire: bool,
        forgets: bool,
    ) {
        self.meets(thread, location, at);
        let Memory { messages, threads, .. } = self;
        let seen = &mut threads[thread];
        let view = &messages[location][at].view;
        if !forgets {
            seen.seen.join(view);
        }
        if acquire {
            seen.read.join(view);
            seen.write.join(view);
            seen.seen.join(view);
        }
    }

    /// A thread stores right behind a message.
    pub fn store(&mut self, thread: usize, location: usize, behind: usize, store: Store<'_>) {
        let seen = &self.threads[thread];
        let mut view = seen.release.clone();
        if store.release {
            view.join(&seen.seen);
        }
        if let Some(with) = store.with {
            view.join(with);
        }
        if store.reads {
            view.join(&self.messages[location][behind].view);
        }
        view.0[location] = 0;
        let at = behind + 1;
        self.for_each_view(&mut |view| {
            if view.at(location) >= at {
                view.0[location] += 1;
            }
        });
        let author = if store.translated { thread as u8 + 1 } else { 0 };
        let Store { value, reads, .. } = store;
        let message = Message { value, view: view.clone(), author, attached: reads };
        self.messages[location].insert(at, message);
        let seen = &mut self.threads[thread];
        for mine in [&mut seen.read, &mut seen.write, &mut seen.seen, &mut seen.stored] {
            mine.raise(location, at);
        }
        seen.stored.join(&view);
    }

    /// A fence of a thread.
    pub fn fence(&mut self, thread: usize, kind: Fence) {
        let Memory { threads, fences, .. } = self;
        let seen = &mut threads[thread];
        match kind {
            Fence::Full => {
                fences.join(&seen.seen);
                for view in [&mut seen.read, &mut seen.write, &mut seen.seen, &mut seen.release] {
                    view.clone_from(fences);
                }
            }
            Fence::Read => seen.read.join(&seen.seen),
            Fence::Write => seen.release.join(&seen.stored),
            Fence::Compiler => {}
        }
    }

    /// A thread takes a lock.
    pub fn lock(&mut self, thread: usize, lock: usize) {
        let Memory { threads, locks, .. } = self;
        let seen = &mut threads[thread];
        let [stored, all] = seen.parted.clone();
        seen.release.join(&stored);
        seen.read.join(&all);
        seen.write.join(&all);
        if let Some([all, stored]) = locks.get(&lock) {
            seen.read.join(all);
            seen.write.join(all);
            seen.seen.join(all);
            seen.release.join(stored);
        }
    }

    /// A thread drops a lock.
    pub fn unlock(&mut self, thread: usize, lock: usize) {
        let seen = &mut self.threads[thread];
        let mut stored = seen.stored.clone();
        stored.join(&seen.release);
        seen.parted = [stored.clone(), seen.seen.clone()];
        let kept = self.locks.entry(lock).or_insert_with(|| [seen.seen.clone(), stored.clone()]);
        kept[0].join(&seen.seen);
        kept[1].join(&stored);
    }

    fn for_each_view(&mut self, each: &mut dyn FnMut(&mut View)) {
        for message in self.messages.iter_mut().flatten() {
            each(&mut message.view);
        }
        for seen in &mut self.threads {
            seen.views().into_iter().for_each(&mut *each);
        }
        each(&mut self.fences);
        self.locks.values_mut().flatten().for_each(&mut *each);
        self.floors.iter_mut().for_each(&mut *each);
        self.huge_floors.iter_mut().for_each(&mut *each);
        for held in self.held.values_mut().chain(self.held_huge.values_mut()) {
            // What they are ordered by changes.
            let list = std::mem::take(held).into_iter();
            held.extend(list.map(|mut held| {
                each(&mut held.view);
                held
            }));
        }
        each(&mut self.told);
        self.posted.values_mut().for_each(&mut *each);
        self.begun.values_mut().for_each(&mut *each);
        self.left.values_mut().for_each(&mut *each);
        self.freed.values_mut().for_each(&mut *each);
        self.named.values_mut().for_each(&mut *each);
    }

    /// The same memory, written in one way: messages that nobody can read any
    /// more are dropped, and of views only what matters is kept. `runs` tells
    /// which threads have steps left, `walked` whether walks of a floor read a
    /// location.
    pub fn normalize(
        &mut self,
        runs: &dyn Fn(usize) -> bool,
        walked: &dyn Fn(usize, usize) -> bool,
    ) {
        let locations = self.messages.len();
        let running: Vec<bool> = (0..self.threads.len()).map(runs).collect();
        let mut base = View(self.messages.iter().map(|list| list.len() as u8 - 1).collect());
        for (seen, runs) in self.threads.iter_mut().zip(&running) {
            if !runs {
                *seen = Seen::zero(locations);
                continue;
            }
            base.meet(&seen.write);
            // A view that is only ever joined to another one may as well have
            // it.
            let Seen { write, release, stored, parted, .. } = seen;
            stored.join(release);
            parted[0].join(release);
            parted[1].join(write);
        }
        let floors = self.floors.iter_mut().zip(&mut self.huge_floors).enumerate();
        for (at, (floor, huge)) in floors {
            for location in 0..locations {
                if walked(at, location) {
                    // A huge entry is never found where a pointer is not.
                    base.0[location] = base.0[location].min(floor.0[location]);
                } else {
                    floor.0[location] = 0;
                    huge.0[location] = 0;
                }
            }
        }
        self.held.retain(|_, held| !held.is_empty());
        self.held_huge.retain(|_, held| !held.is_empty());
        if running.iter().all(|runs| !runs) {
            self.freed.clear();
            self.begun.clear();
            self.left.clear();
            self.named.clear();
            self.locks.clear();
            self.fences = View::zero(locations);
            self.told = View::zero(locations);
        }
        for (location, list) in self.messages.iter_mut().enumerate() {
            list.drain(..base.at(location));
            list[0].attached = false;
        }
        self.for_each_view(&mut |view| {
            for (mine, base) in view.0.iter_mut().zip(&base.0) {
                *mine = mine.saturating_sub(*base);
            }
        });
    }
}

/// Memories by number: a state holds the number.
#[derive(Debug, Default)]
pub struct Memories(RwLock<Kept>);

/// The number of each memory, and the memory of each number.
type Kept = (HashMap<Arc<Memory>, i64>, Vec<Arc<Memory>>);

impl Memories {
    /// The number of a memory; equal ones have one number.
    pub fn number(&self, memory: Memory) -> i64 {
        {
            let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(number) = kept.0.get(&memory) {
                return *number;
            }
        }
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (numbers, list) = &mut *kept;
        if let Some(number) = numbers.get(&memory) {
            return *number;
        }
        let (memory, number) = (Arc::new(memory), list.len() as i64);
        list.push(memory.clone());
        numbers.insert(memory, number);
        number
    }

    /// The memory of a number.
    pub fn memory(&self, number: i64) -> Arc<Memory> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kept.1[number as usize].clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
