//! A page that moves takes its translations with it: whoever unmaps the new
//! address frees it without knowing the old one.

use address_space::{Error, Operation, Stage, WrongPolicy};

use crate::support::{RW, World, page, pages, stopped_at, task};

/// What a device reads by the old address when the page is at the new one and
/// the thread stands before `range_end`.
fn by_the_old_address(policy: Option<WrongPolicy>) -> Option<u64> {
    let world = World::with_policy(64, policy);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let (old, new) = (page(16), page(600));
    process.thread.store(old, 7).unwrap();
    let (done, seen) = stopped_at(
        &world.stops,
        (Operation::Move, Stage::Unlocked, old),
        |task| process.space.mremap(pages(16, 1), new, task),
        || {
            assert_eq!(process.thread.try_load(new), Some(7), "the page is here");
            process.thread.try_load(old)
        },
    );
    assert_eq!(done, Ok(()));
    // When the call has returned it is so under either policy, and the page can
    // be freed by its new address.
    assert_eq!(process.thread.try_load(old), None);
    assert_eq!(process.thread.load(old), Err(Error::NoMapping { addr: old }));
    process.space.munmap(pages(600, 1), &mut task).unwrap();
    assert_eq!(process.thread.try_load(old), None);
    assert_eq!(process.thread.try_load(new), None);
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
    seen
}

#[test]
fn a_moved_page_is_unreachable_by_its_old_address() {
    assert_eq!(by_the_old_address(Some(WrongPolicy::LateNotify)), Some(7), "two names");
    assert_eq!(by_the_old_address(None), None, "told before the page arrived");
}
