// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// An accelerator with a TLB of its own, behind an IOMMU that shares the page
// table with the CPUs. The IOMMU has a queue for its invalidations, and the
// device has one of its own. Neither queue knows of the other.

iotlb U <- mm;
atc T <- U;
queue QI -> U : in_order;
queue QD -> T : in_order;
device dev : T, pasid 1, order waits;

static void accel_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                             unsigned long start, unsigned long end)
{
    q_iotlb_inv(QI, U, start, end);
#ifndef TOGETHER
    q_sync(QI);
#endif
    q_atc_inv(QD, T, start, end);
    q_sync(QD);
#ifdef TOGETHER                         // one wait less: does it matter?
    q_sync(QI);
#endif
}
static const struct mmu_notifier_ops accel_ops = { .invalidate_range = accel_invalidate };
subscribe mm : accel_ops;
fault dev = do_page_request;
