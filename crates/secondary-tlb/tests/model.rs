//! An oracle: what a TLB answers is what the table said at some time since the
//! page was last invalidated.
//!
//! The model keeps, for each page, every translation that the table has had
//! since then. It knows nothing of sets, counts, sizes or refills.
#![cfg(not(shuttle))]

mod page_table;

use std::collections::HashMap;
use std::sync::Arc;

use page_table::{PageTable, page, pages};
use proptest::prelude::*;
use secondary_tlb::protocol::{Access, PageSize, Rights};
use secondary_tlb::{
    Atc, Fault, Iotlb, PageTableWalk, Pasid, PasidTable, Pasids, Port, Scope, Source, Translation,
};

const PAGES: u64 = 1024;
/// Accesses and changes meet on these: both ends of two blocks.
const PLACES: [u64; 12] = [0, 1, 2, 8, 16, 510, 511, 512, 513, 520, 1022, 1023];

#[derive(Clone, Copy, Debug)]
enum Step {
    Set { space: usize, place: usize, entry: Option<Translation> },
    Unhuge { space: usize, place: usize },
    Invalidate { space: Option<usize>, first: u64, count: u64 },
    Access { space: usize, place: usize, access: Access, outer: bool, value: bool },
}

fn entry() -> impl Strategy<Value = Option<Translation>> {
    let rights = prop_oneof![Just(Rights::ReadOnly), Just(Rights::ReadWrite)];
    let size = prop_oneof![3 => Just(PageSize::Base), 1 => Just(PageSize::Huge)];
    let some = (1_u64..6, rights, size).prop_map(|(number, rights, size)| Translation {
        pfn: number * 512,
        size,
        rights,
    });
    prop_oneof![1 => Just(None), 4 => some.prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    let space = || 0..2_usize;
    let place = || 0..PLACES.len();
    let access = prop_oneof![Just(Access::Read), Just(Access::Write)];
    let count = prop_oneof![Just(1_u64), 1..20_u64, 1..PAGES];
    prop_oneof![
        4 => (space(), place(), entry())
            .prop_map(|(space, place, entry)| Step::Set { space, place, entry }),
        1 => (space(), place()).prop_map(|(space, place)| Step::Unhuge { space, place }),
        2 => (prop::option::weighted(0.8, space()), place(), count).prop_map(
            |(space, place, count)| Step::Invalidate { space, first: PLACES[place], count }
        ),
        8 => (space(), place(), access, any::<bool>(), any::<bool>()).prop_map(
            |(space, place, access, outer, value)| {
                Step::Access { space, place, access, outer, value }
            }
        ),
    ]
}

/// Frame and rights that each page has had since its last invalidation.
type Model = HashMap<(usize, u64), Vec<(u64, Rights)>>;

struct Machine {
    tables: [Arc<PageTable>; 2],
    pasids: [Pasid; 2],
    iotlb: Arc<Iotlb<Arc<PageTable>>>,
    atc: Arc<Atc<Arc<PageTable>>>,
    model: Model,
}

impl Machine {
    fn new() -> Self {
        let tables = [0, 1].map(|_| Arc::new(PageTable::new(2)));
        let table = PasidTable::new(2);
        let bind = |n: usize| table.bind(table.allocate().unwrap(), Arc::clone(&tables[n])).pasid();
        let pasids = [bind(0), bind(1)];
        // So small that entries are evicted all the time.
        let iotlb = Arc::new(Iotlb::new(table, 12));
        let atc = Arc::new(Atc::new(Arc::clone(&iotlb), 6));
        let mut machine = Machine { tables, pasids, iotlb, atc, model: Model::new() };
        machine.remember();
        machine
    }

    fn now(&self, space: usize, number: u64) -> Option<Translation> {
        self.tables[space].walk(page(number))
    }

    /// A walk could give this now.
    fn remember(&mut self) {
        for space in 0..2 {
            for number in PLACES {
                if let Some(now) = self.now(space, number) {
                    let seen = (now.frame(page(number)), now.rights);
                    self.model.entry((space, number)).or_default().push(seen);
                }
            }
        }
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Set { space, place, entry } => {
                self.tables[space].set(page(PLACES[place]), entry);
                self.remember();
            }
            Step::Unhuge { space, place } => {
                self.tables[space].clear_huge(page(PLACES[place]));
                self.remember();
            }
            Step::Invalidate { space, first, count } => {
                let range = pages(first, count);
                let pasids = space.map_or(Pasids::All, |space| Pasids::One(self.pasids[space]));
                let done = self.iotlb.invalidate(Scope { pasids, range });
                self.atc.invalidate_after(&done);
                self.model.retain(|(of, number), _| {
                    !(range.contains(page(*number)) && space.is_none_or(|space| space == *of))
                });
                self.remember();
            }
            Step::Access { space, place, access, outer, value } => {
                let number = PLACES[place];
                let answer = if outer {
                    ask(&mut self.atc.port().unwrap(), self.pasids[space], number, access, value)
                } else {
                    ask(&mut self.iotlb.port().unwrap(), self.pasids[space], number, access, value)
                };
                match answer {
                    Ok(translation) => {
                        let used = (translation.frame(page(number)), translation.rights);
                        let seen = self.model.get(&(space, number));
                        prop_assert!(
                            seen.is_some_and(|seen| seen.contains(&used)),
                            "{used:?} is not in {seen:?}"
                        );
                        prop_assert!(translation.rights.grant(access));
                    }
                    // A fault must be the table's own word: nothing faults for
                    // ever behind an entry that grants too little.
                    Err(Fault::NotPresent { .. }) => {
                        prop_assert_eq!(self.now(space, number), None);
                    }
                    Err(Fault::NotGranted { .. }) => {
                        let now = self.now(space, number);
                        prop_assert!(now.is_some_and(|now| !now.rights.grant(access)));
                    }
                    Err(fault) => prop_assert!(false, "{fault}"),
                }
            }
        }
        Ok(())
    }
}

fn ask<S: Source>(
    port: &mut Port<S>,
    pasid: Pasid,
    number: u64,
    access: Access,
    value: bool,
) -> Result<Translation, Fault> {
    if value {
        let checked = port.translate(pasid, page(number), access)?;
        assert!(port.tlb().is_current(&checked), "nobody has invalidated since");
        Ok(checked.translation())
    } else {
        port.translate_with(pasid, page(number), access, |translation| *translation)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 3_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_answer_was_right_at_some_time_since_the_last_invalidation(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 30 } else { 80 })
    ) {
        let mut machine = Machine::new();
        for step in steps {
            machine.run(step)?;
        }
    }
}
