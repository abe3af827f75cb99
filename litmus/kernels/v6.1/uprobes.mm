// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// uprobes put a patched copy of a page of code in the place of the original.
// The caller holds mmap_lock for writing, the old page's lock and a reference
// to it.

#include <kernel/v6.1/era>

__from("v6.1.192", "kernel/events/uprobes.c", __replace_page)
__from("v6.1.192", "mm/pgtable-generic.c", ptep_clear_flush)
static int __replace_page(unsigned long va, struct page *old, struct page *new, pgprot_t rights)
{
    int err = -EAGAIN;
    spinlock_t *ptl;
    pte_t *pte;

    lock_page(old);
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_page(ptep_get(pte)) != old) {
        pte_unmap_unlock(pte, ptl);
        goto unlock;
    }
    ptep_clear_flush_notify(pte);
    set_pte_at_notify(pte, mk_pte(new, rights));
    put_page(old);                      // what the entry had; the caller has another
    pte_unmap_unlock(pte, ptl);
    err = 0;
unlock:
    mmu_notifier_invalidate_range_end(va);
    unlock_page(old);
    return err;
}
