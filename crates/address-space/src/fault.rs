//! Page faults, of CPUs and of devices alike.
//!
//! A fault looks, under the page table lock, why the access was refused, and
//! does the least that lets it go on. Whoever faulted tries again; a fault that
//! found nothing to do was spurious (a stale read-only translation, or somebody
//! else was faster).

use mmu_notifier::{FillSlot, PageTableEntry, Task};
use mmu_protocol::{Access, PageSize, Rights, VirtAddr, VirtRange};

use crate::cow::CopyJob;
use crate::entry::{Attr, Pte};
use crate::error::{Error, table_is_gone};
use crate::memory::ZERO_PFN;
use crate::policy::WrongPolicy;
use crate::space::AddressSpace;
use crate::sync::read;
use crate::vma::Vma;

/// What one look at the entry came to.
enum Step {
    /// The access can go on.
    Done,
    /// Something was added or somebody was faster: look again.
    Again,
    /// The page must be copied, without the lock.
    Copy(CopyJob),
}

impl AddressSpace {
    /// Makes the access possible, or says why it is not.
    ///
    /// # Errors
    ///
    /// [`Error::NoMapping`], [`Error::Forbidden`] or [`Error::OutOfFrames`].
    pub fn handle_fault(
        &self,
        addr: VirtAddr,
        access: Access,
        task: &mut Task,
    ) -> Result<(), Error> {
        let vmas = read(&self.vmas);
        let (range, vma) = vmas.find(addr).ok_or(Error::NoMapping { addr })?;
        if !vma.rights.grant(access) {
            return Err(Error::Forbidden { addr, access });
        }
        self.kernel().tables.grow(addr)?;
        loop {
            let step = match self.fault_huge(addr, range, vma, access, task)? {
                Some(step) => step,
                None => self.fault_base(addr, vma, access, task)?,
            };
            match step {
                Step::Done => return Ok(()),
                Step::Again => {}
                // The mapping stays as it is: we hold the mmap_lock.
                Step::Copy(job) => self.copy_on_write(job, task)?,
            }
        }
    }

    /// The entry of 2 MiB around `addr`; `None` if it points to a table.
    fn fault_huge(
        &self,
        addr: VirtAddr,
        mapped: VirtRange,
        vma: Vma,
        access: Access,
        task: &mut Task,
    ) -> Result<Option<Step>, Error> {
        let start = addr.align_down(PageSize::Huge);
        let mut ptl = match self.mm.lock_ptl(addr, PageSize::Huge, task) {
            Ok(ptl) => ptl,
            Err(error) if table_is_gone(error) => return Ok(Some(Step::Again)),
            Err(error) => unreachable!("{error}"),
        };
        let slot = ptl.fill(start).expect("the address is in its own table");
        let view = match slot {
            FillSlot::Present(view) => view,
            absent => {
                let slot = absent.vacant().expect("not present");
                let fits = mapped.covers(VirtRange::page(addr, PageSize::Huge));
                if vma.huge
                    && fits
                    && let Ok(page) = self.memory().alloc_zeroed(PageSize::Huge, self.id())
                {
                    slot.set(page, Attr::Leaf(vma.rights));
                    return Ok(Some(Step::Done));
                }
                let table = self.kernel().tables.new_table(addr, PageSize::Base)?;
                slot.set(table, Attr::Table);
                return Ok(None);
            }
        };
        if !view.entry().is_leaf() {
            return Ok(None);
        }
        self.fault_present(view, vma, access).map(Some)
    }

    /// The entry of 4 KiB around `addr`.
    fn fault_base(
        &self,
        addr: VirtAddr,
        vma: Vma,
        access: Access,
        task: &mut Task,
    ) -> Result<Step, Error> {
        let start = addr.align_down(PageSize::Base);
        let mut ptl = match self.mm.lock_ptl(addr, PageSize::Base, task) {
            Ok(ptl) => ptl,
            // Collapsed meanwhile.
            Err(error) if table_is_gone(error) => return Ok(Step::Again),
            Err(error) => unreachable!("{error}"),
        };
        match ptl.fill(start).expect("the address is in its own table") {
            FillSlot::Present(view) => self.fault_present(view, vma, access),
            absent => {
                let slot = absent.vacant().expect("not present");
                match access {
                    Access::Read => {
                        slot.set(self.memory().zero_page(), Attr::Leaf(Rights::ReadOnly));
                    }
                    Access::Write => {
                        let page = self.memory().alloc_zeroed(PageSize::Base, self.id())?;
                        slot.set(page, Attr::Leaf(Rights::ReadWrite));
                    }
                }
                Ok(Step::Done)
            }
        }
    }

    /// A present entry refused the access, or somebody was faster.
    fn fault_present(
        &self,
        mut view: mmu_notifier::PresentView<'_, crate::platform::Kernel>,
        vma: Vma,
        access: Access,
    ) -> Result<Step, Error> {
        let entry: Pte = view.entry();
        if entry.rights().grant(access) || access == Access::Read {
            return Ok(Step::Done);
        }
        debug_assert_eq!(vma.rights, Rights::ReadWrite);
        if self.may_reuse(entry) {
            view.make_writable();
            return Ok(Step::Done);
        }
        // The reference keeps the page from being reused in place or freed
        // while we copy it without the lock.
        let page = view.with_page(Clone::clone);
        let settled = if self.is_wrong(WrongPolicy::UnsettledCopy) {
            None
        } else {
            Some(view.settle().expect("the entry does not grant writes"))
        };
        Ok(Step::Copy(CopyJob { addr: view.addr(), size: view.size(), page, entry, settled }))
    }

    /// Whether the page is this entry's alone, so that it may be written in place.
    fn may_reuse(&self, entry: Pte) -> bool {
        let memory = self.memory();
        let pfn = entry.pfn();
        pfn != ZERO_PFN && !memory.is_ksm(pfn) && memory.references(pfn) == 1
    }
}

/// An entry that was seen before the lock was dropped is still there.
pub(crate) fn same_page(now: Pte, before: Pte) -> bool {
    now.is_present() && now.aged() == before.aged()
}
