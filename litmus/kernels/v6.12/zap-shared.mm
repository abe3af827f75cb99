// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Unmapping a page of a shared file: if its entry is dirty the page is marked, and
// the gather is flushed before the lock is dropped. The page's map count goes down
// after that flush: whoever finds no mapping knows that no TLB can write.
//
// `mapcount` is the map count of the one page, and `mkclean` what a writeback
// does to its entry.

#include <kernel/v6.12/munmap>
#include <kernel/v6.12/mkclean>

int mapcount = 1;

__from("v6.12.117", "mm/memory.c", zap_pte_range)
__from("v6.12.117", "mm/memory.c", zap_present_folio_ptes)
__from("v6.12.117", "mm/mmu_gather.c", tlb_flush_rmaps)
__implements(zap(va))
static void zap_shared(unsigned long va)
{
    int force_flush = 0;
    struct page *page;
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmap_read_lock();
    gather_begin();
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte))) {
        entry = ptep_get_and_clear(pte);
        page = pte_page(entry);
        if (pte_dirty(entry)) {
            set_page_dirty(page);
            force_flush = 1;
        }
        tlb_remove_page(page);
        if (force_flush)
            tlb_flush_mmu_tlbonly();
        mapcount--;                     // tlb_flush_rmaps
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    gather_finish(va);
    mmap_read_unlock();
}

// Cleans the entries of a page and takes its mark; gives whether it was there.
__from("v6.12.117", "mm/page-writeback.c", folio_clear_dirty_for_io)
__from("v6.12.117", "mm/rmap.c", folio_mkclean)
static int folio_mkclean_and_clear(unsigned long va, struct page *page)
{
    if (READ_ONCE(mapcount) && page_vma_mkclean_one(va))
        set_page_dirty(page);
    return clear_page_dirty_for_io(page);
}
