// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Linux since 6.6: whatever flushes the CPUs' TLBs of an address space tells the
// secondary ones, and range_end tells nobody. A path that skips the flush has
// skipped both.

#ifndef ERA
#define ERA 1
param range_end_invalidates = no;
param cpu_flush_notifies = yes;

// Where the flush tells, on x86. Nobody calls this; the machine does it.
__from("v6.12.117", "arch/x86/mm/tlb.c", flush_tlb_mm_range)
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_notifier_arch_invalidate_secondary_tlbs)
static void era(void)
{
}
#endif
