// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// vhost behind a guest's IOMMU: a table of translations that user space fills by
// messages (update, invalidate), and the pointers into it that a virtqueue keeps.
// Here the page table is the guest IOMMU's, `V0@vq` is the worker. User space
// answers a miss and passes an unmapping on under one lock of its own; without it
// an update could overtake the invalidation that should follow it.

swtlb umem;
tlb vq <- umem;
spinlock_t iotlb_lock;
struct mutex vmm_lock;                  // user space's

__from("v6.12.117", "drivers/vhost/vhost.c", vhost_process_iotlb_msg)
__from("v6.12.117", "drivers/vhost/vhost.c", vhost_iotlb_notify_vq)
static void vhost_invalidate(struct mmu_notifier *mn, struct mm_struct *mm,
                             unsigned long start, unsigned long end)
{
    spin_lock(&iotlb_lock);
    swtlb_zap(umem, start, end);
    tlb_flush(vq, start, end);          // the virtqueue's own pointers, under its mutex
    spin_unlock(&iotlb_lock);
}
static const struct mmu_notifier_ops vhost_messages = { .invalidate_range = vhost_invalidate };
subscribe mm : vhost_messages;

__from("v6.12.117", "drivers/vhost/vhost.c", vhost_iotlb_miss)
__from("v6.12.117", "drivers/vhost/vhost.c", translate_desc)
static int vhost_iotlb_miss(unsigned long iova)
{
    struct page *page;

    mutex_lock(&vmm_lock);
    page = hva_to_pfn(iova);
    if (page) {
        spin_lock(&iotlb_lock);
        swtlb_install(umem, iova, page);
        spin_unlock(&iotlb_lock);
        put_page(page);
    }
    mutex_unlock(&vmm_lock);
    return page ? 0 : VM_FAULT_SIGBUS;
}
fault vq = vhost_iotlb_miss;
