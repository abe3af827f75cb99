// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A device wants a page for itself, for atomic operations that no bus carries. The
// entry becomes one that hardware does not see: who touches the page faults, and
// the fault takes it back from the device. Both open a range; that of the maker
// has his mark, so that his own callback can ignore it. The restorer's has none,
// and it begins before the entry is present again: nobody is told by the entry
// itself, which was absent. Told at range_end, if it is hardware that walks.

#include <kernel/v6.1/era>

__from("v6.1.192", "mm/rmap.c", page_make_device_exclusive_one)
__from("v6.1.192", "mm/pgtable-generic.c", ptep_clear_flush)
static int page_make_device_exclusive_one(unsigned long va, struct page *page, int owner)
{
    struct mmu_notifier_range range;
    int valid = 0;
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    range.start = va;
    range.end = va + PAGE_SIZE;
    range.event = MMU_NOTIFY_EXCLUSIVE;
    range.owner = owner;
    mmu_notifier_invalidate_range_start(&range);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_valid(ptep_get(pte)) && pte_page(ptep_get(pte)) == page) {
        entry = ptep_clear_flush(pte);
        if (pte_dirty(entry))
            set_page_dirty(page);
        valid = pte_write(entry);
        set_pte_at(pte, pte_mkinvalid(entry));
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(&range);
    return valid;
}

// The page, locked and with a reference, or NULL.
__from("v6.1.192", "mm/rmap.c", make_device_exclusive_range)
__from("v6.1.192", "mm/rmap.c", folio_make_device_exclusive)
__implements(nop)
static struct page *make_device_exclusive(unsigned long va, int owner)
{
    struct page *page = get_user_page(va);

    if (!page)
        return NULL;
    if (!trylock_page(page)) {
        put_page(page);
        return NULL;
    }
    if (!page_make_device_exclusive_one(va, page, owner)) {
        unlock_page(page);
        put_page(page);
        return NULL;
    }
    return page;
}

__from("v6.1.192", "mm/memory.c", restore_exclusive_pte)
static void restore_exclusive_pte(pte_t *pte, pte_t entry)
{
    set_pte_at(pte, pte_mkvalid(entry));
}

// The lock of the page is waited for until its maker has mapped it, or given up.
// The reference is taken under the entry's lock here, which the kernel does not
// hold: it tries, and looks at the entry again.
__from("v6.1.192", "mm/memory.c", remove_device_exclusive_entry)
__implements(nop)
static vm_fault_t remove_device_exclusive_entry(struct vm_fault *vmf)
{
    struct mmu_notifier_range range;
    struct page *page;

    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (!pte_same(ptep_get(vmf->pte), vmf->orig_pte)) {
        pte_unmap_unlock(vmf->pte, vmf->ptl);
        return 0;
    }
    page = pte_page(vmf->orig_pte);
    get_page(page);
    pte_unmap_unlock(vmf->pte, vmf->ptl);

    lock_page(page);
    range.start = vmf->address;
    range.end = vmf->address + PAGE_SIZE;
    range.event = MMU_NOTIFY_EXCLUSIVE;
    range.owner = 0;
    mmu_notifier_invalidate_range_start(&range);
    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (pte_same(ptep_get(vmf->pte), vmf->orig_pte))
        restore_exclusive_pte(vmf->pte, vmf->orig_pte);
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    unlock_page(page);
    put_page(page);
    mmu_notifier_invalidate_range_end(&range);
    return 0;
}

// What hardware does not see is one of these entries.
__from("v6.1.192", "mm/memory.c", do_swap_page)
static vm_fault_t exclusive_fault(struct vm_fault *vmf)
{
    if (pte_none(vmf->orig_pte) || pte_valid(vmf->orig_pte))
        return 0;
    return remove_device_exclusive_entry(vmf);
}
