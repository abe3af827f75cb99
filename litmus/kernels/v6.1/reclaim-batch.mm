// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Reclaim with a batch: the entry is cleared, the secondary TLBs are told under the
// lock, and the CPUs are flushed for all pages of the batch at its end.

#include <kernel/v6.1/reclaim>

__from("v6.1.192", "mm/rmap.c", try_to_unmap_one)
__from("v6.1.192", "mm/rmap.c", set_tlb_ubc_flush_pending)
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
        entry = ptep_get_and_clear(pte);    // the CPUs: try_to_unmap_flush
        if (pte_dirty(entry))
            set_page_dirty(page);
        mmu_notifier_invalidate_range(va);
        put_page(page);
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return mapped;
}

__from("v6.1.192", "mm/rmap.c", try_to_unmap_flush)
__from("v6.1.192", "arch/x86/mm/tlb.c", arch_tlbbatch_flush)
static void try_to_unmap_flush(void)
{
    flush_tlb_mm();
}
