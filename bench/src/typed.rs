//! The COW path as a user of the library writes it.

use mmu_notifier::protocol::{Event, PageSize, Rights, VirtAddr, VirtRange};
use mmu_notifier::{InvalidateRange, Mm, PtlError, StartError, Task};

use crate::arena::{Arena, Page};

/// Why the page was not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The range did not start.
    Start(StartError),
    /// The address does not fit.
    Ptl(PtlError),
    /// There is no page to replace.
    Absent,
}

/// Puts a new page in place of the one at `addr`; returns the old one.
///
/// A function of its own so that its instructions are counted as such.
#[inline(never)]
pub fn cow(mm: &Mm<Arena>, task: &mut Task, addr: VirtAddr, new: Page) -> Result<Page, Refused> {
    let page = VirtRange::page(addr, PageSize::Base);
    let mut range = mm.invalidate_range_start(page, Event::Clear, task).map_err(Refused::Start)?;
    // One way out of the range, whatever came of it: every further one would
    // be a copy of its end.
    let old = replace(&mut range, addr, new);
    range.end();
    old
}

#[inline]
fn replace(
    range: &mut InvalidateRange<'_, Arena>,
    addr: VirtAddr,
    new: Page,
) -> Result<Page, Refused> {
    let mut ptl = range.lock_ptl(addr).map_err(Refused::Ptl)?;
    let slot = ptl.slot(addr).map_err(Refused::Ptl)?.present().ok_or(Refused::Absent)?;
    Ok(slot.clear_flush_notify().set(new, Rights::ReadWrite))
}
