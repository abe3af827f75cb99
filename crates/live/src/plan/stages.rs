//! The stages of the address space's operations.

use address_space::{Operation, Stage, WrongPolicy};

use crate::policy::Policy;

/// In the order of an operation that has them all.
const ORDER: [Stage; 8] = [
    Stage::Copied,
    Stage::Started,
    Stage::Locked,
    Stage::Cleared,
    Stage::Notified,
    Stage::Set,
    Stage::Unlocked,
    Stage::Ended,
];

/// The place of a stage in an operation.
pub(crate) fn rank(stage: Stage) -> usize {
    ORDER.iter().position(|known| *known == stage).unwrap_or(ORDER.len())
}

/// Whether an operation stores a new entry over an old one: case B.
pub(crate) fn replaces(operation: Operation) -> bool {
    use Operation::{Cow, Move, Replace, ZeroPage};
    matches!(operation, Cow | ZeroPage | Replace | Move)
}

/// The stages at which an operation can be stopped.
pub(crate) fn stages(operation: Operation, policy: Policy) -> impl Iterator<Item = Stage> {
    let has = move |stage: &Stage| match stage {
        Stage::Started | Stage::Unlocked | Stage::Ended => true,
        Stage::Copied | Stage::Locked => {
            matches!(operation, Operation::Cow | Operation::ZeroPage)
        }
        Stage::Notified => replaces(operation) && !policy.is(WrongPolicy::LateNotify),
        _ => replaces(operation),
    };
    ORDER.into_iter().filter(has)
}
