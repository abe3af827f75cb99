// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Unmapping through a gather: entries are cleared under the lock, and what they
// had is freed after one flush that comes later. With BATCH_FULL the page is the
// last that the gather has room for: the flush is under the lock, and the pages are
// freed before the range ends. Dirty pages of shared files are flushed under the
// lock as well: `zap-shared`.

#include <kernel/v6.12/gather>

__from("v6.12.117", "mm/memory.c", zap_pte_range)
static void zap_pte_range(unsigned long va)
{
    spinlock_t *ptl;
    pte_t *pte = pte_offset_map_lock(va, &ptl);

    if (!pte)
        return;                         // no table
    if (!pte_none(ptep_get(pte)))
        tlb_remove_page(pte_page(ptep_get_and_clear(pte)));
#ifdef BATCH_FULL
    tlb_flush_mmu_tlbonly();
#endif
    pte_unmap_unlock(pte, ptl);
#ifdef BATCH_FULL
    tlb_flush_mmu();                    // what is in the batch is freed here
#endif
}

__from("v6.12.117", "mm/memory.c", unmap_vmas)
static void unmap_vmas(unsigned long va)
{
    mmu_notifier_invalidate_range_start(va);
    zap_pte_range(va);
    mmu_notifier_invalidate_range_end(va);
}

__from("v6.12.117", "mm/vma.c", do_vmi_align_munmap)
__from("v6.12.117", "mm/vma.c", vms_clear_ptes)
__implements(zap(va))
static int sys_munmap(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, NONE);
    mmap_write_downgrade();             // faults go on, and find no VMA
    gather_begin();
    unmap_vmas(va);
    gather_finish(va);
    mmap_read_unlock();
    return 0;
}

__from("v6.12.117", "mm/memory.c", zap_page_range_single)
static void zap_page_range_single(unsigned long va)
{
    gather_begin();
    mmu_notifier_invalidate_range_start(va);
    zap_pte_range(va);
    mmu_notifier_invalidate_range_end(va);
    gather_finish(va);
}

__from("v6.12.117", "mm/madvise.c", madvise_dontneed_single_vma)
__implements(zap(va))
static int sys_madvise_dontneed(unsigned long va)
{
    mmap_read_lock();
    zap_page_range_single(va);
    mmap_read_unlock();
    return 0;
}
