// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// The out-of-memory reaper: the victim's anonymous memory goes away while its
// threads may still run. It takes no lock that it would have to wait for, and
// opens a range where no subscriber may sleep. Who would have to refuses; then
// nothing is unmapped, and the reaper comes again later.

#include <kernel/v6.12/munmap>

// In the kernel the gather is opened before the range and finished behind it; here
// both are inside, so that the contract has what is zapped and the range may be
// refused. `munmap` has the kernel's order.
__implements(zap(va))
static void reap_range(unsigned long va)
{
    gather_begin();
    zap_pte_range(va);
    gather_finish(va);
}

__from("v6.12.117", "mm/oom_kill.c", oom_reap_task_mm)
__from("v6.12.117", "mm/oom_kill.c", __oom_reap_task_mm)
static int oom_reap_task_mm(unsigned long va)
{
    int err = 0;

    if (!mmap_read_trylock())
        return -EAGAIN;
    if (mmu_notifier_invalidate_range_start_nonblock(va)) {
        err = -EAGAIN;
    } else {
        reap_range(va);
        mmu_notifier_invalidate_range_end(va);
    }
    mmap_read_unlock();
    return err;
}
