//! The kernel's own COW faults, on memory of this process.

use std::io::{Error, Result};
use std::time::Instant;

use super::PAGES;

const PAGE: usize = 4096;

/// Private anonymous memory in 4 KiB pages.
struct Mapping {
    start: *mut u8,
}

impl Mapping {
    fn new() -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGES * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        // One fault for each page, wherever huge pages are the default. A
        // kernel without them refuses, and need not be told.
        // SAFETY: the mapping above, and advice changes no contents.
        unsafe { libc::madvise(start, PAGES * PAGE, libc::MADV_NOHUGEPAGE) };
        Ok(Mapping { start: start.cast() })
    }

    fn write(&self, value: u8) {
        for page in 0..PAGES {
            // SAFETY: inside the mapping, which nobody else has.
            unsafe { self.start.add(page * PAGE).write_volatile(value) };
        }
    }

    fn read(&self) {
        for page in 0..PAGES {
            // SAFETY: as for `write`.
            unsafe { self.start.add(page * PAGE).read_volatile() };
        }
    }

    fn timed_write(&self, value: u8, samples: &mut Vec<f64>) {
        let begun = Instant::now();
        self.write(value);
        samples.push(begun.elapsed().as_nanos() as f64 / PAGES as f64);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: ours, and gone after this.
        unsafe { libc::munmap(self.start.cast(), PAGES * PAGE) };
    }
}

/// A child that shares this process' pages until it is killed.
struct Child(libc::pid_t);

impl Child {
    fn fork() -> Result<Self> {
        // SAFETY: the child makes nothing but system calls.
        match unsafe { libc::fork() } {
            -1 => Err(Error::last_os_error()),
            // SAFETY: as above. It goes with its parent, however that ends.
            0 => unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            },
            child => Ok(Child(child)),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: our own child, which we have not waited for yet.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// Write faults on pages that a child shares.
///
/// # Errors
///
/// What the system refused.
pub fn fork_cow(rounds: usize, samples: &mut Vec<f64>) -> Result<()> {
    let memory = Mapping::new()?;
    for round in 0..rounds {
        memory.write(1);
        let child = Child::fork()?;
        memory.timed_write(round as u8, samples);
        drop(child);
    }
    Ok(())
}

/// Write faults on pages that were read before: the zero page.
///
/// # Errors
///
/// What the system refused.
pub fn zero_page(rounds: usize, samples: &mut Vec<f64>) -> Result<()> {
    for _ in 0..rounds {
        let memory = Mapping::new()?;
        memory.read();
        memory.timed_write(1, samples);
    }
    Ok(())
}
