//! A token is copied, and with it the right to take a lock.
use mmu_notifier::*;

fn wrong(task: &Task) -> Task {
    Task::clone(task)
}

fn main() {}
