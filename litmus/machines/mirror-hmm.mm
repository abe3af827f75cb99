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

// hmm_range_fault is the walk with the mmap lock held.
__implements(nop)
static int mirror_fault(unsigned long va)
{
    struct page *page;
    int seq;

again:
    seq = mmu_interval_read_begin(&mirror);
    mmap_read_lock();
    page = hva_to_pfn(va);
    mmap_read_unlock();
    if (!page)
        return VM_FAULT_SIGBUS;
    spin_lock(&mirror_lock);
    if (mmu_interval_read_retry(&mirror, seq)) {
        spin_unlock(&mirror_lock);
        put_page(page);
        goto again;
    }
    swtlb_install(M, va, page);
    spin_unlock(&mirror_lock);
    put_page(page);
    return 0;
}
fault dev = mirror_fault;
