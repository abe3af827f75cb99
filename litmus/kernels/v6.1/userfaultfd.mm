// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// userfaultfd write-protects a page for a monitor: the engine of mprotect under the
// shared mmap lock, so that faults run meanwhile. The mark in the entry is a word
// here, changed and read under the entry's lock. An entry that keeps its rights is
// left alone: the kernel rewrites it, and records no flush for it (pte_needs_flush).

#include <kernel/v6.1/gather>

int uffd_wp = 0;

__from("v6.1.192", "mm/userfaultfd.c", uffd_wp_range)
__from("v6.1.192", "mm/mprotect.c", change_pte_range)
static void uffd_wp_range(unsigned long va, int enable)
{
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    gather_begin();
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte))) {
        if (enable && pte_write(ptep_get(pte))) {
            entry = ptep_modify_prot_start(pte);
            ptep_modify_prot_commit(pte, pte_wrprotect(entry));
        }
        uffd_wp = enable;
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    gather_finish(va);
}

// Once it has returned nobody writes before the monitor has allowed it.
__from("v6.1.192", "mm/userfaultfd.c", mwriteprotect_range)
__implements(downgrade(va))
static void uffd_writeprotect(unsigned long va)
{
    mmap_read_lock();
    uffd_wp_range(va, 1);
    mmap_read_unlock();
}

// The entry stays read-only: the next write faults, and finds no mark.
__from("v6.1.192", "mm/userfaultfd.c", mwriteprotect_range)
__implements(upgrade(va))
static void uffd_allow(unsigned long va)
{
    mmap_read_lock();
    uffd_wp_range(va, 0);
    mmap_read_unlock();
}

// A write that finds the mark waits for the monitor; here the thread ends. Without
// it the page is the process's own, and is re-used in place. A flush may be pending
// that the marker has not made yet.
__from("v6.1.192", "mm/memory.c", do_wp_page)
__implements(nop)
static vm_fault_t uffd_fault(struct vm_fault *vmf)
{
    vm_fault_t done = 0;

    mmap_read_lock();
    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (!pte_same(ptep_get(vmf->pte), vmf->orig_pte))
        goto unlock;
    if (READ_ONCE(uffd_wp)) {
        done = VM_FAULT_SIGBUS;
        goto unlock;
    }
    if (atomic_read(&tlb_flush_pending))
        flush_tlb_page(vmf->address);
    ptep_set_access_flags(vmf->pte, mk_pte(vmf->page, RW));
unlock:
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    mmap_read_unlock();
    return done;
}
