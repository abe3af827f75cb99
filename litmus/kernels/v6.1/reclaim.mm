// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Reclaim takes a page away from whoever has it mapped, by its reverse map. The
// page's lock is held; the caller has a reference, writes the page out and frees
// it. What the entry knows of writes goes to the page. The swap entry that is left
// behind is an empty entry here.

#include <kernel/v6.1/era>

// An anonymous page: told under the lock. Batches are in `reclaim-batch`.
__from("v6.1.192", "mm/rmap.c", try_to_unmap_one)
__from("v6.1.192", "mm/pgtable-generic.c", ptep_clear_flush)
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
        mmu_notifier_invalidate_range(va);
        put_page(page);                 // what the entry had
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return mapped;
}

// A page of a file: told at range_end. The page cache has it until the caller
// takes it out.
__from("v6.1.192", "mm/rmap.c", try_to_unmap_one)
static int try_to_unmap_file(unsigned long va, struct page *page)
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
        put_page(page);
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return mapped;
}

// A page that MADV_FREE gave up: dropped if nobody has written it since and nobody
// else has a reference, which are the caller's and the entry's. The devices are told
// when that is known, under the lock.
__from("v6.1.192", "mm/rmap.c", try_to_unmap_one)
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
            mmu_notifier_invalidate_range(va);
            put_page(page);             // what the entry had
            dropped = 1;
        } else {
            set_pte_at(pte, entry);
        }
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return dropped;
}
