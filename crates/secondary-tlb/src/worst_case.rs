//! The worst-case TLB: keeps every entry as long as it legally may.
//!
//! A real TLB hides a missing invalidation most of the time, because it has
//! evicted the entry, or never took it. This one is for tests: whatever a walk
//! could have given since the last invalidation it *has*, and of several
//! entries for a page it answers with the one that is wrong.
//!
//! # What it holds
//!
//! For each page the *set* of translations that a walk could have given since
//! the page was last invalidated, oldest first. The set is *saturated*: at each
//! note of a table change, at each access, and after each invalidation the
//! table is walked and the result added. Equal translations are one member.
//! There are no fills and no evictions to decide, so there is nothing to be
//! lucky about.
//!
//! # When an entry is wrong
//!
//! | the table now | a running range covers the page | otherwise |
//! |---|---|---|
//! | grants the access to the same frame | fine | fine |
//! | has nothing, or grants less | fine | RETURN |
//! | has another frame with the same bytes | fine | RETURN |
//! | has another frame | **NEW** | **NEW** |
//! | anything, and the frame was freed | **FREE** | **FREE** |
//!
//! A free of a frame that is still in some set is reported at the moment of
//! the free, without an access ([`freed`](WorstCaseTlb::freed)); likewise a
//! copy of a frame that is still writable somewhere
//! ([`copied`](WorstCaseTlb::copied)). Cached pointers to page tables are not
//! modelled: it says nothing about TABLE.
//!
//! # How it learns of changes
//!
//! By hand ([`changed`](WorstCaseTlb::changed), [`freed`](WorstCaseTlb::freed),
//! ...), or from the records of a platform
//! ([`observe`](WorstCaseTlb::observe)), which then needs one line:
//! `fn observe(&self, step: RecordKind) { self.worst_case.observe(step) }`.
//! Registered as a [`SecondaryTlb`](mmu_notifier::SecondaryTlb) it is told of
//! invalidations like any other. Register it as a
//! [`Notifier`](mmu_notifier::Notifier) as well, or forward the records: otherwise
//! it knows of no running range, cannot excuse one, and reports RETURN inside it.
//!
//! It sees a table only when it looks: at an access, at a note, at a
//! [`watch`](WorstCaseTlb::watch). A page that was neither accessed nor noted nor
//! watched before it went has left nothing that could be stale.
//!
//! # Example
//!
//! An unmap written by hand, which forgets to invalidate:
//!
//! ```
//! use std::sync::Mutex;
//! use secondary_tlb::protocol::{Access, Obligation, PageSize, Rights, VirtAddr, VirtRange};
//! use secondary_tlb::{PageTableWalk, Translation, WorstCaseTlb};
//!
//! struct OneEntry(Mutex<Option<Translation>>);
//! impl PageTableWalk for OneEntry {
//!     fn walk(&self, _: VirtAddr) -> Option<Translation> {
//!         *self.0.lock().unwrap()
//!     }
//! }
//!
//! let page = Translation { pfn: 7, size: PageSize::Base, rights: Rights::ReadWrite };
//! let table = OneEntry(Mutex::new(Some(page)));
//! let tlb = WorstCaseTlb::new(&table);
//! let addr = VirtAddr::new(0x1000);
//! assert_eq!(tlb.access(addr, Access::Write).unwrap(), Some(page));
//!
//! *table.0.lock().unwrap() = None; // unmap
//! tlb.changed(addr);
//! // missing: tlb.invalidate(VirtRange::page(addr, PageSize::Base), PageSize::Base);
//!
//! let stale = tlb.access(addr, Access::Write).unwrap_err();
//! assert_eq!(stale.obligation, Obligation::Return);
//! println!("{stale}");
//! // the tlb was used after it should have been told: write of 0x1000
//! //   it answered    frame 0x7 (4K rw)
//! //   the table says nothing is mapped
//! //   filled at      src/main.rs:17
//! //   not dropped at src/main.rs:20 (the entry was changed)
//! //   this breaks    RETURN: ...
//! assert!(tlb.freed(7).is_err(), "and the frame is not free to give away");
//! ```

mod report;
mod subscribe;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;
use core::panic::Location;

use mmu_protocol::{Access, Obligation, PageSize, VirtAddr, VirtRange};

pub use report::{Change, Held, StaleUse, StillHeld};

