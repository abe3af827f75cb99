// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// MADV_FREE, as Linux 6.12 does it for one page: the entry becomes clean and old,
// so that reclaim can tell whether somebody has written since. The flush is the
// gather's, after range_end, and tells everybody.

#include <kernel/v6.12/gather>

__from("v6.12.117", "mm/madvise.c", madvise_free_pte_range)
__from("v6.12.117", "mm/madvise.c", madvise_free_single_vma)
__implements(lazyfree(va))
static int sys_madvise_free(unsigned long va)
{
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmap_read_lock();
    gather_begin();
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    entry = ptep_get(pte);
    if (!pte_none(entry) && (pte_young(entry) || pte_dirty(entry))) {
        entry = ptep_get_and_clear(pte);
        set_pte_at(pte, pte_mkclean(pte_mkold(entry)));
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    gather_finish(va);
    mmap_read_unlock();
    return 0;
}
