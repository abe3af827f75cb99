//! The way of one device thread to a TLB.
//!
//! A port translates in two forms:
//!
//! - [`translate`](Port::translate) gives a value, without a shared write. It
//!   may be stale by the time it is used; [`Tlb::is_current`] says whether it was;
//! - [`translate_with`](Port::translate_with) lends the translation to a
//!   closure. An invalidation of the page does not return while it runs, so no
//!   access through an old translation happens after it has returned.
//!
//! Walks run inside the window in both forms, so a page-table page whose range
//! was invalidated has no walker left (TABLE).

use alloc::sync::Arc;
use core::fmt;

use mmu_protocol::{Access, VirtAddr};

use crate::source::Source;
use crate::tlb::{Checked, Tlb, page_number};
use crate::translation::{Fault, Pasid, Translation};
use crate::window::PORTS;

/// One device thread's access to a [`Tlb`]. Gives its place back when dropped.
pub struct Port<S: Source> {
    tlb: Arc<Tlb<S>>,
    place: usize,
    /// Tells successive windows apart, so that a waiter sees one end even if
    /// the next one opens on the same page.
    turn: u64,
}

/// All 64 ports of the TLB are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPort;

impl fmt::Display for NoPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {PORTS} ports of the tlb are claimed; drop one first")
    }
}

impl core::error::Error for NoPort {}

impl<S: Source> Tlb<S> {
    /// Claims a port.
    ///
    /// # Errors
    ///
    /// [`NoPort`] if all 64 are claimed.
    pub fn port(self: &Arc<Self>) -> Result<Port<S>, NoPort> {
        let place = self.windows.claim().ok_or(NoPort)?;
        Ok(Port { tlb: Arc::clone(self), place, turn: 0 })
    }
}

impl<S: Source> Port<S> {
    /// The TLB behind it.
    pub fn tlb(&self) -> &Arc<Tlb<S>> {
        &self.tlb
    }

    /// Translates to a value that can be checked again with
    /// [`Tlb::is_current`].
    ///
    /// # Errors
    ///
    /// The [`Fault`] of the access.
    #[inline]
    pub fn translate(
        &mut self,
        pasid: Pasid,
        addr: VirtAddr,
        access: Access,
    ) -> Result<Checked, Fault> {
        match self.tlb.lookup(pasid, addr, access) {
            Some(checked) => Ok(checked),
            // Taken apart and put together again, so that a hit need not go
            // through the memory in which a walk leaves its result.
            None => Ok(self.walk(pasid, addr, access)?),
        }
    }

    #[cold]
    fn walk(&mut self, pasid: Pasid, addr: VirtAddr, access: Access) -> Result<Checked, Fault> {
        let page = page_number(addr)?;
        self.turn = self.turn.wrapping_add(1);
        // INV-WINDOW: the walk is in flight until the window is dropped.
        let _window = self.tlb.windows.open(self.place, self.turn, pasid, page);
        granted(self.tlb.refill(pasid, addr, access), pasid, addr, access)
    }

    /// Translates and runs `body` with the translation, in atomic context.
    ///
    /// An invalidation of the page waits until `body` has returned. `body` is
    /// lent the 4 KiB around `addr` even where the page is larger, because
    /// that is what the window covers.
    ///
    /// `body` must be bounded, must not sleep or fault, and must not invalidate
    /// this page in this TLB: the invalidation would wait for itself. (In debug
    /// builds with `std` that is a panic.) If it panics, the window closes.
    ///
    /// # Errors
    ///
    /// The [`Fault`] of the access; `body` has not run.
    #[inline]
    pub fn translate_with<R>(
        &mut self,
        pasid: Pasid,
        addr: VirtAddr,
        access: Access,
        body: impl FnOnce(&Translation) -> R,
    ) -> Result<R, Fault> {
        let page = page_number(addr)?;
        self.turn = self.turn.wrapping_add(1);
        // INV-WINDOW: from before the lookup until after the accesses.
        let window = self.tlb.windows.open(self.place, self.turn, pasid, page);
        let checked = match self.tlb.lookup(pasid, addr, access) {
            Some(checked) => checked,
            None => granted(self.tlb.refill(pasid, addr, access), pasid, addr, access)?,
        };
        let translation = checked.translation().at(addr);
        let result = body(&translation);
        self.tlb.observe_use(addr, translation.pfn, access);
        drop(window);
        Ok(result)
    }
}

fn granted(
    found: Option<Checked>,
    pasid: Pasid,
    addr: VirtAddr,
    access: Access,
) -> Result<Checked, Fault> {
    match found {
        Some(checked) if checked.translation().rights.grant(access) => Ok(checked),
        Some(_) => Err(Fault::NotGranted { pasid, addr, access }),
        None => Err(Fault::NotPresent { pasid, addr }),
    }
}

impl<S: Source> Drop for Port<S> {
    fn drop(&mut self) {
        self.tlb.windows.unclaim(self.place);
    }
}

impl<S: Source> fmt::Debug for Port<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("place", &self.place).finish_non_exhaustive()
    }
}
