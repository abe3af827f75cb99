//! What may go to another thread: nothing that counts on being on the thread
//! that took it.
#![cfg(not(any(loom, shuttle)))]

mod support;

use std::sync::Arc;

use mmu_notifier::*;
use support::{Flat, V61};

type P = Flat<'static, V61>;

const fn is_send<T: Send>() {}
const fn is_sync<T: Sync>() {}

const _: () = {
    is_send::<Mm<P>>();
    is_sync::<Mm<P>>();
    is_send::<Srcu<FullFence>>();
    is_sync::<Srcu<FullFence>>();
    is_send::<Subscription<Arc<dyn SecondaryTlb>>>();
    is_sync::<Subscription<Arc<dyn SecondaryTlb>>>();
    is_send::<StripeId>();
    is_send::<Ticket>();
    is_send::<StartError>();
    is_send::<PtlError>();
    is_send::<BatchError>();
    is_send::<Settled<u64>>();
    is_send::<Invalidation>();
    is_send::<RangeInfo>();
    is_send::<DeferArray<u8, 3>>();
};

/// Fails to compile, because the answer is ambiguous, if the type has the trait.
macro_rules! is_not {
    ($trait:ident: $($type:ty),+ $(,)?) => { $(
        const _: () = {
            trait Ambiguous<A> {
                const OK: () = ();
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $trait> Ambiguous<u8> for T {}
            <$type as Ambiguous<_>>::OK
        };
    )+ };
}

is_not!(Send:
    Task,
    &'static mut Task,
    InvalidateRange<'static, P>,
    RangePtl<'static, P>,
    RangePtlPair<'static, P>,
    FillPtl<'static, P>,
    Slot<'static, P>,
    FillSlot<'static, P>,
    PresentSlot<'static, P>,
    PresentView<'static, P>,
    PendingSlot<'static, P>,
    EmptySlot<'static, P>,
    ClearingPte<'static, P>,
    ClearedPte<'static, P>,
    NotifiedPte<'static, P>,
    Batch<'static, P, 2>,
    SrcuGuard<'static, FullFence>,
    ExclusiveMm<'static, P>,
);

is_not!(Sync:
    Task,
    InvalidateRange<'static, P>,
    RangePtl<'static, P>,
    RangePtlPair<'static, P>,
    FillPtl<'static, P>,
    Slot<'static, P>,
    FillSlot<'static, P>,
    PresentSlot<'static, P>,
    PresentView<'static, P>,
    PendingSlot<'static, P>,
    EmptySlot<'static, P>,
    ClearingPte<'static, P>,
    ClearedPte<'static, P>,
    NotifiedPte<'static, P>,
    Batch<'static, P, 2>,
    SrcuGuard<'static, FullFence>,
    ExclusiveMm<'static, P>,
);

#[test]
fn the_assertions_of_this_file_hold_if_it_compiles() {
    // And the platform's own page can cross threads, as an entry makes it do.
    is_send::<support::Page<'static>>();
}
