//! A new page is stored over a present one, neither cleared nor compared.
use mmu_notifier::*;

fn wrong<P: Platform>(slot: PresentSlot<'_, P>, new: P::Page, attr: P::Attr) {
    slot.set(new, attr);
}

fn main() {}