use crate::lock::{Held as Guard, Lock};
use crate::source::PageTableWalk;
use crate::translation::Translation;

type Site = &'static Location<'static>;

/// A TLB that forgets nothing that it was not told to forget.
pub struct WorstCaseTlb<W> {
    table: W,
    state: Lock<State>,
}

#[derive(Clone, Copy)]
struct Member {
    translation: Translation,
    filled_at: Site,
    /// Fills are numbered: the oldest answers first.
    order: u64,
}

#[derive(Default)]
struct State {
    /// The members by size and start of the page.
    sets: BTreeMap<(PageSize, u64), Vec<Member>>,
    /// Pages that are walked again whenever something changes.
    watched: BTreeSet<u64>,
    /// The last change of each page that no invalidation has followed.
    changes: BTreeMap<(PageSize, u64), Change>,
    /// Old and new frame of a page whose bytes are the same.
    same: BTreeMap<u64, Vec<(u64, u64)>>,
    running: Vec<VirtRange>,
    freed: BTreeSet<u64>,
    found: Vec<StillHeld>,
    fills: u64,
    released: bool,
}

enum Verdict {
    Fine,
    Broken(Obligation),
}

fn page_start(addr: VirtAddr) -> u64 {
    addr.align_down(PageSize::Base).as_u64()
}

fn page_of(addr: VirtAddr) -> VirtRange {
    VirtRange::page(addr, PageSize::Base)
}

impl State {
    /// The members for the page of `addr`, oldest first.
    fn members(&self, addr: VirtAddr) -> Vec<Member> {
        let of = |size| self.sets.get(&(size, addr.align_down(size).as_u64()));
        let both = [of(PageSize::Base), of(PageSize::Huge)];
        let mut members: Vec<Member> = both.into_iter().flatten().flatten().copied().collect();
        members.sort_by_key(|member| member.order);
        members
    }

    fn add(&mut self, addr: VirtAddr, translation: Translation, filled_at: Site) {
        let key = (translation.size, addr.align_down(translation.size).as_u64());
        let set = self.sets.entry(key).or_default();
        if set.iter().all(|member| member.translation != translation) {
            set.push(Member { translation, filled_at, order: self.fills });
            self.fills += 1;
        }
    }

    /// The change that was noted last for the page of `addr`.
    fn change(&self, addr: VirtAddr) -> Option<Change> {
        let of = |size| self.changes.get(&(size, addr.align_down(size).as_u64())).copied();
        let (base, huge) = (of(PageSize::Base), of(PageSize::Huge));
        base.into_iter().chain(huge).max_by_key(|change| change.order)
    }

    fn note(&mut self, addr: VirtAddr, size: PageSize, what: &'static str, at: Site) {
        let order = self.fills;
        self.fills += 1;
        self.changes.insert((size, addr.align_down(size).as_u64()), Change { what, at, order });
    }

    /// Whether a member may be used now. Without an access all its rights count.
    fn judge(
        &self,
        addr: VirtAddr,
        member: &Member,
        now: Option<Translation>,
        access: Option<Access>,
    ) -> Verdict {
        let frame = member.translation.frame(addr);
        let excused = self.running.iter().any(|range| range.covers(page_of(addr)));
        let until_return =
            if excused { Verdict::Fine } else { Verdict::Broken(Obligation::Return) };
        match now {
            Some(now) if now.frame(addr) == frame => {
                let granted = match access {
                    Some(access) => now.rights.grant(access),
                    None => member.translation.rights <= now.rights,
                };
                if granted { Verdict::Fine } else { until_return }
            }
            _ if self.freed.contains(&frame) => Verdict::Broken(Obligation::Free),
            Some(now) => {
                let pair = (frame, now.frame(addr));
                let same = self.same.get(&page_start(addr)).is_some_and(|all| all.contains(&pair));
                if same { until_return } else { Verdict::Broken(Obligation::New) }
            }
            None => until_return,
        }
    }
}

impl<W: PageTableWalk> WorstCaseTlb<W> {
    /// An empty TLB over a page table. The walk runs under the TLB's own lock,
    /// so it must not call the TLB.
    pub fn new(table: W) -> Self {
        WorstCaseTlb { table, state: Lock::new(State::default()) }
    }

    /// The page table that it walks.
    pub fn table(&self) -> &W {
        &self.table
    }

