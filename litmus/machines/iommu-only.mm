// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An IOMMU alone: devices have no TLB of their own.

iotlb U <- mm;
device dev : U, pasid 1, order waits;

static void iommu_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                             unsigned long start, unsigned long end)
{
    tlb_flush(U, start, end);
}
static const struct mmu_notifier_ops iommu_ops = { .invalidate_range = iommu_invalidate };
subscribe mm : iommu_ops;
fault dev = do_page_request;
