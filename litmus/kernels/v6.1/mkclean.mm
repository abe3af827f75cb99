// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Before a page of a file is written out its entries are made clean and
// read-only, so that the next write faults and dirties the page again. Told at
// range_end; the writeback begins after that.

#include <kernel/v6.1/era>

__from("v6.1.192", "mm/rmap.c", page_vma_mkclean_one)
__from("v6.1.192", "mm/pgtable-generic.c", ptep_clear_flush)
static int page_vma_mkclean_one(unsigned long va)
{
    spinlock_t *ptl;
    int cleaned = 0;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    entry = ptep_get(pte);
    if (pte_dirty(entry) || pte_write(entry)) {
        entry = ptep_clear_flush(pte);
        entry = pte_mkclean(pte_wrprotect(entry));
        set_pte_at(pte, entry);
        cleaned = 1;
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return cleaned;
}
