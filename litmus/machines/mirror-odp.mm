// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An RDMA adapter that faults its pages in on demand: ODP. As HMM, but under a
// mutex, so its invalidation sleeps, and it refuses ranges where nobody may.

#include <kernel/v6.12/mmu_interval>

swtlb M;
tlb G <- M;
device dev : G, pasid 1, order waits;
struct mutex umem_mutex;
struct mmu_interval_notifier umem;
{ itree = 1; }                       // it is in the tree from the beginning

static bool interval_invalidate(const struct mmu_notifier_range *range, int seq)
{
    if (!(range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE))
        return false;
    mutex_lock(&umem_mutex);
    mmu_interval_set_seq(&umem, seq);
    swtlb_zap(M, range->start, range->end);
    tlb_flush(G, range->start, range->end);
    mutex_unlock(&umem_mutex);
    return true;
}

__implements(nop)
static int pagefault_mr(struct vm_fault *vmf)
{
    unsigned long va = vmf->address;
    struct page *page;
    int seq, writable;
    pte_t *pte;

again:
    seq = mmu_interval_read_begin(&umem);
    if (vmf->flags & FAULT_FLAG_WRITE)
        page = get_user_page_write(va);
    else
        page = hva_to_pfn(va);
    if (!page)
        return VM_FAULT_SIGBUS;
    pte = pte_offset_map(va);            // none where the process has a huge page
    writable = pte ? pte_write(ptep_get(pte)) : vmf->flags & FAULT_FLAG_WRITE;
    mutex_lock(&umem_mutex);
    if (mmu_interval_read_retry(&umem, seq)) {
        mutex_unlock(&umem_mutex);
        put_page(page);
        goto again;
    }
    swtlb_install(M, va, page, writable ? RW : RO);
    mutex_unlock(&umem_mutex);
    put_page(page);
    return 0;
}
fault dev = pagefault_mr;
