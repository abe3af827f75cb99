// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A page request of a device: the kernel handles it as a fault of a CPU. A
// refused one ends the device's thread.

__from("v6.1.192", "drivers/iommu/iommu-sva-lib.c", iommu_sva_handle_iopf)
static vm_fault_t do_page_request(struct vm_fault *vmf)
{
    return handle_mm_fault(vmf);
}
