// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// The core of the notifier: who is on the list of an address space, and how
// subscribers come and go. The list is one word for each subscriber; walks that
// call its other methods run inside sections of `srcu` if the `subscribe` line
// names it:
//
//     struct mmu_notifier mn;
//     subscribe mm : ops, mn, srcu;          // on the list from the beginning
//     subscribe mm : ops, mn, srcu, off;     // mmu_notifier_register puts it there
//
// Left out: the counts of the address space (mmgrab, mmdrop), and
// mm_take_all_locks, which keeps registration apart from walks over the rmap.

struct srcu_struct srcu;
spinlock_t notifier_lock;

__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_register)
static int mmu_notifier_register(struct mmu_notifier *subscription)
{
    mmap_write_lock();
    spin_lock(&notifier_lock);
    hlist_add_head_rcu(subscription);
    spin_unlock(&notifier_lock);
    mmap_write_unlock();
    return 0;
}

// Whoever unregisters and whoever tears the address space down both call
// .release; each waits for the other's call before it goes on.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_unregister)
static void mmu_notifier_unregister(struct mmu_notifier *subscription)
{
    int id;

    if (!hlist_unhashed(subscription)) {
        id = srcu_read_lock(&srcu);
        call_release(subscription);
        srcu_read_unlock(&srcu, id);

        spin_lock(&notifier_lock);
        hlist_del_init_rcu(subscription);
        spin_unlock(&notifier_lock);
    }
    synchronize_srcu(&srcu);
}

// Called by exit_mmap before the pages are freed.
__from("v6.12.117", "mm/mmu_notifier.c", mn_hlist_release)
static void mmu_notifier_release(struct mm_struct *mm)
{
    int id;

    id = srcu_read_lock(&srcu);
    call_release_of_all(mm);
    spin_lock(&notifier_lock);
    hlist_del_init_all(mm);
    spin_unlock(&notifier_lock);
    srcu_read_unlock(&srcu, id);
    synchronize_srcu(&srcu);
}

__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_synchronize)
static void mmu_notifier_synchronize(void)
{
    synchronize_srcu(&srcu);
}
