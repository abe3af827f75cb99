//! The token of one thread is sent to another.
use mmu_notifier::*;

fn wrong(task: Task) {
    std::thread::spawn(move || drop(task));
}

fn main() {}
