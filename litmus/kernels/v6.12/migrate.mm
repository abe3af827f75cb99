// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A page moves: its entries become migration entries, it is copied, and the
// entries get the new page. A migration entry is an empty entry here, and who
// meets one tries again until it is gone: `fault cpu = migration_entry_wait`. What
// the old entry knew of writes goes to the page, and from there to the new page.

#include <kernel/v6.12/era>

// Told with the flush, under the lock.
__from("v6.12.117", "mm/rmap.c", try_to_migrate_one)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
static void try_to_migrate_one(unsigned long va, struct page *page)
{
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_page(ptep_get(pte)) == page) {
        entry = ptep_clear_flush(pte);
        if (pte_dirty(entry))
            set_page_dirty(page);
        folio_put(page);                 // what the entry had
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
}

__from("v6.12.117", "mm/migrate.c", remove_migration_pte)
static void remove_migration_pte(unsigned long va, struct page *new)
{
    spinlock_t *ptl;
    pte_t *pte = pte_offset_map_lock(va, &ptl);

    if (pte_none(ptep_get(pte)))
        set_pte_at(pte, mk_pte(new, RW));
    pte_unmap_unlock(pte, ptl);
}

// The caller has isolated the page, and has a reference for that.
__from("v6.12.117", "mm/migrate.c", migrate_folio_unmap)
__from("v6.12.117", "mm/migrate.c", migrate_folio_move)
__from("v6.12.117", "mm/migrate.c", move_to_new_folio)
__from("v6.12.117", "mm/migrate.c", folio_migrate_flags)
__from("v6.12.117", "mm/migrate.c", __migrate_folio)
__implements(nop)
static void unmap_and_move(unsigned long va, struct page *page)
{
    struct page *new = alloc_page();

    folio_lock(page);
    try_to_migrate_one(va, page);
    copy_page(new, page);
    folio_migrate_flags(new, page);
    remove_migration_pte(va, new);
    folio_unlock(page);
    folio_put(page);
}

__from("v6.12.117", "mm/migrate.c", migration_entry_wait)
static vm_fault_t migration_entry_wait(struct vm_fault *vmf)
{
    return 0;
}
