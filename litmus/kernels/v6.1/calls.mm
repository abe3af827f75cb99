// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// What programs call, as Linux 6.1 does it for one page. The gather's last
// flush is written out: it covers the range whatever was found in it, since
// tlb_finish_mmu flushes everything once gathers are nested. The secondary TLBs
// are told twice, at range_end and with that flush.

__from("v6.1.192", "mm/memory.c", zap_pte_range)
static void zap_page(unsigned long va)
{
    struct page *page = NULL;
    spinlock_t *ptl;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte)))
        page = pte_page(ptep_get_and_clear(pte));
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    flush_tlb_page(va);
    mmu_notifier_invalidate_range(va);
    if (page)
        put_page(page);
}

__from("v6.1.192", "mm/mmap.c", do_mas_align_munmap)
__implements(zap(va))
static int sys_munmap(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, NONE);
    mmap_write_downgrade();             // faults go on, and find no VMA
    zap_page(va);
    mmap_read_unlock();
    return 0;
}

__from("v6.1.192", "mm/madvise.c", madvise_dontneed_single_vma)
__implements(zap(va))
static int sys_madvise_dontneed(unsigned long va)
{
    mmap_read_lock();
    zap_page(va);
    mmap_read_unlock();
    return 0;
}

__from("v6.1.192", "mm/mprotect.c", change_pte_range)
static void change_protection(unsigned long va, pgprot_t rights)
{
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    pte = pte_offset_map_lock(va, &ptl);
    if (!pte_none(ptep_get(pte))) {
        entry = ptep_modify_prot_start(pte);
        ptep_modify_prot_commit(pte, mk_pte(pte_page(entry), rights));
    }
    pte_unmap_unlock(pte, ptl);
    mmu_notifier_invalidate_range_end(va);
    flush_tlb_page(va);
    mmu_notifier_invalidate_range(va);
}

__from("v6.1.192", "mm/mprotect.c", do_mprotect_pkey)
__implements(downgrade(va))
static int sys_mprotect_ro(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, RO);
    change_protection(va, RO);
    mmap_write_unlock();
    return 0;
}

__from("v6.1.192", "mm/mprotect.c", do_mprotect_pkey)
__implements(revoke(va))
static int sys_mprotect_none(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, NONE);
    change_protection(va, NONE);
    mmap_write_unlock();
    return 0;
}

// The entry stays as it is: the first write faults, and finds the page its own
// or copies it.
__from("v6.1.192", "mm/mprotect.c", do_mprotect_pkey)
__implements(upgrade(va))
static int sys_mprotect_rw(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, RW);
    mmap_write_unlock();
    return 0;
}

// The new address has to be free.
__from("v6.1.192", "mm/mremap.c", move_ptes)
__implements(move(from, to))
static int sys_mremap(unsigned long from, unsigned long to)
{
    spinlock_t *old_ptl, *new_ptl;
    pte_t *old_pte, *new_pte;
    pte_t entry;

    mmap_write_lock();
    vma_set_rights(to, RW);
    mmu_notifier_invalidate_range_start(from);
    old_pte = pte_offset_map_lock(from, &old_ptl);
    new_pte = pte_offset_map(to);
    new_ptl = pte_lockptr(new_pte);
    if (new_ptl != old_ptl)
        spin_lock(new_ptl);
    entry = ptep_get_and_clear(old_pte);
    set_pte_at(new_pte, entry);
    flush_tlb_page(from);               // before anybody can change the new entry
    if (new_ptl != old_ptl)
        spin_unlock(new_ptl);
    pte_unmap_unlock(old_pte, old_ptl);
    mmu_notifier_invalidate_range_end(from);
    vma_set_rights(from, NONE);
    mmap_write_unlock();
    return 0;
}

// A fresh mapping: faults find zeroes.
__from("v6.1.192", "mm/mmap.c", mmap_region)
__implements(zap(va))
static int sys_mmap(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, RW);
    mmap_write_unlock();
    return 0;
}

#include <kernel/v6.1/madvise-free>
#include <kernel/v6.1/exit>
