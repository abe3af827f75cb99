// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// fork of a program whose one page to be shared is called `a`; its child is
// `mm child`. Secondary TLBs are told at range_end, CPUs once at the end.

__from("v6.1.192", "mm/memory.c", copy_present_pte)
__implements(fork)
static int sys_fork(void)
{
    spinlock_t *ptl;
    pte_t *pte;

    mmap_write_lock();
    mmu_notifier_invalidate_range_start(a);
    pte = pte_offset_map_lock(a, &ptl);
    if (!pte_none(ptep_get(pte))) {
        get_page(pte_page(ptep_get(pte)));
        ptep_set_wrprotect(pte);
        copy_one_pte(child, a);
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(a);
    flush_tlb_mm();
    mmap_write_unlock();
    return 0;
}
