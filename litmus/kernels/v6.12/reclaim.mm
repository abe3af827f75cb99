// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Reclaim takes a page away from whoever has it mapped, by its reverse map. The
// page's lock is held; the caller has a reference, writes the page out and frees
// it. What the entry knows of writes goes to the page. The swap entry that is left
// behind is an empty entry here. Batches are in `reclaim-batch`.

#include <kernel/v6.12/era>

__from("v6.12.117", "mm/rmap.c", try_to_unmap_one)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
static int try_to_unmap_one(unsigned long va, struct page *page)
{
    spinlock_t *ptl;
    pte_t entry;
    int mapped;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    mapped = pte_page(ptep_get(pte)) == page;
    if (mapped) {
        entry = ptep_clear_flush(pte);
        if (pte_dirty(entry))
            set_page_dirty(page);
        folio_put(page);                // what the entry had
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return mapped;
}

// Pages of files are told of in the same way.
__from("v6.12.117", "mm/rmap.c", try_to_unmap_one)
static int try_to_unmap_file(unsigned long va, struct page *page)
{
    return try_to_unmap_one(va, page);
}

// A page that MADV_FREE gave up: dropped if nobody has written it since and nobody
// else has a reference, which are the caller's and the entry's. Everybody was told
// before that, with the flush.
__from("v6.12.117", "mm/rmap.c", try_to_unmap_one)
static int try_to_unmap_lazyfree(unsigned long va, struct page *page)
{
    int dropped = 0;
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_page(ptep_get(pte)) == page) {
        entry = ptep_clear_flush(pte);
        if (pte_dirty(entry))
            set_page_dirty(page);
        smp_mb();
        if (page_count(page) == 2 && !PageDirty(page)) {
            folio_put(page);             // what the entry had
            dropped = 1;
        } else {
            set_pte_at(pte, entry);
        }
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return dropped;
}