    fn fill(&self, state: &mut State, addr: VirtAddr, at: Site) -> Option<Translation> {
        if state.released {
            return None;
        }
        state.watched.insert(page_start(addr));
        let now = self.table.walk(addr);
        if let Some(translation) = now {
            state.add(addr, translation, at);
        }
        now
    }

    /// Walks and keeps the result; from now on the page of `addr` is walked
    /// again after each invalidation.
    #[track_caller]
    pub fn saturate(&self, addr: VirtAddr) {
        self.fill(&mut self.state.lock(), addr, Location::caller());
    }

    /// [Saturates](Self::saturate) every page of a range.
    #[track_caller]
    pub fn watch(&self, range: VirtRange) {
        let at = Location::caller();
        let mut state = self.state.lock();
        for addr in range.pages(PageSize::Base) {
            self.fill(&mut state, addr, at);
        }
    }

    /// Accesses an address through the worst entry there is: the oldest that
    /// grants the access and must not be used any more, or else the oldest
    /// that grants it. `None` if none does: the access faults.
    ///
    /// # Errors
    ///
    /// [`StaleUse`] if an entry that should have been dropped was used.
    #[track_caller]
    pub fn access(&self, addr: VirtAddr, access: Access) -> Result<Option<Translation>, StaleUse> {
        let mut state = self.state.lock();
        let now = self.fill(&mut state, addr, Location::caller());
        let mut members = state.members(addr);
        members.retain(|member| member.translation.rights.grant(access));
        for member in &members {
            if let Verdict::Broken(obligation) = state.judge(addr, member, now, Some(access)) {
                return Err(stale(&state, addr, member, now, Some(access), obligation));
            }
        }
        Ok(members.first().map(|member| member.translation))
    }

    /// Notes that the entry of `addr` was changed, and walks it again. Call it
    /// after the table was written.
    #[track_caller]
    pub fn changed(&self, addr: VirtAddr) {
        self.note(addr, PageSize::Base, "the entry was changed", Location::caller());
    }

    fn note(&self, addr: VirtAddr, size: PageSize, what: &'static str, at: Site) {
        let mut state = self.state.lock();
        state.note(addr, size, what, at);
        self.fill(&mut state, addr, at);
    }

    /// As [`changed`](Self::changed), for a change to another frame with the
    /// same bytes that nobody can write: until the range ends either frame may
    /// be read.
    #[track_caller]
    pub fn changed_to_same_content(&self, addr: VirtAddr) {
        self.note_same_content(addr, Location::caller());
    }

    fn note_same_content(&self, addr: VirtAddr, at: Site) {
        let mut state = self.state.lock();
        state.note(addr, PageSize::Base, "the entry went to another frame with the same bytes", at);
        let Some(now) = self.fill(&mut state, addr, at) else { return };
        let new = now.frame(addr);
        let old: Vec<_> = state
            .members(addr)
            .iter()
            .map(|member| (member.translation.frame(addr), new))
            .collect();
        state.same.entry(page_start(addr)).or_default().extend(old);
    }

    /// Notes that a range has started: until it ends, entries of it may be
    /// absent from the table, or grant less there.
    pub fn range_started(&self, range: VirtRange) {
        self.state.lock().running.push(range);
    }

    /// Notes that a range has ended: the excuse is gone.
    pub fn range_ended(&self, range: VirtRange) {
        let running = &mut self.state.lock().running;
        if let Some(index) = running.iter().position(|started| *started == range) {
            running.swap_remove(index);
        }
    }

    /// Notes that a frame goes back to the allocator. From now on, until the
    /// table maps it again, no entry may lead to it.
    ///
    /// # Errors
    ///
    /// The entries that still do.
    pub fn freed(&self, pfn: u64) -> Result<(), StillHeld> {
        let mut state = self.state.lock();
        state.freed.insert(pfn);
        held(&state, pfn, Obligation::Free, |_| true)
    }

    /// Notes that the copy or compare of a frame begins.
    ///
    /// # Errors
    ///
    /// The entries through which it can still be written.
    pub fn copied(&self, pfn: u64) -> Result<(), StillHeld> {
        let writable = |member: &Member| member.translation.rights.grant(Access::Write);
        held(&self.state.lock(), pfn, Obligation::Copy, writable)
    }

