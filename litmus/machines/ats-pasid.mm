// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An IOMMU whose devices have ATCs of their own and use process addresses.
// The IOTLB walks the page table when it likes; the ATC asks the IOTLB. Each
// invalidation is posted and waited for at once, so no queue is needed here.

iotlb U <- mm;
atc T <- U;
device dev : T, pasid 1, order waits;

static void ats_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                           unsigned long start, unsigned long end)
{
    tlb_flush(U, start, end);           // the source first: else T takes it back
    tlb_flush(T, start, end);
}
static const struct mmu_notifier_ops ats_ops = { .invalidate_range = ats_invalidate };
subscribe mm : ats_ops;
fault dev = do_page_request;
