//! A split changes the shape of the tables and nothing else: the secondary TLBs
//! may keep the 2 MiB translation until `range_end`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use address_space::{Cpu, Operation, Stage};
use mmu_notifier::Task;

use crate::support::{HUGE, World, block, blocks, page, pages, stopped_at, task};

/// The thread stands before `range_end`: the device adds through 2 MiB, the CPU
/// through 4 KiB, to the same words.
fn both_shapes_at_once() {
    let world = World::new(2048);
    let mut task = task();
    let mut process = world.process(blocks(1, 1), HUGE, &mut task);
    for part in 0..512 {
        process.thread.store(page(512 + part), part).unwrap();
    }
    let (done, ()) = stopped_at(
        &world.stops,
        (Operation::Split, Stage::Unlocked, block(1)),
        |task| process.space.split_huge(block(1), task),
        || {
            for part in 0..512 {
                let at = page(512 + part);
                process.thread.add(at, 1000).unwrap();
                assert_eq!(process.cpu.add(at, 10_000, &mut task), Ok(part + 1000));
                assert_eq!(process.thread.load(at), Ok(part + 11_000));
            }
            // A change of one part reaches those that hold all of them: the
            // invalidation of 4 KiB drops the 2 MiB that cover it.
            process.space.dontneed(pages(512 + 9, 1), &mut task).unwrap();
            assert_eq!(process.thread.load(page(512 + 9)), Ok(0));
        },
    );
    assert_eq!(done, Ok(()));
    for part in (0..512).filter(|part| *part != 9) {
        assert_eq!(process.thread.load(page(512 + part)), Ok(part + 11_000));
    }
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

/// Split and collapse again and again under devices and CPUs that add to
/// words: no addition is lost.
fn additions_under_splits() {
    const ROUNDS: u64 = 30;
    let world = World::new(4096);
    let mut task = task();
    let process = world.process(blocks(1, 1), HUGE, &mut task);
    let mut setup = Cpu::new(&process.space).unwrap();
    for part in 0..512 {
        setup.store(page(512 + part), 0, &mut task).unwrap();
    }
    drop(setup);
    let stop = AtomicBool::new(false);
    // Bounded, so that a writer that cannot go on fails instead of hanging.
    let additions = |add: &mut dyn FnMut(u64)| {
        let mut done = 0_u64;
        while !stop.load(Ordering::Relaxed) || done < 512 {
            add(done % 512);
            done += 1;
        }
        done
    };
    let total: u64 = thread::scope(|scope| {
        let devices: Vec<_> = (0..2)
            .map(|_| {
                let mut thread = process.device.thread().unwrap();
                scope.spawn(move || {
                    additions(&mut |part| {
                        thread.add(page(512 + part), 1).unwrap();
                    })
                })
            })
            .collect();
        let cpu = scope.spawn(|| {
            let mut task = Task::current().unwrap();
            let mut cpu = Cpu::new(&process.space).unwrap();
            additions(&mut |part| {
                cpu.add(page(512 + part), 1, &mut task).unwrap();
            })
        });
        for _ in 0..ROUNDS {
            process.space.split_huge(block(1), &mut task).unwrap();
            process.space.collapse(block(1), &mut task).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        let devices: u64 = devices.into_iter().map(|device| device.join().unwrap()).sum();
        devices + cpu.join().unwrap()
    });
    let mut process = process;
    let sum: u64 =
        (0..512).map(|part| process.cpu.load(page(512 + part), &mut task).unwrap()).sum();
    assert_eq!(sum, total, "every addition counts");
    let space = process.stop(&mut task);
    drop(task);
    world.finish([space], None);
}

#[test]
fn split_keeps_every_byte_while_devices_go_on() {
    both_shapes_at_once();
    additions_under_splits();
}
