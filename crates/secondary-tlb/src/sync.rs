//! The one place that chooses between the processor's atomics and those of a
//! model checker (`--cfg shuttle`).

#[cfg(not(shuttle))]
pub(crate) use core::sync::atomic;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic;

/// Gives the thread that we wait for a chance to run.
pub(crate) fn relax() {
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
    #[cfg(all(feature = "std", not(shuttle)))]
    std::thread::yield_now();
    #[cfg(all(not(feature = "std"), not(shuttle)))]
    core::hint::spin_loop();
}
