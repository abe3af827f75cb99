//! The token of one thread is lent to another.
use mmu_notifier::*;

fn wrong(task: &mut Task) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = &mut *task;
        });
    });
}

fn main() {}
