// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A device whose table a driver fills from the process's, without references to
// the pages: HMM. An interval notifier tells it what to forget; a fill that an
// invalidation has collided with is done again.

#include <kernel/v6.12/mmu_interval>

swtlb M;
tlb G <- M;
device dev : G, pasid 1, order waits;
spinlock_t mirror_lock;
struct mmu_interval_notifier mirror;
{ itree = 1; }                       // it is in the tree from the beginning

static bool interval_invalidate(const struct mmu_notifier_range *range, int seq)
{
    spin_lock(&mirror_lock);
    mmu_interval_set_seq(&mirror, seq);
    swtlb_zap(M, range->start, range->end);
    tlb_flush(G, range->start, range->end);
    spin_unlock(&mirror_lock);
    return true;
}

// hmm_range_fault walks with the mmap lock held, and a fault that it takes is handled
// under the same hold. The kernel's handler here takes the lock itself, so the walk
// is without it: more can happen between the two.
__implements(nop)
static int mirror_fault(struct vm_fault *vmf)
{
    unsigned long va = vmf->address;
    struct page *page;
    int seq, writable;
    pte_t *pte;

again:
    seq = mmu_interval_read_begin(&mirror);
    if (vmf->flags & FAULT_FLAG_WRITE)
        page = get_user_page_write(va);
    else
        page = hva_to_pfn(va);
    if (!page)
        return VM_FAULT_SIGBUS;
    pte = pte_offset_map(va);            // none where the process has a huge page
    writable = pte ? pte_write(ptep_get(pte)) : vmf->flags & FAULT_FLAG_WRITE;
    spin_lock(&mirror_lock);
    if (mmu_interval_read_retry(&mirror, seq)) {
        spin_unlock(&mirror_lock);
        put_page(page);
        goto again;
    }
    swtlb_install(M, va, page, writable ? RW : RO);
    spin_unlock(&mirror_lock);
    put_page(page);
    return 0;
}
fault dev = mirror_fault;
