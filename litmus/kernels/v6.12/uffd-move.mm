// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// UFFDIO_MOVE gives a page another address under the shared mmap lock, if nobody has
// it pinned. The check is made again behind the flush: from then on no walk without
// a lock can find the page at its old address. 6.1 has no such call.

#include <kernel/v6.12/era>

__from("v6.12.117", "mm/userfaultfd.c", move_present_pte)
__from("v6.12.117", "mm/pgtable-generic.c", ptep_clear_flush)
static int move_present_pte(pte_t *dst, pte_t *src, pte_t orig)
{
    struct page *page = pte_page(orig);

    if (!pte_same(ptep_get(src), orig) || !pte_none(ptep_get(dst)))
        return -EAGAIN;
    if (page_maybe_dma_pinned(page))
        return -EBUSY;
    orig = ptep_clear_flush(src);
    if (page_maybe_dma_pinned(page)) {
        set_pte_at(src, orig);
        return -EBUSY;
    }
    set_pte_at(dst, mk_pte(page, RW));
    return 0;
}

// The page's lock, and that of its reverse map, keep everybody else away from it.
__from("v6.12.117", "mm/userfaultfd.c", move_pages_pte)
static int move_pages_pte(unsigned long to, unsigned long from)
{
    spinlock_t *src_ptl, *dst_ptl;
    struct page *page;
    pte_t *src, *dst;
    pte_t orig;
    int err = -EFAULT;

    mmu_notifier_invalidate_range_start(from);
    src = pte_offset_map_lock(from, &src_ptl);
    orig = ptep_get(src);
    if (pte_none(orig)) {
        pte_unmap_unlock(src, src_ptl);
        goto out;
    }
    page = pte_page(orig);
    get_page(page);
    pte_unmap_unlock(src, src_ptl);

    lock_page(page);
    src = pte_offset_map_lock(from, &src_ptl);
    dst = pte_offset_map(to);
    dst_ptl = pte_lockptr(dst);
    if (dst_ptl != src_ptl)
        spin_lock(dst_ptl);
    err = move_present_pte(dst, src, orig);
    if (dst_ptl != src_ptl)
        spin_unlock(dst_ptl);
    pte_unmap_unlock(src, src_ptl);
    unlock_page(page);
    put_page(page);
out:
    mmu_notifier_invalidate_range_end(from);
    return err;
}
