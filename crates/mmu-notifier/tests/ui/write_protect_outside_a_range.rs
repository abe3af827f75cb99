//! A right is taken away although nobody was told that anything would change.
use mmu_notifier::*;

fn wrong<P: Platform>(mut view: PresentView<'_, P>) {
    view.write_protect();
}

fn main() {}
