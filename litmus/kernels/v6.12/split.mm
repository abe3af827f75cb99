// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A huge entry becomes a table of small ones for the same pages. The flush of
// the huge entry tells the secondary TLBs.

#include <kernel/v6.12/era>

// `va` and `second` are the pages of the block; all others are like them.
__from("v6.12.117", "mm/huge_memory.c", __split_huge_pmd_locked)
__from("v6.12.117", "mm/pgtable-generic.c", pmdp_invalidate)
static void __split_huge_pmd_locked(pmd_t *pmd, struct page *table, unsigned long va,
                                    unsigned long second)
{
    pte_t first, next;
    pgprot_t rights;
    pmd_t old;

    old = pmdp_invalidate(pmd);
    rights = pmd_write(old) ? RW : RO;
    first = mk_pte(pmd_page(old), rights);
    next = mk_pte(pmd_page(old) + 1, rights);
    if (pmd_dirty(old)) {
        first = pte_mkdirty(first);
        next = pte_mkdirty(next);
    }
    set_pte_at(pte_offset_table(table, va), first);
    set_pte_at(pte_offset_table(table, second), next);
    smp_wmb();
    pmd_populate(pmd, table);
}

__from("v6.12.117", "mm/huge_memory.c", __split_huge_pmd)
__implements(nop)
static void __split_huge_pmd(unsigned long va, unsigned long second)
{
    struct page *table = pte_alloc_one();   // it was deposited with the huge page
    pmd_t *pmd = pmd_offset(va);
    spinlock_t *ptl;

    mmu_notifier_invalidate_range_start(va, second + 1);
    ptl = pmd_lock(pmd);
    if (pmd_trans_huge(pmdp_get(pmd)))
        __split_huge_pmd_locked(pmd, table, va, second);
    spin_unlock(ptl);
    mmu_notifier_invalidate_range_end(va, second + 1);
}

// With `freeze` the small entries are migration entries, so that the pages can
// be taken. It runs inside of the range of try_to_migrate_one.
__from("v6.12.117", "mm/huge_memory.c", __split_huge_pmd_locked)
__from("v6.12.117", "mm/huge_memory.c", __split_huge_pmd)
__from("v6.12.117", "mm/huge_memory.c", split_huge_pmd_address)
static struct page *split_huge_pmd_freeze(unsigned long va, unsigned long second)
{
    struct page *table = pte_alloc_one();
    pmd_t *pmd = pmd_offset(va);
    spinlock_t *ptl;
    pmd_t old;

    mmu_notifier_invalidate_range_start(va, second + 1);
    ptl = pmd_lock(pmd);
    old = pmdp_invalidate(pmd);
    pmd_populate(pmd, table);
    spin_unlock(ptl);
    mmu_notifier_invalidate_range_end(va, second + 1);
    return pmd_page(old);
}

// A huge entry of the level above, which only devices' memory and DAX have. It is
// not split but dropped, under the lock, and faults bring the small ones. The upper
// one of the two levels that there are here stands for it.
__from("v6.12.117", "mm/huge_memory.c", __split_huge_pud)
__from("v6.12.117", "mm/huge_memory.c", __split_huge_pud_locked)
static void __split_huge_pud(unsigned long va, unsigned long second)
{
    pmd_t *pud = pmd_offset(va);
    spinlock_t *ptl;

    mmu_notifier_invalidate_range_start(va, second + 1);
    ptl = pmd_lock(pud);
    if (pmd_trans_huge(pmdp_get(pud)))
        pmdp_huge_clear_flush(pud);
    spin_unlock(ptl);
    mmu_notifier_invalidate_range_end(va, second + 1);
}
