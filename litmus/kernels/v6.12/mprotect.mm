// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// mprotect: the caller opens a gather, entries are rewritten under the lock, and
// the flush comes last, behind range_end. Nobody is told before.

#include <kernel/v6.12/gather>

__from("v6.12.117", "mm/mprotect.c", change_pte_range)
static void change_pte_range(unsigned long va, pgprot_t rights)
{
    spinlock_t *ptl;
    pte_t old, entry;
    pte_t *pte = pte_offset_map_lock(va, &ptl);

    if (!pte_none(ptep_get(pte))) {
        old = ptep_modify_prot_start(pte);
        entry = mk_pte(pte_page(old), rights);
        if (pte_dirty(old))
            entry = pte_mkdirty(entry);
        ptep_modify_prot_commit(pte, entry);
    }
    pte_unmap_unlock(pte, ptl);
}

__from("v6.12.117", "mm/mprotect.c", change_pud_range)
static void change_protection(unsigned long va, pgprot_t rights)
{
    mmu_notifier_invalidate_range_start(va);
    change_pte_range(va, rights);
    mmu_notifier_invalidate_range_end(va);
}

__from("v6.12.117", "mm/mprotect.c", do_mprotect_pkey)
__from("v6.12.117", "mm/mprotect.c", mprotect_fixup)
static void mprotect_to(unsigned long va, pgprot_t rights)
{
    mmap_write_lock();
    gather_begin();
    vma_set_rights(va, rights);
    change_protection(va, rights);
    gather_finish(va);
    mmap_write_unlock();
}

__from("v6.12.117", "mm/mprotect.c", do_mprotect_pkey)
__implements(downgrade(va))
static int sys_mprotect_ro(unsigned long va)
{
    mprotect_to(va, RO);
    return 0;
}

__from("v6.12.117", "mm/mprotect.c", do_mprotect_pkey)
__implements(revoke(va))
static int sys_mprotect_none(unsigned long va)
{
    mprotect_to(va, NONE);
    return 0;
}

// The entry stays as it is: the first write faults, and finds the page its own
// or copies it.
__from("v6.12.117", "mm/mprotect.c", do_mprotect_pkey)
__implements(upgrade(va))
static int sys_mprotect_rw(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, RW);
    mmap_write_unlock();
    return 0;
}
