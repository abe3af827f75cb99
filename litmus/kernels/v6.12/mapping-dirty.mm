// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// How graphics drivers learn which pages of a shared mapping were written: entries
// are made clean, or read-only, and what was dirty is recorded. Entries change under
// the lock without a flush; one flush for what was touched comes before range_end.
// The record is the page's own mark here.

#include <kernel/v6.12/gather>

// If another flush is pending its owner may have changed what this one found clean.
__from("v6.12.117", "mm/mapping_dirty_helpers.c", wp_clean_pre_vma)
__from("v6.12.117", "mm/mapping_dirty_helpers.c", wp_clean_post_vma)
__from("v6.12.117", "mm/mapping_dirty_helpers.c", clean_record_pte)
__from("v6.12.117", "mm/mapping_dirty_helpers.c", clean_record_shared_mapping_range)
__implements(nop)
static void clean_record_shared_mapping_range(unsigned long va)
{
    int touched = 0;
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    atomic_inc(&tlb_flush_pending);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_dirty(ptep_get(pte))) {
        entry = ptep_modify_prot_start(pte);
        ptep_modify_prot_commit(pte, pte_mkclean(entry));
        set_page_dirty(pte_page(entry));
        touched = 1;
    }
    pte_unmap_unlock(pte, ptl);
    if (touched || atomic_read(&tlb_flush_pending) > 1)
        flush_tlb_range(va, va + PAGE_SIZE);
    mmu_notifier_invalidate_range_end(va);
    atomic_dec(&tlb_flush_pending);
}

__from("v6.12.117", "mm/mapping_dirty_helpers.c", wp_pte)
__from("v6.12.117", "mm/mapping_dirty_helpers.c", wp_shared_mapping_range)
__implements(downgrade(va))
static void wp_shared_mapping_range(unsigned long va)
{
    int touched = 0;
    spinlock_t *ptl;
    pte_t entry;
    pte_t *pte;

    mmu_notifier_invalidate_range_start(va);
    atomic_inc(&tlb_flush_pending);
    pte = pte_offset_map_lock(va, &ptl);
    if (pte_write(ptep_get(pte))) {
        entry = ptep_modify_prot_start(pte);
        ptep_modify_prot_commit(pte, pte_wrprotect(entry));
        touched = 1;
    }
    pte_unmap_unlock(pte, ptl);
    if (touched || atomic_read(&tlb_flush_pending) > 1)
        flush_tlb_range(va, va + PAGE_SIZE);
    mmu_notifier_invalidate_range_end(va);
    atomic_dec(&tlb_flush_pending);
}
