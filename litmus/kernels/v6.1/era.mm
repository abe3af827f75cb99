// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Linux 4.15 to 6.5: secondary TLBs are told by calls of their own, and once
// more for the whole range by range_end, unless it is the `only_end` form. A
// flush of the CPUs tells nobody else.

#ifndef ERA
#define ERA 1
param range_end_invalidates = yes;
param cpu_flush_notifies = no;

// What range_end comes to: for each subscriber first invalidate_range, then its
// own invalidate_range_end. Nobody calls this; the machine does it.
__from("v6.1.192", "mm/mmu_notifier.c", __mmu_notifier_invalidate_range_end)
__from("v6.1.192", "mm/mmu_notifier.c", mn_hlist_invalidate_end)
__from("v6.1.192", "mm/mmu_notifier.c", __mmu_notifier_invalidate_range)
static void era(void)
{
}
#endif
