// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An SMMUv3 under the DMA API, as Linux 6.12 drives it: the driver owns the table,
// which has two levels, and no CPU loads it. Unmapping a page invalidates leaf
// entries alone; unhooking a table invalidates how the IOTLB came to them as well.
// Clean is said under `ra` alone.

param cpu_order = weak;
domain mm;
iotlb U <- mm;
device dev : U, order waits;
queue CMDQ -> U : any_order;

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_iotlb_sync)
static void arm_smmu_iotlb_sync(unsigned long start, unsigned long end)
{
    wmb();                              // io-pgtable's, in front of the doorbell
    q_inv_leaf(CMDQ, U, start, end);
    q_sync(CMDQ);
}

__from("v6.12.117", "drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c", arm_smmu_tlb_inv_walk)
static void arm_smmu_tlb_inv_walk(unsigned long start, unsigned long end)
{
    wmb();
    q_inv(CMDQ, U, start, end);
    q_sync(CMDQ);
}
