//! COW faults with their 4 KiB copy: the address space beside the live kernel.
//!
//! Not the same work. The kernel's figure includes the trap, the VMA lookup,
//! the charge to the memory cgroup, the reverse map, the LRU; ours includes a
//! TLB that is software, a walk, the reverse map as a vector, and no trap. What
//! may be compared is the shape, and what each further subscriber adds.

pub mod kernel;
pub mod kvm;
pub mod ours;

use std::collections::BTreeMap;

use mmu_notifier::Task;

use crate::timing::Time;

/// Pages of a round.
pub const PAGES: usize = 512;
/// Rounds for each number of subscribers, taken in three turns.
const TURNS: usize = 3;
const ROUNDS: usize = 8;

/// Numbers of subscribers, and the names of what is measured with so many:
/// ours and the kernel's, after a fork and on the zero page.
pub const FORK: [(usize, &str, &str); 3] = [
    (0, "our fork cow, 0", "kernel fork cow, 0"),
    (1, "our fork cow, 1", "kernel fork cow, 1"),
    (8, "our fork cow, 8", "kernel fork cow, 8"),
];
pub const ZERO: [(usize, &str, &str); 3] = [
    (0, "our zero page, 0", "kernel zero page, 0"),
    (1, "our zero page, 1", "kernel zero page, 1"),
    (8, "our zero page, 8", "kernel zero page, 8"),
];
/// For what one more subscriber costs, here from 1 to 8.
pub const FORK_SLOPES: [(&str, [&str; 2]); 2] = [
    ("`address-space` fork COW, no-op mirrors (from 1 to 8)", [FORK[1].1, FORK[2].1]),
    ("Linux fork COW, open KVM VMs (from 1 to 8)", [FORK[1].2, FORK[2].2]),
];
pub const COPY: &str = "copy of 4 KiB alone";

/// Times ours and the kernel's in turn. What is missing, and why, goes to `missing`.
pub fn time(task: &mut Task, times: &mut BTreeMap<&'static str, Time>, missing: &mut Vec<String>) {
    let mut samples: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    let kvm = kvm::open();
    if let Err(why) = &kvm {
        missing.push(format!("live kernel with MMU notifiers: {why}"));
    }
    for _ in 0..TURNS {
        for ((subscribers, our_fork, kernel_fork), (_, our_zero, kernel_zero)) in
            FORK.into_iter().zip(ZERO)
        {
            ours::fork_cow(subscribers, ROUNDS, task, samples.entry(our_fork).or_default());
            ours::zero_page(subscribers, ROUNDS, task, samples.entry(our_zero).or_default());
            // Each open VM is a notifier of this process.
            let machines = match (&kvm, subscribers) {
                (_, 0) => Vec::new(),
                (Ok(kvm), _) => match (0..subscribers).map(|_| kvm.create_vm()).collect() {
                    Ok(machines) => machines,
                    Err(why) => {
                        note(missing, format!("{subscribers} KVM machines: {why}"));
                        continue;
                    }
                },
                (Err(_), _) => continue,
            };
            let measured = kernel::fork_cow(ROUNDS, samples.entry(kernel_fork).or_default())
                .and_then(|()| kernel::zero_page(ROUNDS, samples.entry(kernel_zero).or_default()));
            if let Err(error) = measured {
                note(missing, format!("live kernel: {error}"));
            }
            drop(machines);
        }
        ours::copy(ROUNDS, samples.entry(COPY).or_default());
    }
    for (name, samples) in samples {
        if let Some(time) = Time::of(samples) {
            times.insert(name, time);
        }
    }
}

fn note(missing: &mut Vec<String>, what: String) {
    if !missing.contains(&what) {
        missing.push(what);
    }
}
