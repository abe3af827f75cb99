// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// KVM: a table that software fills from the host's, and the guest's TLB above
// it. A fault looks a page up and installs it only if no invalidation ran or is
// running since. `slot` is the one memslot. A change of it waits until every start
// has had its end, so that both see the same slots. A slot that is going away
// stays visible to the notifier until its translations are gone.

swtlb spte;
tlb G <- spte;
spinlock_t mmu_lock;
spinlock_t mn_lock;                     // of mn_active
int mn_active = 0;
int in_progress = 0;
int seq = 0;
int slot = 1;                           // 0 none, 1 in use, 2 going away

__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_mmu_notifier_invalidate_range_start)
__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_mmu_invalidate_begin)
__from("v6.12.117", "virt/kvm/kvm_main.c", __kvm_handle_hva_range)
static int kvm_start(struct mmu_notifier *mn, const struct mmu_notifier_range *r)
{
    spin_lock(&mn_lock);
    mn_active++;
    spin_unlock(&mn_lock);
    if (READ_ONCE(slot)) {
        spin_lock(&mmu_lock);
        in_progress++;
        swtlb_zap(spte, r->start, r->end);
        tlb_flush(G, r->start, r->end);
        spin_unlock(&mmu_lock);
    }
    return 0;
}

__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_mmu_notifier_invalidate_range_end)
__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_mmu_invalidate_end)
static void kvm_end(struct mmu_notifier *mn, const struct mmu_notifier_range *r)
{
    if (READ_ONCE(slot)) {
        spin_lock(&mmu_lock);
        seq++;
        smp_wmb();
        in_progress--;
        WARN_ON(in_progress < 0);
        spin_unlock(&mmu_lock);
    }
    spin_lock(&mn_lock);
    mn_active--;
    spin_unlock(&mn_lock);
}
static const struct mmu_notifier_ops kvm_mmu_notifier_ops = {
    .invalidate_range_start = kvm_start, .invalidate_range_end = kvm_end };
subscribe mm : kvm_mmu_notifier_ops;

__from("v6.12.117", "arch/x86/kvm/mmu/mmu.c", kvm_tdp_mmu_page_fault)
__from("v6.12.117", "arch/x86/kvm/mmu/mmu.c", is_page_fault_stale)
__from("v6.12.117", "include/linux/kvm_host.h", mmu_invalidate_retry_gfn)
static int kvm_tdp_page_fault(struct vm_fault *vmf)
{
    unsigned long va = vmf->address;
    int then, stale, writable;
    struct page *pfn;
    pte_t *pte;

again:
    if (READ_ONCE(slot) != 1)
        return VM_FAULT_SIGBUS;          // for the VMM to handle
    then = READ_ONCE(seq);
    smp_rmb();
    if (vmf->flags & FAULT_FLAG_WRITE)
        pfn = get_user_page_write(va);
    else
        pfn = hva_to_pfn(va);
    if (!pfn)
        return VM_FAULT_SIGBUS;          // the host has no page there, or none to write
    // What the host may do with it, the guest may. If the entry has changed since,
    // so has the count.
    pte = pte_offset_map(va);            // none where the host has a huge page
    writable = pte ? pte_write(ptep_get(pte)) : vmf->flags & FAULT_FLAG_WRITE;
    spin_lock(&mmu_lock);
    stale = READ_ONCE(in_progress) || READ_ONCE(seq) != then || READ_ONCE(slot) != 1;
    if (!stale)
        swtlb_install(spte, va, pfn, writable ? RW : RO);
    spin_unlock(&mmu_lock);
    put_page(pfn);                       // the notifier alone keeps it coherent
    if (stale)
        goto again;
    return 0;
}
fault G = kvm_tdp_page_fault;

__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_swap_active_memslots)
static void kvm_swap_active_memslots(int to)
{
    spin_lock(&mn_lock);
    while (mn_active) {
        spin_unlock(&mn_lock);
        cpu_relax();
        spin_lock(&mn_lock);
    }
    WRITE_ONCE(slot, to);
    spin_unlock(&mn_lock);
}

__from("v6.12.117", "arch/x86/kvm/mmu/mmu.c", kvm_arch_flush_shadow_memslot)
static void kvm_flush_shadow_memslot(unsigned long start, unsigned long end)
{
    spin_lock(&mmu_lock);
    swtlb_zap(spte, start, end);
    tlb_flush(G, start, end);
    spin_unlock(&mmu_lock);
}

__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_invalidate_memslot)
__from("v6.12.117", "virt/kvm/kvm_main.c", kvm_delete_memslot)
static void kvm_delete_memslot(unsigned long start, unsigned long end)
{
    kvm_swap_active_memslots(2);
    kvm_flush_shadow_memslot(start, end);
    kvm_swap_active_memslots(0);
}
