// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// munmap of the last page of a table: the table's page goes the way of the data
// pages, behind the gather's flush. The range that ended before told the
// secondary TLBs while the table was still hooked in, so that does not count.

#include <kernel/v6.1/munmap>

// Nobody else can reach the VMA any more, so there is no lock. The gather flushes
// the pointers to the table too.
__from("v6.1.192", "mm/memory.c", free_pgtables)
__from("v6.1.192", "mm/memory.c", free_pgd_range)
__from("v6.1.192", "mm/mmu_gather.c", tlb_remove_table)
static struct page *free_pgtables(unsigned long va)
{
    pmd_t *pmd = pmd_offset(va);
    struct page *table = pmd_pgtable(pmdp_get(pmd));

    pmd_clear(pmd);
    return table;
}

__from("v6.1.192", "mm/mmap.c", do_mas_align_munmap)
__from("v6.1.192", "mm/mmap.c", unmap_region)
__implements(zap(va))
static int munmap_last(unsigned long va)
{
    struct page *table;

    mmap_write_lock();
    vma_set_rights(va, NONE);
    mmap_write_downgrade();
    gather_begin();
    unmap_vmas(va);
    table = free_pgtables(va);
    gather_finish(va);
    pte_free(table);
    mmap_read_unlock();
    return 0;
}
