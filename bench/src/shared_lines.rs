//! Which cache lines of an object two tasks both write to.
//!
//! The object is read through the kernel (`/proc/self/mem`), padding and all,
//! before, inside and after the work of each task. Counters that come back to
//! their old value inside the work would be missed, which is why the inside is
//! looked at as well.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use mmu_notifier::protocol::{Event, PageSize, VirtRange};
use mmu_notifier::{Mm, Task};

use crate::arena::Arena;

const LINE: u64 = 64;

/// How many lines of the address space are written by both of two tasks that
/// each run a range while nobody is registered; and by one of them.
///
/// # Errors
///
/// If the memory cannot be read that way.
pub fn of_a_range(mm: &Mm<Arena>, task: &mut Task) -> Result<(usize, usize)> {
    let first = written(mm, task)?;
    // A thread of its own, because a thread has one task. Ours is still alive,
    // so the two cannot have the same stripe.
    let second = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut task = Task::current().expect("a new thread has none");
            written(mm, &mut task)
        });
        other.join().expect("it does not panic")
    })?;
    Ok((first.intersection(&second).count(), first.len()))
}

/// The lines that a range changes.
fn written(mm: &Mm<Arena>, task: &mut Task) -> Result<BTreeSet<u64>> {
    let page = VirtRange::page(Arena::addr(0), PageSize::Base);
    let before = read(mm)?;
    let range = mm.invalidate_range_start(page, Event::Clear, task).expect("not nested");
    let inside = read(mm)?;
    range.end();
    let after = read(mm)?;
    let start = std::ptr::from_ref(mm).addr() as u64;
    let changed = (0..before.len())
        .filter(|&at| before[at] != inside[at] || inside[at] != after[at])
        .map(|at| (start + at as u64) / LINE);
    Ok(changed.collect())
}

fn read(mm: &Mm<Arena>) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size_of_val(mm)];
    let memory = File::open("/proc/self/mem")?;
    memory.read_exact_at(&mut bytes, std::ptr::from_ref(mm).addr() as u64)?;
    Ok(bytes)
}
