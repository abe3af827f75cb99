//! The cases, by what they measure.

pub mod iotlb;
pub mod range;
pub mod read_side;

use crate::work::Case;

/// Every case that can be counted, for the program that callgrind runs.
pub fn all() -> Vec<Case> {
    let mut all = vec![nothing()];
    all.extend(range::cases());
    all.extend(read_side::cases());
    all.extend(iotlb::cases());
    all
}

/// The name of the empty case.
pub const NOTHING: &str = "nothing";

/// What a loop, or a call of the counted region, costs by itself.
pub fn nothing() -> Case {
    Case::new(NOTHING, |_| |_: &mut mmu_notifier::Task| {})
}
