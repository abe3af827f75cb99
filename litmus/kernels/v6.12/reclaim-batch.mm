// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Reclaim with a batch: the secondary TLBs are told of the whole address space when a
// page joins the batch (x86), before any CPU is flushed; the flush at the end of the
// batch is for the CPUs and tells nobody. So the dial that makes each flush tell is
// off here, and a test includes nothing else that flushes.

#ifndef ERA
#define ERA 1
param range_end_invalidates = no;
param cpu_flush_notifies = no;
#endif

__from("v6.12.117", "mm/rmap.c", try_to_unmap_one)
__from("v6.12.117", "mm/rmap.c", set_tlb_ubc_flush_pending)
__from("v6.12.117", "arch/x86/include/asm/tlbflush.h", arch_tlbbatch_add_pending)
static int try_to_unmap_batched(unsigned long va, struct page *page)
{
    spinlock_t *ptl;
    pte_t entry;
    int mapped;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    mapped = pte_page(ptep_get(pte)) == page;
    if (mapped) {
        entry = ptep_get_and_clear(pte);
        mmu_notifier_arch_invalidate_secondary_tlbs(mm_start(), mm_end());
        if (pte_dirty(entry))
            set_page_dirty(page);
        put_page(page);
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return mapped;
}

__from("v6.12.117", "mm/rmap.c", try_to_unmap_flush)
__from("v6.12.117", "arch/x86/mm/tlb.c", arch_tlbbatch_flush)
static void try_to_unmap_flush(void)
{
    flush_tlb_mm();
}
