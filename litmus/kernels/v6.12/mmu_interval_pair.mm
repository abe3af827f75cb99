// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
// Two interval notifiers, `one` and `two`, in the tree of an address space: what
// comes and goes while a range runs that meets the other one. As `mmu_interval`,
// but for each interval there is whether it is in the tree, whether a change of
// that waits for the last range to end, and which pages it is (by page_index, both
// ends inside). The first two are what the tree and the list know, so an interval
// that is in neither is not looked at.
//
// A file that includes this inserts them and defines
//
//     static bool interval_invalidate(struct mmu_interval_notifier *sub,
//                                     const struct mmu_notifier_range *range, int seq)
//
// The order of the tree is left out: `one` is met before `two`.

spinlock_t itree_lock;
int invalidate_seq = 2;
int active_invalidate_ranges = 0;
struct mmu_interval_notifier one;
struct mmu_interval_notifier two;
int in_tree[2] = {0, 0};
int deferred[2] = {0, 0};

param failed_start_ends = yes;

static bool interval_invalidate(struct mmu_interval_notifier *sub,
                                const struct mmu_notifier_range *range, int seq);

static int interval_index(struct mmu_interval_notifier *sub)
{
    return sub == &one ? 0 : 1;
}

static bool interval_meets(struct mmu_interval_notifier *sub,
                           const struct mmu_notifier_range *range)
{
    return READ_ONCE(in_tree[interval_index(sub)]) &&
           page_index(range->start) <= READ_ONCE(sub->last) &&
           page_index(range->end) > READ_ONCE(sub->first);
}

// Once the number is odd the tree stays as it is, so the walk needs no lock.
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
    found = interval_meets(&one, range) || interval_meets(&two, range);
    if (found)
        invalidate_seq |= 1;
    seq = READ_ONCE(invalidate_seq);
    spin_unlock(&itree_lock);
    if (!found)
        return 0;
    if (interval_meets(&one, range) && !interval_invalidate(&one, range, seq) &&
        !WARN_ON(range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE))
        return -EAGAIN;
    if (interval_meets(&two, range) && !interval_invalidate(&two, range, seq) &&
        !WARN_ON(range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE))
        return -EAGAIN;
    return 0;
}

static void interval_change_deferred(int i)
{
    if (READ_ONCE(deferred[i])) {
        WRITE_ONCE(in_tree[i], !READ_ONCE(in_tree[i]));
        WRITE_ONCE(deferred[i], 0);
    }
}

__from("v6.12.117", "mm/mmu_notifier.c", mn_itree_inv_end)
static void mn_itree_inv_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
    spin_lock(&itree_lock);
    active_invalidate_ranges--;
    if (!READ_ONCE(active_invalidate_ranges) && READ_ONCE(invalidate_seq) & 1) {
        invalidate_seq++;
        interval_change_deferred(0);
        interval_change_deferred(1);
    }
    spin_unlock(&itree_lock);
}

static const struct mmu_notifier_ops mmu_interval_ops = {
    .invalidate_range_start = mn_itree_invalidate,
    .invalidate_range_end = mn_itree_inv_end };
subscribe mm : mmu_interval_ops;

// Readers: who fills. The number may be old already when it is returned; the
// check under the mirror's lock finds that.
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

__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_notifier_insert)
__from("v6.12.117", "mm/mmu_notifier.c", __mmu_interval_notifier_insert)
static int mmu_interval_notifier_insert(struct mmu_interval_notifier *sub,
                                        unsigned long start, int length)
{
    int i = interval_index(sub);

    sub->first = page_index(start);
    sub->last = page_index(start) + length - 1;
    spin_lock(&itree_lock);
    if (READ_ONCE(active_invalidate_ranges)) {
        if (READ_ONCE(invalidate_seq) & 1) {
            deferred[i] = 1;
        } else {
            invalidate_seq |= 1;
            in_tree[i] = 1;
        }
        sub->invalidate_seq = READ_ONCE(invalidate_seq);
    } else {
        WARN_ON(READ_ONCE(invalidate_seq) & 1);
        sub->invalidate_seq = READ_ONCE(invalidate_seq) - 1;
        in_tree[i] = 1;
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

// An interval that waits to be inserted just stays out.
__from("v6.12.117", "mm/mmu_notifier.c", mmu_interval_notifier_remove)
static void mmu_interval_notifier_remove(struct mmu_interval_notifier *sub)
{
    int i = interval_index(sub);
    int seq = 0;

    might_sleep();
    spin_lock(&itree_lock);
    if (READ_ONCE(invalidate_seq) & 1) {
        if (!READ_ONCE(in_tree[i])) {
            deferred[i] = 0;
        } else {
            deferred[i] = 1;
            seq = READ_ONCE(invalidate_seq);
        }
    } else {
        WARN_ON(!READ_ONCE(in_tree[i]));
        in_tree[i] = 0;
    }
    spin_unlock(&itree_lock);
    if (seq)
        while (!mmu_interval_seq_released(seq))
            cpu_relax();
}
