// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// mremap moves entries to another address. Both locks are held until the old
// range is flushed, so that nobody can change the new entry while the old name
// still works. The secondary TLBs are told at range_end, of the old range only.

#include <kernel/v6.1/era>

// The new address has to be free.
__from("v6.1.192", "mm/mremap.c", move_ptes)
static void move_ptes(unsigned long from, unsigned long to)
{
    spinlock_t *old_ptl, *new_ptl;
    pte_t *old_pte, *new_pte;
    pte_t entry;

    old_pte = pte_offset_map_lock(from, &old_ptl);
    new_pte = pte_offset_map(to);
    new_ptl = pte_lockptr(new_pte);
    if (new_ptl != old_ptl)
        spin_lock(new_ptl);
    if (!pte_none(ptep_get(old_pte))) {
        entry = ptep_get_and_clear(old_pte);
        set_pte_at(new_pte, entry);
        flush_tlb_page(from);
    }
    if (new_ptl != old_ptl)
        spin_unlock(new_ptl);
    pte_unmap_unlock(old_pte, old_ptl);
}

__from("v6.1.192", "mm/mremap.c", move_page_tables)
__from("v6.1.192", "arch/x86/mm/tlb.c", flush_tlb_mm_range)
static void move_page_tables(unsigned long from, unsigned long to)
{
    mmu_notifier_invalidate_range_start(from);
    move_ptes(from, to);
    mmu_notifier_invalidate_range_end(from);
}

__from("v6.1.192", "mm/mremap.c", move_vma)
__implements(move(from, to))
static int sys_mremap(unsigned long from, unsigned long to)
{
    mmap_write_lock();
    vma_set_rights(to, RW);
    move_page_tables(from, to);
    vma_set_rights(from, NONE);
    mmap_write_unlock();
    return 0;
}
