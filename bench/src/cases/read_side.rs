//! The reader's half of the subscriber list: enter and leave.
//!
//! The peers protect a list that never changes here; each is used as its
//! documentation says, and in the form that is best for it.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mmu_notifier::{AsymmetricFence, FullFence, Membarrier, Srcu, StripeId};

use crate::work::Case;

/// A word that stands for the list of subscribers.
type List = u64;

pub const MEMBARRIER: &str = "srcu, membarrier";
pub const FULL_FENCE: &str = "srcu, full fence";
pub const SHARED_STRIPE: &str = "srcu, shared stripe";
pub const EPOCH: &str = "crossbeam-epoch pin";
pub const EPOCH_HANDLE: &str = "crossbeam-epoch pin of a held handle";
pub const ARC_SWAP: &str = "arc-swap load";
pub const STD_RWLOCK: &str = "std RwLock read";
pub const PARKING_LOT: &str = "parking_lot RwLock read";

/// Ours and the peers'.
pub fn cases() -> Vec<Case> {
    vec![
        srcu::<Membarrier>(MEMBARRIER, exclusive),
        srcu::<FullFence>(FULL_FENCE, exclusive),
        srcu::<Membarrier>(SHARED_STRIPE, || StripeId::shared(0)),
        Case::new(EPOCH, |_| {
            let list = crossbeam_epoch::Atomic::<List>::new(7);
            move |_| {
                let guard = crossbeam_epoch::pin();
                let shared = list.load(std::sync::atomic::Ordering::Acquire, &guard);
                black_box(shared.as_raw());
            }
        }),
        Case::new(EPOCH_HANDLE, |_| {
            let collector = crossbeam_epoch::Collector::new();
            let handle = collector.register();
            let list = crossbeam_epoch::Atomic::<List>::new(7);
            move |_| {
                let guard = handle.pin();
                let shared = list.load(std::sync::atomic::Ordering::Acquire, &guard);
                black_box(shared.as_raw());
            }
        }),
        Case::new(ARC_SWAP, |_| {
            let list = ArcSwap::new(Arc::new(7 as List));
            move |_| {
                black_box(**list.load());
            }
        }),
        Case::new(STD_RWLOCK, |_| {
            let list = std::sync::RwLock::new(7 as List);
            move |_| {
                black_box(*list.read().expect("nobody panics with it"));
            }
        }),
        Case::new(PARKING_LOT, |_| {
            let list = parking_lot::RwLock::new(7 as List);
            move |_| {
                black_box(*list.read());
            }
        }),
    ]
}

fn srcu<F: AsymmetricFence + 'static>(name: &'static str, stripe: fn() -> StripeId) -> Case {
    Case::new(name, move |_| {
        let srcu: Box<Srcu<F>> = Box::default();
        let list = std::sync::atomic::AtomicU64::new(7);
        let stripe = stripe();
        move |_| {
            let _section = srcu.read(stripe);
            black_box(list.load(std::sync::atomic::Ordering::Acquire));
        }
    })
}

/// The stripe of this program's one task, in domains of its own making.
pub(crate) fn exclusive() -> StripeId {
    // SAFETY: INV-STRIPE: cases run one after the other in one thread, and
    // that thread's `Task` has a stripe from the other end of the numbers.
    unsafe { StripeId::exclusive(31) }.expect("there are 32")
}
