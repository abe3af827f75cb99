// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// The RISC-V IOMMU, in the commands of its specification 1.0 (sections 4.1 and
// 6.3). The IOATC tags entries: 0 for the host without a guest, by PSCID 1 and 2
// else (or by the GSCID of a guest). A device's context says which table and which
// tag. Commands may overtake each other, and IOFENCE.C waits for all before it
// (4.1.2). What stores reached is for the caller to order before the command: the
// update has to be globally visible (6.3).
//
// Not here, because the language has no such thing: caches of device and process
// contexts (IODIR.INVAL_DDT, IODIR.INVAL_PDT), MSI page tables, and two stages
// of translation in one walk. Clean is said under `ra` alone.

param cpu_order = weak;
domain mm;
iotlb U : tags 3;
context dc -> U : mm, tag 1;
atc T <- dc;
device dev : T, order waits;
queue CQ -> U, T : any_order;

static void iofence_c(void)                                { q_sync(CQ); }
// IOTINVAL.VMA with PSCV=1, and AV=1 or AV=0 (4.1.1).
static void iotinval_vma(int pscid, unsigned long va)      { q_inv_tag(CQ, U, pscid, va); }
static void iotinval_vma_pscid(int pscid)                  { q_inv_tag(CQ, U, pscid); }
// With GV=AV=PSCV=0: everything that is no guest's. Nobody here is one.
static void iotinval_vma_all(void)
{
    q_inv(CQ, U, mm_start(), mm_end());
}
// IOTINVAL.GVMA with GV=1, and AV=1 or AV=0; the tag is the GSCID.
static void iotinval_gvma(int gscid, unsigned long gpa)    { q_inv_tag(CQ, U, gscid, gpa); }
static void iotinval_gvma_all(int gscid)                   { q_inv_tag(CQ, U, gscid); }
static void ats_inval(unsigned long va)                    { q_atc_inv(CQ, T, va); }
static void ats_inval_all(void)
{
    q_atc_inv(CQ, T, mm_start(), mm_end());
}
