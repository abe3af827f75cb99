// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A fault on anonymous memory as Linux 6.12 handles it: first touch, re-use in
// place, copy on write, the zero page. Whether the page is exclusive is asked
// of its reference count alone; the zero page is copied like any other, which
// gives the same zeroes.

#include <kernel/v6.12/era>

__from("v6.12.117", "mm/memory.c", do_anonymous_page)
static vm_fault_t do_anonymous_page(struct vm_fault *vmf, pgprot_t rights)
{
    struct page *new = alloc_zeroed_page();

    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (vmf->pte) {                     // else it is huge, or being split
        if (pte_none(ptep_get(vmf->pte))) {
            set_pte_at(vmf->pte, mk_pte(new, rights));
            new = NULL;
        }
        pte_unmap_unlock(vmf->pte, vmf->ptl);
    }
    if (new)
        put_page(new);                  // somebody was faster
    return 0;
}

// Copied before the range begins: nobody can write to the old page, since its
// entry is read-only and no TLB holds an older one.
__from("v6.12.117", "mm/memory.c", wp_page_copy)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
static vm_fault_t wp_page_copy(struct vm_fault *vmf, struct page *old)
{
    struct page *new = alloc_page();

    copy_page(new, old);
    mmu_notifier_invalidate_range_start(vmf->address);
    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (pte_same(ptep_get(vmf->pte), vmf->orig_pte)) {
        ptep_clear_flush(vmf->pte);
        set_pte_at(vmf->pte, mk_pte(new, RW));
        new = old;
    }
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    mmu_notifier_invalidate_range_end(vmf->address);
    put_page(new);                      // what the entry had, or the useless copy
    put_page(old);                      // the reference of do_wp_page
    return 0;
}

__from("v6.12.117", "mm/memory.c", wp_page_reuse)
static vm_fault_t wp_page_reuse(struct vm_fault *vmf, struct page *page)
{
    ptep_set_access_flags(vmf->pte, mk_pte(page, RW));
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    return 0;
}

__from("v6.12.117", "mm/memory.c", do_wp_page)
static vm_fault_t do_wp_page(struct vm_fault *vmf)
{
    struct page *page = vmf->page;

    if (page_count(page) == 1)
        return wp_page_reuse(vmf, page);
    get_page(page);
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    return wp_page_copy(vmf, page);
}

__from("v6.12.117", "mm/memory.c", handle_pte_fault)
__implements(nop)
static vm_fault_t handle_mm_fault(struct vm_fault *vmf)
{
    vm_fault_t done = 0;
    pgprot_t rights;

    mmap_read_lock();
    rights = vma_rights(vmf->address);
    if (!(rights & (vmf->flags & FAULT_FLAG_WRITE ? PROT_WRITE : RW))) {
        done = VM_FAULT_SIGSEGV;
        goto out;
    }
    if (pte_none(vmf->orig_pte)) {
        done = do_anonymous_page(vmf, rights);
        goto out;
    }
    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (!vmf->pte)
        goto out;
    if (!pte_same(ptep_get(vmf->pte), vmf->orig_pte)) {
        pte_unmap_unlock(vmf->pte, vmf->ptl);
        goto out;
    }
    if (vmf->flags & FAULT_FLAG_WRITE) {
        done = do_wp_page(vmf);
        goto out;
    }
    ptep_set_access_flags(vmf->pte, mk_pte(vmf->page, RO));
    pte_unmap_unlock(vmf->pte, vmf->ptl);
out:
    mmap_read_unlock();
    return done;
}
