// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// migrate_vma: a driver moves pages to its own memory and back. Entries of a range
// become migration entries under one lock, with one flush of the CPUs before it is
// dropped, and the driver copies when the range has ended. A hole gets a new page,
// and so does the zero page. Ranges have the driver's mark, so that its own callback
// can ignore them. A migration entry is an empty entry here.

#include <kernel/v6.1/era>

// Told at range_end.
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_collect)
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_collect_pmd)
static struct page *migrate_vma_collect(unsigned long va, int owner)
{
    struct mmu_notifier_range range;
    struct page *page = NULL;
    spinlock_t *ptl;
    pte_t *pte;

    range.start = va;
    range.end = va + PAGE_SIZE;
    range.event = MMU_NOTIFY_MIGRATE;
    range.owner = owner;
    mmu_notifier_invalidate_range_start(&range);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte))) {
        page = pte_page(ptep_get(pte));
        get_page(page);
        if (trylock_page(page)) {
            ptep_get_and_clear(pte);
            flush_tlb_range(va, va + PAGE_SIZE);
            put_page(page);             // what the entry had
        } else {
            put_page(page);
            page = NULL;
        }
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(&range);
    return page;
}

// The driver copies to a page of its own, and the entry gets that.
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_setup)
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_finalize)
__implements(nop)
static void migrate_vma(unsigned long va, int owner)
{
    struct page *page, *new = alloc_page();
    spinlock_t *ptl;
    pte_t *pte;

    mmap_read_lock();
    page = migrate_vma_collect(va, owner);
    if (page) {
        copy_page(new, page);
        pte = pte_offset_map_lock(va, &ptl);
        set_pte_at(pte, mk_pte(new, RW));   // remove_migration_pte
        pte_unmap_unlock(pte, ptl);
        unlock_page(page);
        put_page(page);
    } else {
        put_page(new);
    }
    mmap_read_unlock();
}

// A new page where the zero page is, or nothing. Told under the lock.
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_insert_page)
__from("v6.1.192", "mm/migrate_device.c", migrate_vma_pages)
__from("v6.1.192", "mm/pgtable-generic.c", ptep_clear_flush)
__implements(nop)
static void migrate_vma_insert_page(unsigned long va)
{
    struct page *new = alloc_zeroed_page();
    spinlock_t *ptl;
    pte_t *pte;

    mmap_read_lock();
    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte))) {
        ptep_clear_flush_notify(pte);
        set_pte_at_notify(pte, mk_pte(new, RW));
    } else {
        set_pte_at(pte, mk_pte(new, RW));
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_only_end(va);
    mmap_read_unlock();
}
