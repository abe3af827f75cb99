// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Interval notifiers: a mirror collides with running invalidations by a count
// of those that run and a sequence number, which is odd while any of them
// meets an interval. The tree holds at most one interval here, and waiting for
// the wake-up is a loop that reads the number.
//
// A file that includes this declares `struct mmu_interval_notifier` objects and
// defines what to do when an invalidation meets the interval:
//
//     static bool interval_invalidate(unsigned long start, unsigned long end, int seq)
//
// which stores `seq` with mmu_interval_set_seq under the mirror's own lock.

spinlock_t itree_lock;
int invalidate_seq = 2;
int active_invalidate_ranges = 0;
int itree = 0;                       // an interval is in the tree
int deferred_insert = 0;             // to be put there when no invalidation runs
int deferred_remove = 0;

static bool interval_invalidate(unsigned long start, unsigned long end, int seq);

__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_start_range)
static int mn_itree_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
    int seq;
    int found;

    spin_lock(&itree_lock);
    active_invalidate_ranges++;
    found = READ_ONCE(itree);
    if (found)
        invalidate_seq |= 1;
    seq = READ_ONCE(invalidate_seq);
    spin_unlock(&itree_lock);
    if (found)
        interval_invalidate(range->start, range->end, seq);
    return 0;
}

__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_end)
static void mn_itree_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
    spin_lock(&itree_lock);
    active_invalidate_ranges--;
    if (!READ_ONCE(active_invalidate_ranges) && READ_ONCE(invalidate_seq) & 1) {
        invalidate_seq++;
        if (READ_ONCE(deferred_insert)) {
            deferred_insert = 0;
            itree = 1;
        }
        if (READ_ONCE(deferred_remove)) {
            deferred_remove = 0;
            itree = 0;
        }
    }
    spin_unlock(&itree_lock);
}

static const struct mmu_notifier_ops mmu_interval_ops = {
    .invalidate_range_start = mn_itree_start, .invalidate_range_end = mn_itree_end };
subscribe mm : mmu_interval_ops;

__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_read_begin)
static int mmu_interval_read_begin(struct mmu_interval_notifier *sub)
{
    int seq;
    bool invalidating;

    spin_lock(&itree_lock);
    seq = READ_ONCE(sub->invalidate_seq);
    invalidating = seq == READ_ONCE(invalidate_seq);
    spin_unlock(&itree_lock);
    if (invalidating)
        while (READ_ONCE(invalidate_seq) == seq)
            cpu_relax();
    return seq;
}

__from("v6.12.117", "include/linux/mmu_notifier.h", mmu_interval_set_seq)
static void mmu_interval_set_seq(struct mmu_interval_notifier *sub, int seq)
{
    WRITE_ONCE(sub->invalidate_seq, seq);
}

__from("v6.12.117", "include/linux/mmu_notifier.h", mmu_interval_read_retry)
static bool mmu_interval_read_retry(struct mmu_interval_notifier *sub, int seq)
{
    return sub->invalidate_seq != seq;
}

__from("v6.12.117", "mm/mmu_notifier.c", __mmu_interval_notifier_insert)
static int mmu_interval_notifier_insert(struct mmu_interval_notifier *sub)
{
    spin_lock(&itree_lock);
    if (READ_ONCE(active_invalidate_ranges)) {
        if (READ_ONCE(invalidate_seq) & 1) {
            deferred_insert = 1;
        } else {
            invalidate_seq |= 1;
            itree = 1;
        }
        sub->invalidate_seq = READ_ONCE(invalidate_seq);
    } else {
        sub->invalidate_seq = READ_ONCE(invalidate_seq) - 1;
        itree = 1;
    }
    spin_unlock(&itree_lock);
    return 0;
}

// Waits until no invalidation can still call for the interval.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_notifier_remove)
static void mmu_interval_notifier_remove(struct mmu_interval_notifier *sub)
{
    int seq = 0;

    spin_lock(&itree_lock);
    if (READ_ONCE(invalidate_seq) & 1) {
        if (READ_ONCE(deferred_insert)) {
            deferred_insert = 0;
        } else {
            deferred_remove = 1;
            seq = READ_ONCE(invalidate_seq);
        }
    } else {
        WARN_ON(!READ_ONCE(itree));
        itree = 0;
    }
    spin_unlock(&itree_lock);
    if (seq)
        while (READ_ONCE(invalidate_seq) == seq)
            cpu_relax();
}
