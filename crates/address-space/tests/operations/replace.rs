//! `replace_page`: other contents in another page, and no write is lost that
//! somebody makes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use address_space::{Cpu, Error, Ksm};

use crate::support::{RW, World, page, pages, task};

#[test]
fn the_edited_copy_takes_the_place_of_the_page() {
    let world = World::new(64);
    let ksm = Ksm::new(&world.memory);
    let mut task = task();
    let mut process = world.process(pages(16, 2), RW, &mut task);
    process.thread.store(page(16).offset(40), 5).unwrap();
    let (_, old) = process.thread.load_from(page(16)).unwrap();
    process.space.replace_page(page(16).offset(40), |words| words[5] += 1, &mut task).unwrap();
    let (value, new) = process.thread.load_from(page(16).offset(40)).unwrap();
    assert_eq!(value, 6);
    assert_ne!(old, new);
    assert_eq!(world.memory.references(old), 0, "the old page is free");
    process.thread.store(page(16), 1).expect("the rights are as before");

    // The child's page is not the parent's.
    let child = process.space.fork(&mut task).unwrap();
    process.space.replace_page(page(16), |words| words[5] = 100, &mut task).unwrap();
    assert_eq!(Cpu::new(&child).unwrap().load(page(16).offset(40), &mut task), Ok(6));
    assert_eq!(process.cpu.load(page(16).offset(40), &mut task), Ok(100));
    process.thread.store(page(16), 2).unwrap();

    // Nor is the zero page changed, nor one that KSM shares.
    assert_eq!(process.cpu.load(page(17), &mut task), Ok(0));
    process.space.replace_page(page(17), |words| words[0] = 9, &mut task).unwrap();
    process.space.ksm_scan(page(17), &ksm, &mut task).unwrap();
    process.space.replace_page(page(17), |words| words[0] = 10, &mut task).unwrap();
    assert_eq!(process.thread.load(page(17)), Ok(10));
    process.thread.store(page(17), 11).unwrap();
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space, child], Some(ksm));
}

#[test]
fn no_addition_of_a_concurrent_device_or_cpu_is_lost() {
    const ROUNDS: u64 = 300;
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    process.thread.store(page(16), 0).unwrap();
    let stop = AtomicBool::new(false);
    let until_stopped = |add: &mut dyn FnMut()| {
        let mut added = 0;
        while !stop.load(Ordering::Relaxed) {
            add();
            added += 1;
        }
        added
    };
    let total: u64 = std::thread::scope(|scope| {
        let device = scope.spawn(|| {
            until_stopped(&mut || {
                process.thread.add(page(16), 1).unwrap();
            })
        });
        let cpu = scope.spawn(|| {
            let mut task = mmu_notifier::Task::current().unwrap();
            let mut cpu = Cpu::new(&process.space).unwrap();
            until_stopped(&mut || {
                cpu.add(page(16), 1, &mut task).unwrap();
            })
        });
        for _ in 0..ROUNDS {
            process.space.replace_page(page(16), |words| words[1] += 1, &mut task).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        device.join().unwrap() + cpu.join().unwrap()
    });
    assert_eq!(process.cpu.load(page(16), &mut task), Ok(total));
    assert_eq!(process.cpu.load(page(16).offset(8), &mut task), Ok(ROUNDS));
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// A panic in the closure leaves the entry empty and the books balanced.
#[test]
fn a_panic_in_the_edit_loses_the_page_and_nothing_else() {
    let world = World::new(64);
    let mut task = task();
    let mut process = world.process(pages(16, 1), RW, &mut task);
    process.thread.store(page(16), 5).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        process.space.replace_page(page(16), |_| panic!("on purpose"), &mut task)
    }));
    assert!(panicked.is_err());
    world.check(&[&process.space], None);
    assert_eq!(process.thread.load(page(16)), Ok(0), "the page is gone, the mapping is not");
    assert_eq!(
        process.space.replace_page(page(17), |_| (), &mut task),
        Err(Error::NotPresent { addr: page(17) }),
        "the task has no range open"
    );
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}
