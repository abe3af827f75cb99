// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An SMMUv3 with shared virtual addresses, as Linux 6.12 drives it without
// broadcasts (no BTM): the context descriptor of a PASID says which table and
// which ASID, IOTLB entries are tagged by ASID, the device's ATC asks through the
// descriptor. Commands may overtake each other; a CMD_SYNC waits for all before
// it. The IOTLB first and its CMD_SYNC, then the ATC and another. A size of 0 in
// the driver is the whole ASID: `param empty_range` says what hardware makes of it.
// Clean is said under `ra` alone.

param cpu_order = weak;
iotlb U : tags 2;
context cd -> U : mm, tag 1;
atc T <- cd;
device dev : T, pasid 1, order waits;
queue CMDQ -> U, T : any_order;

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_tlb_inv_asid)
static void arm_smmu_tlb_inv_asid(void)
{
    q_inv_tag(CMDQ, U, 1);
    q_sync(CMDQ);
}

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_tlb_inv_range_asid)
static void arm_smmu_tlb_inv_range_asid(unsigned long start, unsigned long end)
{
    q_inv_tag(CMDQ, U, 1, start, end);
#ifndef NO_SYNC_BETWEEN
    q_sync(CMDQ);
#endif
}

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_atc_inv_domain)
static void arm_smmu_atc_inv_domain(unsigned long start, unsigned long end)
{
    smp_mb();
    q_atc_inv(CMDQ, T, start, end);
    q_sync(CMDQ);
}

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c", arm_smmu_mm_arch_invalidate_secondary_tlbs)
static void arm_smmu_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                                unsigned long start, unsigned long end)
{
#ifdef ATC_FIRST
    arm_smmu_atc_inv_domain(start, end);
    arm_smmu_tlb_inv_range_asid(start, end);
    q_sync(CMDQ);
#else
    arm_smmu_tlb_inv_range_asid(start, end);
    arm_smmu_atc_inv_domain(start, end);
#endif
}
static const struct mmu_notifier_ops arm_smmu_mmu_notifier_ops = {
    .invalidate_range = arm_smmu_invalidate };
subscribe mm : arm_smmu_mmu_notifier_ops;
fault dev = do_page_request;

// The PASID goes, and with the domain its ASID. From here on changes of the table
// are nobody's business.
__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_remove_dev_pasid)
__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c", arm_smmu_sva_domain_free)
static void sva_unbind(void)
{
    clear_pasid_entry(cd);
#ifndef NO_ATC
    q_atc_inv(CMDQ, T, mm_start(), mm_end());
    q_sync(CMDQ);
#endif
#ifndef NO_IOTLB
    arm_smmu_tlb_inv_asid();
#endif
}

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-sva.c", arm_smmu_sva_set_dev_pasid)
static void sva_bind(void)
{
    set_pasid_entry(cd, mm, 1);
}
