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
// A driver that counts its users gets and puts instead. What call_srcu is to call
// is a thread of the test: `mmu_notifier_free_rcu(&mn)`, which waits until it is
// wanted and then for a grace period.
//
// Left out: the counts of the address space (mmgrab, mmdrop), mm_take_all_locks
// but for mmap_lock, and what it gives up for (a signal), memory that there is not.

struct srcu_struct srcu;
spinlock_t notifier_lock;

// The caller has the mmap lock for writing. With all locks that a range may be
// under held nobody is between the start and the end of one.
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_notifier_register)
static int __mmu_notifier_register(struct mmu_notifier *subscription)
{
    subscription->users = 1;
    spin_lock(&notifier_lock);
    hlist_add_head_rcu(subscription);
    spin_unlock(&notifier_lock);
    return 0;
}

__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_register)
static int mmu_notifier_register(struct mmu_notifier *subscription)
{
    int ret;

    mmap_write_lock();
    ret = __mmu_notifier_register(subscription);
    mmap_write_unlock();
    return ret;
}

// Whoever unregisters and whoever tears the address space down both call
// .release; each waits for the other's call before it goes on. Ranges are not
// waited for: who unregisters inside of one never hears of its end.
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

// Called by exit_mmap before the pages are freed. With an empty list there is
// nothing to wait for: who unregisters calls .release before he leaves the list.
__from("v6.12.117", "mm/mmu_notifier.c", mn_hlist_release)
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_notifier_release)
static void mmu_notifier_release(struct mm_struct *mm)
{
    int id;

    if (hlist_empty(mm))
        return;
    id = srcu_read_lock(&srcu);
    call_release_of_all(mm);
    spin_lock(&notifier_lock);
    hlist_del_init_all(mm);
    spin_unlock(&notifier_lock);
    srcu_read_unlock(&srcu, id);
    synchronize_srcu(&srcu);
}

// One subscriber for each address space and driver: made by the first user. The
// caller has the mmap lock for writing.
__from("v6.12.117", "mm/mmu_notifier.c", find_get_mmu_notifier)
__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_get_locked)
static void mmu_notifier_get_locked(struct mmu_notifier *subscription)
{
    bool found;

    spin_lock(&notifier_lock);
    found = !hlist_unhashed(subscription);
    if (found)
        subscription->users++;
    spin_unlock(&notifier_lock);
    if (!found)
        __mmu_notifier_register(subscription);
}

// The last user's put takes the subscriber off the list, and lets it be freed
// when nobody can be calling it any more. It calls no .release, and may be called
// from there.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_put)
static void mmu_notifier_put(struct mmu_notifier *subscription)
{
    spin_lock(&notifier_lock);
    if (WARN_ON(!subscription->users))
        goto out_unlock;
    subscription->users--;
    if (subscription->users)
        goto out_unlock;
    hlist_del_init_rcu(subscription);
    spin_unlock(&notifier_lock);
    WRITE_ONCE(subscription->rcu, 1);       // call_srcu
    return;

out_unlock:
    spin_unlock(&notifier_lock);
}

// .free_notifier is kfree here.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_free_rcu)
static void mmu_notifier_free_rcu(struct mmu_notifier *subscription)
{
    while (!READ_ONCE(subscription->rcu))
        cpu_relax();
    synchronize_srcu(&srcu);
    kfree(subscription);
}

// A grace period of its own. That is no wait for what call_srcu has not called
// yet on other processors.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_notifier_synchronize)
static void mmu_notifier_synchronize(void)
{
    synchronize_srcu(&srcu);
}
