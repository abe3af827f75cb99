// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// The end of an address space, as Linux 6.1 does it. Its last user has gone; here
// that is the write lock, which waits for calls and faults that are under way.
// release comes first: afterwards no subscriber is told any more, because none
// looks at these tables. An IOTLB of a test that has no context to be unloaded
// goes on walking, so the gather's flush tells it once more; where release has
// cut it off that finds nothing.

#include <kernel/v6.1/era>

__from("v6.1.192", "mm/mmap.c", exit_mmap)
__from("v6.1.192", "mm/mmu_notifier.c", __mmu_notifier_release)
__implements(exit)
static int sys_exit(void)
{
    unsigned long va;
    spinlock_t *ptl;
    pte_t *pte;

    mmap_write_lock();
    mmu_notifier_release();
    tlb_gather_mmu();
    for (va = mm_start(); va != mm_end(); va += PAGE_SIZE) {
        vma_set_rights(va, NONE);
        pte = pte_offset_map_lock(va, &ptl);
        if (!pte_none(ptep_get(pte)))
            tlb_remove_page(pte_page(ptep_get_and_clear(pte)));
        pte_unmap_unlock(pte, ptl);
    }
    tlb_finish_mmu();
    mmap_write_unlock();
    return 0;
}
