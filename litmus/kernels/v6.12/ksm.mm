// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// KSM: a page is write-protected, compared with one of the stable tree, and
// replaced by it. The page's lock is held from the first to the last, and the
// caller has a reference.

#include <kernel/v6.12/era>

// Tells with the flush. An entry that is read-only and clean already is left
// alone, and nobody is told. Behind the flush the references are counted: who has
// one may write past all entries, and a walk without locks that takes one later
// finds the entry changed. The empty value is "busy", or that another page is mapped.
__from("v6.12.117", "mm/ksm.c", write_protect_page)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
__implements(nop)
static pte_t write_protect_page(unsigned long va, struct page *page)
{
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    entry = ptep_get(pte);
    if (pte_page(entry) != page) {
        entry = __pte(0);               // page_vma_mapped_walk finds it no more
    } else if (pte_write(entry) || pte_dirty(entry)) {
        entry = ptep_clear_flush(pte);
        if (page_count(pte_page(entry)) != 2) {     // the entry's and the caller's
            set_pte_at(pte, entry);
            entry = __pte(0);
        } else {
            if (pte_dirty(entry))
                set_page_dirty(pte_page(entry));
            entry = pte_mkclean(pte_wrprotect(entry));
            set_pte_at(pte, entry);
        }
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return entry;
}

__from("v6.12.117", "mm/ksm.c", replace_page)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
__implements(nop)
static int replace_page(unsigned long va, struct page *page, struct page *kpage, pte_t orig)
{
    int err = -EFAULT;
    spinlock_t *ptl;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_same(ptep_get(pte), orig)) {
        get_page(kpage);
        ptep_clear_flush(pte);
        set_pte_at(pte, mk_pte(kpage, RO));
        put_page(page);                 // what the entry had
        err = 0;
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    return err;
}

__from("v6.12.117", "mm/ksm.c", try_to_merge_one_page)
__implements(nop)
static void try_to_merge_one_page(unsigned long va, struct page *page, struct page *kpage)
{
    pte_t orig;

    lock_page(page);
    orig = write_protect_page(va, page);
    if (!pte_none(orig) && pages_identical(page, kpage))
        replace_page(va, page, kpage, orig);
    unlock_page(page);
}
