//! Case A: a page that is freed before the secondary TLBs were told is written
//! by a device after it belongs to somebody else.

use address_space::{Cpu, Operation, Stage, WrongPolicy};

use crate::support::{RW, World, page, pages, stopped_at, task};

/// What became of the frame, and of the word that its next owner wrote there.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// The frame belongs to the other address space already.
    handed_over: bool,
    /// What the other address space reads where it wrote 42.
    word: u64,
}

/// munmap or DONTNEED stands between releasing the lock and `range_end`; a
/// device that has the translation stores 666.
fn store_in_the_window(policy: Option<WrongPolicy>, unmap: bool) -> Seen {
    let world = World::with_policy(64, policy);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    let at = page(16);
    process.thread.store(at, 1).unwrap();
    let (_, frame) = process.thread.load_from(at).unwrap();

    // The other process has its tables already: its next frame is for a page.
    let other = world.space();
    other.mmap(pages(16, 8), RW).unwrap();
    let mut other_cpu = Cpu::new(&other).unwrap();
    other_cpu.store(page(16), 0, &mut task).unwrap();

    let (done, seen) = stopped_at(
        &world.stops,
        (Operation::Zap, Stage::Unlocked, at),
        |task| {
            if unmap {
                process.space.munmap(pages(16, 1), task)
            } else {
                process.space.dontneed(pages(16, 1), task)
            }
        },
        || {
            other_cpu.store(page(17), 42, &mut task).unwrap();
            let stored = process.thread.try_store(at, 666);
            assert_eq!(stored, Some(()), "until the return the device may use the old page");
            Seen {
                handed_over: world.memory.owner(frame) == other.id(),
                word: other_cpu.load(page(17), &mut task).unwrap(),
            }
        },
    );
    assert_eq!(done, Ok(()));
    assert_eq!(process.thread.try_store(at, 667), None, "after the return it may not");
    let space = process.stop(&mut task);
    drop((other_cpu, task));
    world.finish([space, other], None);
    seen
}

#[test]
fn early_free_lets_a_device_write_into_the_new_owners_page() {
    for unmap in [true, false] {
        assert_eq!(
            store_in_the_window(Some(WrongPolicy::EarlyFree), unmap),
            Seen { handed_over: true, word: 666 },
            "the device writes into a page of a process that it does not serve"
        );
        assert_eq!(
            store_in_the_window(None, unmap),
            Seen { handed_over: false, word: 42 },
            "the page is kept until the TLBs were told"
        );
    }
}

/// The policy that is wrong about case B does nothing wrong about case A.
#[test]
fn late_notification_of_a_zap_is_allowed() {
    assert_eq!(
        store_in_the_window(Some(WrongPolicy::LateNotify), true),
        Seen { handed_over: false, word: 42 }
    );
}
