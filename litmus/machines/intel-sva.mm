// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// VT-d with shared virtual addresses. One queue: the IOTLB's descriptor stands in
// front of the device TLB's, and one wait descriptor behind both, since the
// hardware begins with a device TLB only when the IOTLBs before it are done. Linux
// 6.1 submits and waits twice. `--param Q=any_order` is hardware that does not
// keep the order.

iotlb U <- mm;
atc T <- U;
queue Q -> U, T : in_order;
device dev : T, pasid 1, order waits;

__from("v6.12.117", "drivers/iommu/intel/svm.c", intel_arch_invalidate_secondary_tlbs)
__from("v6.12.117", "drivers/iommu/intel/cache.c", cache_tag_flush_range)
__from("v6.12.117", "drivers/iommu/intel/dmar.c", qi_submit_sync)
__from("v6.1.192", "drivers/iommu/intel/svm.c", intel_flush_svm_range_dev)
static void intel_arch_invalidate_secondary_tlbs(struct mmu_notifier *mn, struct mm_struct *mm,
                                                 unsigned long start, unsigned long end)
{
    q_iotlb_inv(Q, U, start, end);
    q_atc_inv(Q, T, start, end);
    q_sync(Q);
}
static const struct mmu_notifier_ops intel_mmuops = {
    .arch_invalidate_secondary_tlbs = intel_arch_invalidate_secondary_tlbs };
subscribe mm : intel_mmuops;
fault dev = do_page_request;
