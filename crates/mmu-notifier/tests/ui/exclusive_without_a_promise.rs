//! The address-space lock is claimed without the promise that it is held.
use mmu_notifier::*;

fn wrong<P: Platform>(mm: &Mm<P>) -> ExclusiveMm<'_, P> {
    ExclusiveMm::assume(mm)
}

fn main() {}
