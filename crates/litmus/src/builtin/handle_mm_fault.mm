// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A fault on anonymous memory: an absent entry gets a page of zeroes, a write
// re-uses a page that nobody else has and copies any other. A page of a file
// would be copied too, so a test that writes to one has a handler of its own.

__from("v6.1.192", "mm/memory.c", handle_pte_fault)
__implements(nop)
static vm_fault_t handle_mm_fault(struct vm_fault *vmf)
{
    struct page *old = vmf->page, *new = NULL;
    pte_t orig = vmf->orig_pte;
    pgprot_t rights;

    mmap_read_lock();
    rights = vma_rights(vmf->address);
    if (!(rights & (vmf->flags & FAULT_FLAG_WRITE ? PROT_WRITE : RW))) {
        mmap_read_unlock();
        return VM_FAULT_SIGSEGV;
    }
    if (pte_none(orig)) {
        new = alloc_zeroed_page();
        vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
        if (!vmf->pte)
            goto drop;                  // a huge page, or one that is being split
        if (pte_none(ptep_get(vmf->pte))) {
            set_pte_at(vmf->pte, mk_pte(new, rights));
            new = NULL;
        }
        pte_unmap_unlock(vmf->pte, vmf->ptl);
drop:
        if (new)
            put_page(new);              // somebody was faster
        goto out;
    }

    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (!vmf->pte)
        goto out;
    if (!pte_same(ptep_get(vmf->pte), orig))
        goto unlock;
    if (!(vmf->flags & FAULT_FLAG_WRITE)) {
        ptep_set_access_flags(vmf->pte, mk_pte(old, RO));
        goto unlock;                    // a hint, or a right that came back
    }
    if (page_count(old) == 1) {
        ptep_set_access_flags(vmf->pte, mk_pte(old, RW));
        goto unlock;                    // nobody else has it: in place, without a flush
    }
    get_page(old);                      // so that nobody frees it while it is copied
    pte_unmap_unlock(vmf->pte, vmf->ptl);

    new = alloc_page();
    copy_page(new, old);
    mmu_notifier_invalidate_range_start(vmf->address);
    vmf->pte = pte_offset_map_lock(vmf->address, &vmf->ptl);
    if (pte_same(ptep_get(vmf->pte), orig)) {
        ptep_clear_flush_notify(vmf->pte);
        set_pte_at(vmf->pte, mk_pte(new, RW));
        new = old;
    }
    pte_unmap_unlock(vmf->pte, vmf->ptl);
    mmu_notifier_invalidate_range_only_end(vmf->address);
    put_page(new);                      // the mapping's reference, or the copy
    put_page(old);
    goto out;

unlock:
    pte_unmap_unlock(vmf->pte, vmf->ptl);
out:
    mmap_read_unlock();
    return 0;
}
