// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An AMD IOMMU with shared virtual addresses, as Linux 6.1 drives it: the entry
// of the guest CR3 table is a context with a tag. The IOTLB command and a
// completion wait, then the device's command and another wait, because the
// device may fill from the IOTLB in between. Commands may overtake each other.
// Linux 6.12 leaves out the wait in between and relies on their order, as `vt-d`
// does.

iotlb U : tags 2;
context pasid -> U : mm, tag 1;
atc T <- pasid;
device dev : T, pasid 1, order waits;
queue CMD -> U, T : any_order;

__from("v6.1.192", "drivers/iommu/amd/iommu.c", __flush_pasid)
static void amd_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                           unsigned long start, unsigned long end)
{
    q_inv_tag(CMD, U, 1, start, end);
    q_sync(CMD);
    q_atc_inv(CMD, T, start, end);
    q_sync(CMD);
}
static const struct mmu_notifier_ops amd_mmuops = { .invalidate_range = amd_invalidate };
subscribe mm : amd_mmuops;
fault dev = do_page_request;

// The PASID goes. From here on changes of the table are nobody's business.
__from("v6.1.192", "drivers/iommu/amd/iommu.c", amd_iommu_domain_clear_gcr3)
static void sva_unbind(void)
{
    clear_pasid_entry(pasid);
#ifndef NO_IOTLB
    q_inv_tag(CMD, U, 1);
    q_sync(CMD);
#endif
#ifndef NO_ATC
    tlb_flush(T);
#endif
}
static void sva_bind(void)
{
    set_pasid_entry(pasid, mm, 1);
}
