//! The fence between a frequent reader and a rare writer.
//!
//! Both sides store and then load what the other stored; each needs a full
//! barrier in between. Readers are frequent and writers are rare, so where the
//! operating system can run a barrier on every thread of the process
//! (`membarrier`), the reader's half shrinks to a compiler fence.

use crate::sync::atomic::{Ordering, fence};

/// A pair of fences of which at least one side is always a full barrier for both.
///
/// # Safety
///
/// For every execution of [`light`](Self::light) in one thread and
/// [`heavy`](Self::heavy) in another, either all memory accesses before
/// `light` are visible to those after `heavy`, or all accesses before `heavy`
/// are visible to those after `light`.
pub unsafe trait AsymmetricFence {
    /// The reader's half: cheap.
    fn light();
    /// The writer's half: as dear as it has to be.
    fn heavy();
}

/// A full barrier on both sides: right everywhere, 6 ns on the reader's side.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullFence;

// SAFETY: two sequentially consistent fences are totally ordered.
unsafe impl AsymmetricFence for FullFence {
    #[inline]
    fn light() {
        fence(Ordering::SeqCst);
    }
    #[inline]
    fn heavy() {
        fence(Ordering::SeqCst);
    }
}

/// `membarrier(2)` on the writer's side, a compiler fence on the reader's.
///
/// The first use in a process asks the kernel; where it refuses (old kernels,
/// sandboxes, other systems) both sides fall back to a full barrier.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Membarrier;

#[cfg(all(feature = "std", not(any(loom, shuttle, miri)), target_os = "linux"))]
mod linux {
    use core::ffi::{c_int, c_long};
    use core::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};

    const UNKNOWN: u8 = 0;
    const AVAILABLE: u8 = 1;
    const REFUSED: u8 = 2;
    static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

    // include/uapi/linux/membarrier.h
    const PRIVATE_EXPEDITED: c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;
    // Only where the number is known: elsewhere it is another system call.
    const SYS_MEMBARRIER: Option<c_long> =
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(324)
        } else if cfg!(any(
            target_arch = "aarch64",
            target_arch = "riscv64",
            target_arch = "loongarch64"
        )) {
            // The number in the generic table.
            Some(283)
        } else {
            None
        };

    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }

    fn membarrier(command: c_int) -> bool {
        let Some(number) = SYS_MEMBARRIER else { return false };
        // SAFETY: the call takes integers only and touches no memory of ours.
        unsafe { syscall(number, command, 0 as c_int, 0 as c_int) == 0 }
    }

    #[cold]
    fn ask() -> u8 {
        let state = if membarrier(REGISTER_PRIVATE_EXPEDITED) { AVAILABLE } else { REFUSED };
        // Two threads that ask at once get the same answer.
        STATE.store(state, Ordering::SeqCst);
        state
    }

    #[inline]
    pub(super) fn light() {
        // A thread that reads `UNKNOWN` or `REFUSED` pays the full barrier,
        // which pairs with either form of `heavy`.
        if STATE.load(Ordering::Relaxed) == AVAILABLE {
            compiler_fence(Ordering::SeqCst);
        } else {
            slow_light();
        }
    }

    #[cold]
    fn slow_light() {
        if STATE.load(Ordering::Relaxed) == UNKNOWN {
            ask();
        }
        fence(Ordering::SeqCst);
    }

    pub(super) fn heavy() {
        let mut state = STATE.load(Ordering::Relaxed);
        if state == UNKNOWN {
            state = ask();
        }
        if state == AVAILABLE {
            assert!(membarrier(PRIVATE_EXPEDITED), "membarrier was registered and then refused");
        }
        fence(Ordering::SeqCst);
    }
}

// SAFETY: a light half that is only a compiler fence runs only where `heavy`
// issues `membarrier`, which runs a full barrier on every thread of the
// process that is in user space and is passed by every thread that enters it;
// all other combinations are full barriers on both sides.
#[cfg(feature = "std")]
unsafe impl AsymmetricFence for Membarrier {
    #[inline]
    fn light() {
        #[cfg(all(not(any(loom, shuttle, miri)), target_os = "linux"))]
        linux::light();
        #[cfg(any(loom, shuttle, miri, not(target_os = "linux")))]
        FullFence::light();
    }
    #[inline]
    fn heavy() {
        #[cfg(all(not(any(loom, shuttle, miri)), target_os = "linux"))]
        linux::heavy();
        #[cfg(any(loom, shuttle, miri, not(target_os = "linux")))]
        FullFence::heavy();
    }
}
