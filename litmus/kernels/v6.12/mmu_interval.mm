// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Interval notifiers: a mirror collides with running invalidations by a count
// of those that run and a sequence number, which is odd while any of them
// meets an interval. While it is odd the tree does not change: what comes or goes
// waits for the last range to end. The tree holds at most one interval here
// (`mmu_interval_pair` has two), and waiting for the wake-up is a loop that asks
// for the number.
//
// A file that includes this declares a `struct mmu_interval_notifier` and
// defines what to do when an invalidation meets it:
//
//     static bool interval_invalidate(const struct mmu_notifier_range *range, int seq)
//
// which stores `seq` with mmu_interval_set_seq under the mirror's own lock. It
// gives false if it would have to sleep and `range->flags` does not allow that.
// The interval is all addresses, or the pages from `interval_first` to
// `interval_last`.
//
// Left out: mm_count, the wrap of the sequence number, lengths that overflow, and
// mmu_notifier_register(NULL), which the first interval of an address space needs:
// the tree is there from the beginning.

spinlock_t itree_lock;
int invalidate_seq = 2;
int active_invalidate_ranges = 0;
int itree = 0;                       // the interval is in the tree
int deferred_insert = 0;             // to be put there when no invalidation runs
int deferred_remove = 0;
int interval_first = 0;              // which pages, by page_index; both are inside
int interval_last = 63;

// Who refuses a range gets its end all the same: here that is what the walk over
// the tree does by itself before it gives up (out_would_block).
param failed_start_ends = yes;

static bool interval_invalidate(const struct mmu_notifier_range *range, int seq);

// Writers: the ranges that run. `*seq` is the number that this range brings.
__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_start_range)
__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_next)
__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_invalidate)
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_notifier_invalidate_range_start)
static int mn_itree_invalidate(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
    bool found;
    int seq;

    spin_lock(&itree_lock);
    active_invalidate_ranges++;
    found = READ_ONCE(itree) && page_index(range->start) <= READ_ONCE(interval_last) &&
            page_index(range->end) > READ_ONCE(interval_first);
    if (found)
        invalidate_seq |= 1;
    seq = READ_ONCE(invalidate_seq);
    spin_unlock(&itree_lock);
    if (found && !interval_invalidate(range, seq)) {
        if (WARN_ON(range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE))
            return 0;
        return -EAGAIN;
    }
    return 0;
}

// The last range to end lets the tree change again, and wakes who waits.
__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_end)
static void mn_itree_inv_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
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

// The end of the address space is one range over all of it. It comes before the
// subscribers of the plain list are told.
__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_release)
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_notifier_release)
static void mn_itree_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
    struct mmu_notifier_range range;

    range.start = mm_start();
    range.end = mm_end();
    range.flags = MMU_NOTIFIER_RANGE_BLOCKABLE;
    mn_itree_invalidate(mn, &range);
    mn_itree_inv_end(mn, &range);
}

static const struct mmu_notifier_ops mmu_interval_ops = {
    .invalidate_range_start = mn_itree_invalidate,
    .invalidate_range_end = mn_itree_inv_end,
    .release = mn_itree_release };
subscribe mm : mmu_interval_ops;

// Readers: who fills. The number may be old already when it is returned; the
// check under the mirror's lock finds that. The wait is wait_event with a plain load:
// who does not sleep has no barrier behind it (`interval-mirror` under `ra`).
__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_read_begin)
static int mmu_interval_read_begin(struct mmu_interval_notifier *sub)
{
    bool is_invalidating;
    int seq;

    spin_lock(&itree_lock);
    seq = READ_ONCE(sub->invalidate_seq);
    is_invalidating = seq == READ_ONCE(invalidate_seq);
    spin_unlock(&itree_lock);
    if (is_invalidating)
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

// Without the lock; only "yes" can be relied on.
__from("v6.12.117", "include/linux/mmu_notifier.h", mmu_interval_check_retry)
static bool mmu_interval_check_retry(struct mmu_interval_notifier *sub, int seq)
{
    return READ_ONCE(sub->invalidate_seq) != seq;
}

// Nobody knows what the ranges are that run now, so the interval is taken to be
// in one of them: its number is theirs, and its first reader waits.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_notifier_insert)
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
        WARN_ON(READ_ONCE(invalidate_seq) & 1);
        sub->invalidate_seq = READ_ONCE(invalidate_seq) - 1;
        itree = 1;
    }
    spin_unlock(&itree_lock);
    return 0;
}

__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_seq_released)
static bool mmu_interval_seq_released(int seq)
{
    bool released;

    spin_lock(&itree_lock);
    released = READ_ONCE(invalidate_seq) != seq;
    spin_unlock(&itree_lock);
    return released;
}

// Waits until no invalidation can still call for the interval.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_notifier_remove)
static void mmu_interval_notifier_remove(struct mmu_interval_notifier *sub)
{
    int seq = 0;

    might_sleep();
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
        while (!mmu_interval_seq_released(seq))
            cpu_relax();
}
