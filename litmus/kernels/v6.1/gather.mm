// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// A gather: what was cleared is flushed at once at the end, and freed after
// that. Who finds a batch full flushes and frees earlier (`munmap`).

#ifndef GATHER
#define GATHER 1
#include <kernel/v6.1/era>

// How many gathers are open in the address space.
atomic_t tlb_flush_pending = 0;

__from("v6.1.192", "mm/mmu_gather.c", tlb_gather_mmu)
static void gather_begin(void)
{
    tlb_gather_mmu();
    atomic_inc(&tlb_flush_pending);
}

// Another gather may have cleared what this one found empty, and not flushed it
// yet: then everything is flushed. The flush of a gather tells the secondary
// TLBs by a call of its own.
__from("v6.1.192", "mm/mmu_gather.c", tlb_finish_mmu)
__from("v6.1.192", "mm/mmu_gather.c", tlb_flush_mmu)
__from("v6.1.192", "include/asm-generic/tlb.h", tlb_flush_mmu_tlbonly)
__from("v6.1.192", "arch/x86/mm/tlb.c", flush_tlb_mm_range)
static void gather_finish(unsigned long va)
{
    if (atomic_read(&tlb_flush_pending) > 1) {
        flush_tlb_mm();
        mmu_notifier_invalidate_range(va, va + PAGE_SIZE);
    }
    tlb_finish_mmu();
    atomic_dec(&tlb_flush_pending);
}
#endif
