// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// The shortest zap: start, clear, flush, free, end. What unmap paths come to
// when one page is in the range.

__from("v6.12.117", "mm/memory.c", zap_pte_range)
__implements(zap(va))
static void zap_one(unsigned long va)
{
    spinlock_t *ptl;
    struct page *page;

    mmu_notifier_invalidate_range_start(va);
    pte_t *pte = pte_offset_map_lock(va, &ptl);
    page = pte_page(ptep_get_and_clear(pte));
    flush_tlb_page(va);
    mmu_notifier_invalidate_range(va);
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_only_end(va);
    put_page(page);
}
