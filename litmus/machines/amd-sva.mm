// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// AMD's IOMMU with shared virtual addresses, as Linux 6.1 drives it: the IOTLB's
// command is complete before the device is told, or the device would refill from
// what is stale. So the order of the commands is not needed. Linux 6.12 leaves
// out the wait in between and relies on that order, as `intel-sva` does.

iotlb U <- mm;
atc T <- U;
queue Q -> U, T : in_order;
device dev : T, pasid 1, order waits;

__from("v6.1.192", "drivers/iommu/amd/iommu_v2.c", mn_invalidate_range)
__from("v6.1.192", "drivers/iommu/amd/iommu.c", __flush_pasid)
static void mn_invalidate_range(struct mmu_notifier *mn, struct mm_struct *mm,
                                unsigned long start, unsigned long end)
{
    q_iotlb_inv(Q, U, start, end);
    q_sync(Q);
    q_atc_inv(Q, T, start, end);
    q_sync(Q);
}
static const struct mmu_notifier_ops iommu_mn = { .invalidate_range = mn_invalidate_range };
subscribe mm : iommu_mn;
fault dev = do_page_request;
