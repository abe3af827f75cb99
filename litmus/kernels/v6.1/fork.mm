// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// fork of a program whose one page to be shared is called `a`; its child is
// `mm child`. Secondary TLBs are told at the range_end of each VMA, CPUs once
// at the end. Before that COW faults wait for the mmap lock, so nobody can rely
// on the copy.

#include <kernel/v6.1/era>

__from("v6.1.192", "mm/memory.c", copy_present_pte)
static void copy_present_pte(unsigned long va)
{
    spinlock_t *ptl;
    pte_t *pte = pte_offset_map_lock(va, &ptl);

    if (!pte_none(ptep_get(pte))) {
        get_page(pte_page(ptep_get(pte)));
        ptep_set_wrprotect(pte);
        copy_one_pte(child, va);
    }
    pte_unmap_unlock(pte, ptl);
}

__from("v6.1.192", "mm/memory.c", copy_page_range)
static void copy_page_range(unsigned long va)
{
    mmu_notifier_invalidate_range_start(va);
    copy_present_pte(va);
    mmu_notifier_invalidate_range_end(va);
}

__from("v6.1.192", "kernel/fork.c", dup_mmap)
__from("v6.1.192", "arch/x86/mm/tlb.c", flush_tlb_mm_range)
__implements(fork)
static int sys_fork(void)
{
    mmap_write_lock();
    copy_page_range(a);
    flush_tlb_mm();
    mmap_write_unlock();
    return 0;
}
