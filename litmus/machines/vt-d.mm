// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// VT-d with shared virtual addresses, as Linux 6.12 drives it: the PASID table
// entry is a context with a tag, IOTLB entries carry the tag, and the device's
// ATC asks for translations through the entry. One batch: the IOTLB, the ATC, one
// wait; a device-TLB descriptor is executed after the IOTLB descriptors before
// it.

iotlb U : tags 2;
context pasid -> U : mm, tag 1;
atc T <- pasid;
device dev : T, pasid 1, order waits;
queue QI -> U, T : in_order;

__from("v6.12.117", "drivers/iommu/intel/svm.c", intel_arch_invalidate_secondary_tlbs)
__from("v6.12.117", "drivers/iommu/intel/cache.c", cache_tag_flush_range)
__from("v6.12.117", "drivers/iommu/intel/dmar.c", qi_submit_sync)
__from("v6.1.192", "drivers/iommu/intel/svm.c", intel_flush_svm_range_dev)
static void intel_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                             unsigned long start, unsigned long end)
{
    q_inv_tag(QI, U, 1, start, end);
    q_atc_inv(QI, T, start, end);
    q_sync(QI);
}
static const struct mmu_notifier_ops intel_mmuops = { .invalidate_range = intel_invalidate };
subscribe mm : intel_mmuops;
fault dev = do_page_request;

// The PASID goes. From here on changes of the table are nobody's business.
__from("v6.12.117", "drivers/iommu/intel/pasid.c", intel_pasid_tear_down_entry)
static void sva_unbind(void)
{
    clear_pasid_entry(pasid);
#ifndef NO_IOTLB
    q_inv_tag(QI, U, 1);
    q_sync(QI);
#endif
#ifndef NO_ATC
    tlb_flush(T);
#endif
}
static void sva_bind(void)
{
    set_pasid_entry(pasid, mm, 1);
}