    /// Drops a range, as told. `size` is the largest entry that changed; it
    /// widens the range to whole pages of that size.
    ///
    /// Then the table is walked again: what it says now may be held.
    #[track_caller]
    pub fn invalidate(&self, range: VirtRange, size: PageSize) {
        self.drop_range(range, size, Location::caller());
    }

    fn drop_range(&self, range: VirtRange, size: PageSize, at: Site) {
        let touches = |told: VirtRange, (size, start): (PageSize, u64)| {
            let last = VirtAddr::new(start + (size.bytes() - 1));
            !told.is_empty() && told.start() <= last && VirtAddr::new(start) < told.end()
        };
        let mut state = self.state.lock();
        let state: &mut State = &mut state;
        // Pages of the told size that the range touches go as a whole.
        let told = |key: (PageSize, u64)| {
            touches(range, key)
                || touches(range, (size, VirtAddr::new(key.1).align_down(size).as_u64()))
        };
        state.sets.retain(|key, _| !told(*key));
        state.changes.retain(|key, _| !told(*key));
        state.same.retain(|page, _| !told((PageSize::Base, *page)));
        // A huge entry that went may be taken again by any page under it.
        let again: Vec<u64> = state
            .watched
            .iter()
            .copied()
            .filter(|page| {
                let block = VirtAddr::new(*page).align_down(PageSize::Huge).as_u64();
                touches(range, (PageSize::Huge, block))
            })
            .collect();
        for page in again {
            self.fill(state, VirtAddr::new(page), at);
        }
    }

    /// Everything that is wrong when all is quiet: no range runs, nothing is
    /// owed. Entries that grant less than the table are fine.
    pub fn check_rest(&self) -> Vec<StaleUse> {
        let state = self.state.lock();
        let mut wrong = Vec::new();
        for (&(size, start), members) in &state.sets {
            let pages = VirtRange::page(VirtAddr::new(start), size).pages(PageSize::Base);
            for member in members {
                // One address stands for the whole entry.
                let first = pages.clone().find_map(|addr| {
                    let now = self.table.walk(addr);
                    match state.judge(addr, member, now, None) {
                        Verdict::Fine => None,
                        Verdict::Broken(_) => Some((addr, now)),
                    }
                });
                if let Some((addr, now)) = first {
                    wrong.push(stale(&state, addr, member, now, None, Obligation::Rest));
                }
            }
        }
        wrong
    }

    /// What [`observe`](Self::observe) has found at frees and copies. Emptied
    /// by the call.
    pub fn take_found(&self) -> Vec<StillHeld> {
        core::mem::take(&mut self.state.lock().found)
    }

    /// Panics with everything that is wrong: what was found at frees and
    /// copies, and what is stale at rest.
    ///
    /// # Panics
    ///
    /// If there is anything.
    #[track_caller]
    pub fn assert_clean(&self) {
        let found = self.take_found();
        let rest = self.check_rest();
        assert!(
            found.is_empty() && rest.is_empty(),
            "{}",
            report::Findings { found: &found, rest: &rest }
        );
    }
}

fn stale(
    state: &Guard<'_, State>,
    addr: VirtAddr,
    member: &Member,
    table: Option<Translation>,
    access: Option<Access>,
    obligation: Obligation,
) -> StaleUse {
    StaleUse {
        addr,
        access,
        cached: member.translation,
        table,
        filled_at: member.filled_at,
        change: state.change(addr),
        obligation,
    }
}

/// Whether no entry that `counts` leads to the frame.
fn held(
    state: &State,
    pfn: u64,
    obligation: Obligation,
    counts: impl Fn(&Member) -> bool,
) -> Result<(), StillHeld> {
    let mut by = Vec::new();
    for (&(size, start), members) in &state.sets {
        for member in members.iter().filter(|member| counts(member)) {
            let first = member.translation.pfn;
            if (first..first + size.base_pages()).contains(&pfn) {
                let addr = VirtAddr::new(start).offset((pfn - first) * PageSize::Base.bytes());
                by.push(Held {
                    addr,
                    cached: member.translation,
                    filled_at: member.filled_at,
                    change: state.change(addr),
                });
            }
        }
    }
    if by.is_empty() { Ok(()) } else { Err(StillHeld { pfn, obligation, by }) }
}

impl<W> fmt::Debug for WorstCaseTlb<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorstCaseTlb").finish_non_exhaustive()
    }
}
