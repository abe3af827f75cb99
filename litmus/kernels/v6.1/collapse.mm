// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// khugepaged: small pages become a huge one. The table is taken out, everybody
// is told, the range ends, and only then the pages are copied. In between the
// upper entry is empty; who faults waits for the mmap lock, here he tries again:
// `fault cpu = wait_for_collapse`. Walks without locks have their interrupts off, and
// are waited for by an interrupt before the table is used again. A huge page is not allocated here but taken
// from the mapping at `spare`, which has to be unmapped before.

#include <kernel/v6.1/era>

__from("v6.1.192", "mm/khugepaged.c", collapse_huge_page)
__from("v6.1.192", "mm/khugepaged.c", __collapse_huge_page_copy)
__from("v6.1.192", "mm/pgtable-generic.c", pmdp_collapse_flush)
__implements(nop)
static void collapse_huge_page(unsigned long va, unsigned long second, struct page *huge)
{
    struct page *table, *page;
    pmd_t *pmd = pmd_offset(va);
    spinlock_t *ptl;

    mmap_write_lock();
    mmu_notifier_invalidate_range_start(va, second + 1);
    ptl = pmd_lock(pmd);
    table = pmd_pgtable(pmdp_collapse_flush(pmd));
    spin_unlock(ptl);
    mmu_notifier_invalidate_range_end(va, second + 1);
    tlb_remove_table_sync_one();
    page = pte_page(ptep_get(pte_offset_table(table, va)));
    copy_page(huge, page);
    put_page(page);
    page = pte_page(ptep_get(pte_offset_table(table, second)));
    copy_page(huge + 1, page);
    put_page(page);
    smp_wmb();
    ptl = pmd_lock(pmd);
    set_pmd_at(pmd, mk_pmd(huge, RW));      // the table is kept for the next split
    spin_unlock(ptl);
    mmap_write_unlock();
}

// A table whose pages are all in the page cache is taken out and freed. Faults
// bring the pages back.
__from("v6.1.192", "mm/khugepaged.c", retract_page_tables)
__from("v6.1.192", "mm/khugepaged.c", collapse_and_free_pmd)
__from("v6.1.192", "mm/pgtable-generic.c", pmdp_collapse_flush)
__implements(nop)
static void retract_page_tables(unsigned long va, unsigned long end)
{
    pmd_t *pmd = pmd_offset(va);
    struct page *table;
    spinlock_t *ptl;

    mmap_write_lock();
    mmu_notifier_invalidate_range_start(va, end);
    ptl = pmd_lock(pmd);
    table = pmd_pgtable(pmdp_collapse_flush(pmd));
    spin_unlock(ptl);
    tlb_remove_table_sync_one();
    mmu_notifier_invalidate_range_end(va, end);
    pte_free(table);
    mmap_write_unlock();
}

static vm_fault_t wait_for_collapse(struct vm_fault *vmf)
{
    return 0;
}
