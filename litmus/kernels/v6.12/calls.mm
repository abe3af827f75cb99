// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// What programs call, as Linux 6.12 does it.

#include <kernel/v6.12/munmap>
#include <kernel/v6.12/mprotect>
#include <kernel/v6.12/mremap>

// A fresh mapping: faults find zeroes.
__from("v6.12.117", "mm/mmap.c", mmap_region)
__implements(zap(va))
static int sys_mmap(unsigned long va)
{
    mmap_write_lock();
    vma_set_rights(va, RW);
    mmap_write_unlock();
    return 0;
}

#include <kernel/v6.12/madvise-free>
#include <kernel/v6.12/exit>
