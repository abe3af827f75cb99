//! The primitives of the Linux kernel memory model.

use super::Kind::{Context, Lock as LockArg, Place, Pointer, Value};
use super::row;
use super::{
    Action, Fence, Gives, Kind, LockClass, LockOp, Order, Primitive, ReaderOp, Readers, RmwOp,
    RmwResult, Tag,
};
use crate::types::Type;

/// The rows, by family.
pub(super) const ROWS: [&[Primitive]; 12] =
    [&ACCESSES, &FENCES, &ADD, &SUB, &AND, &OR, &XOR, &ANDNOT, &STEPS, &ATOMICS, &LOCKS, &RCU];

const INT: Gives = Gives::One(Type::Int);
const VOID: Gives = Gives::Nothing;
const NONE: &[&[Kind]] = &[&[]];
const POINTER: &[&[Kind]] = &[&[Pointer]];
const VALUE_FIRST: &[&[Kind]] = &[&[Value, Pointer]];
const LOCK: &[&[Kind]] = &[&[LockArg]];

const LOAD: &[Tag] = &[Tag::Load];
const STORE: &[Tag] = &[Tag::Store];
const BOTH: &[Tag] = &[Tag::Load, Tag::Store];
const BOTH_ACQUIRE: &[Tag] = &[Tag::Load, Tag::Store, Tag::Acquire];
const BOTH_RELEASE: &[Tag] = &[Tag::Load, Tag::Store, Tag::Release];
const BOTH_FULL: &[Tag] = &[Tag::Load, Tag::Store, Tag::Full];
const FULL: &[Tag] = &[Tag::Full];

/// One operation in its four orders: `name`, `_relaxed`, `_acquire`, `_release`.
#[rustfmt::skip]
macro_rules! orders {
    ($name:literal, $forms:expr, $result:expr, $action:ident ( $($first:expr),* ), $help:expr) => {
        [
            row($name, $forms, $result, Action::$action($($first,)* Order::Full), BOTH_FULL, $help),
            row(concat!($name, "_relaxed"), $forms, $result, Action::$action($($first,)* Order::Once), BOTH, concat!($help, ", not ordered")),
            row(concat!($name, "_acquire"), $forms, $result, Action::$action($($first,)* Order::Acquire), BOTH_ACQUIRE, concat!($help, ", acquire")),
            row(concat!($name, "_release"), $forms, $result, Action::$action($($first,)* Order::Release), BOTH_RELEASE, concat!($help, ", release")),
        ]
    };
}

/// `atomic_OP`, and `atomic_OP_return` and `atomic_fetch_OP` in four orders.
#[rustfmt::skip]
macro_rules! arithmetic {
    ($op:expr, $forms:expr, $plain:literal, $returns:literal, $fetch:literal) => {{
        let [a, b, c, d] = orders!($returns, $forms, INT, Rmw($op, RmwResult::New), "changes the word and gives the new value");
        let [e, f, g, h] = orders!($fetch, $forms, INT, Rmw($op, RmwResult::Old), "changes the word and gives the old value");
        let plain = Action::Rmw($op, RmwResult::Nothing, Order::Once);
        [row($plain, $forms, VOID, plain, BOTH, "changes the word in one step, not ordered"), a, b, c, d, e, f, g, h]
    }};
}

/// `atomic_OP`, and `atomic_fetch_OP` in four orders.
#[rustfmt::skip]
macro_rules! bitwise {
    ($op:expr, $plain:literal, $fetch:literal) => {{
        let [a, b, c, d] = orders!($fetch, VALUE_FIRST, INT, Rmw($op, RmwResult::Old), "changes the word and gives the old value");
        let plain = Action::Rmw($op, RmwResult::Nothing, Order::Once);
        [row($plain, VALUE_FIRST, VOID, plain, BOTH, "changes the word in one step, not ordered"), a, b, c, d]
    }};
}

#[rustfmt::skip]
static ADD: [Primitive; 9] =
    arithmetic!(RmwOp::Add, VALUE_FIRST, "atomic_add", "atomic_add_return", "atomic_fetch_add");
#[rustfmt::skip]
static SUB: [Primitive; 9] =
    arithmetic!(RmwOp::Subtract, VALUE_FIRST, "atomic_sub", "atomic_sub_return", "atomic_fetch_sub");
#[rustfmt::skip]
static AND: [Primitive; 5] = bitwise!(RmwOp::And, "atomic_and", "atomic_fetch_and");
#[rustfmt::skip]
static OR: [Primitive; 5] = bitwise!(RmwOp::Or, "atomic_or", "atomic_fetch_or");
#[rustfmt::skip]
static XOR: [Primitive; 5] = bitwise!(RmwOp::Xor, "atomic_xor", "atomic_fetch_xor");
#[rustfmt::skip]
static ANDNOT: [Primitive; 5] = bitwise!(RmwOp::AndNot, "atomic_andnot", "atomic_fetch_andnot");

#[rustfmt::skip]
static STEPS: [Primitive; 18] = {
    let [a, b, c, d, e, f, g, h, i] =
        arithmetic!(RmwOp::Add, POINTER, "atomic_inc", "atomic_inc_return", "atomic_fetch_inc");
    let [j, k, l, m, n, o, p, q, r] =
        arithmetic!(RmwOp::Subtract, POINTER, "atomic_dec", "atomic_dec_return", "atomic_fetch_dec");
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r]
};

#[rustfmt::skip]
static ACCESSES: [Primitive; 18] = {
    let [a, b, c, d] = orders!("xchg", &[&[Pointer, Value]], Gives::OfPlace, Exchange(), "stores a value and gives the old one");
    let [e, f, g, h] = orders!("cmpxchg", &[&[Pointer, Value, Value]], Gives::OfPlace, CompareExchange(), "stores the second value if the first is there; gives what was there");
    [
        row("READ_ONCE", &[&[Place]], Gives::OfPlace, Action::Load(Order::Once), LOAD, "reads once"),
        row("WRITE_ONCE", &[&[Place, Value]], VOID, Action::Store(Order::Once), STORE, "writes once"),
        row("smp_load_acquire", POINTER, Gives::OfPlace, Action::Load(Order::Acquire), &[Tag::Load, Tag::Acquire], "reads; later accesses stay later"),
        row("smp_store_release", &[&[Pointer, Value]], VOID, Action::Store(Order::Release), &[Tag::Store, Tag::Release], "writes; earlier accesses stay earlier"),
        row("smp_store_mb", &[&[Place, Value]], VOID, Action::Store(Order::Full), &[Tag::Store, Tag::Full], "writes, and then a full barrier"),
        row("rcu_dereference", &[&[Place]], Gives::OfPlace, Action::Load(Order::Once), LOAD, "reads a pointer once"),
        row("rcu_assign_pointer", &[&[Place, Value]], VOID, Action::Store(Order::Release), &[Tag::Store, Tag::Release], "publishes a pointer"),
        row("data_race", &[&[Value]], Gives::OfArgument, Action::Same, &[Tag::Pure], "marks a race as meant"),
        row("ACCESS_ONCE", &[&[Place]], Gives::OfPlace, Action::Load(Order::Once), LOAD, "the old name of READ_ONCE"),
        row("smp_cond_load_acquire", &[&[Pointer, Value]], Gives::OfPlace, Action::NotCovered("write the loop out with smp_load_acquire"), LOAD, "waits for a value"),
        a, b, c, d, e, f, g, h,
    ]
};

const fn fence(name: &'static str, kind: Fence, help: &'static str) -> Primitive {
    let tags = if matches!(kind, Fence::Full) { FULL } else { &[] };
    row(name, NONE, VOID, Action::Fence(kind), tags, help)
}

#[rustfmt::skip]
static FENCES: [Primitive; 12] = [
    fence("smp_mb", Fence::Full, "full barrier"),
    fence("smp_rmb", Fence::Read, "orders reads with reads"),
    fence("smp_wmb", Fence::Write, "orders writes with writes"),
    fence("mb", Fence::Full, "full barrier, also for devices"),
    fence("rmb", Fence::Read, "orders reads with reads, also for devices"),
    fence("wmb", Fence::Write, "orders writes with writes, also for devices"),
    fence("barrier", Fence::Compiler, "for the compiler only"),
    fence("smp_mb__before_atomic", Fence::Full, "full barrier before an atomic operation"),
    fence("smp_mb__after_atomic", Fence::Full, "full barrier after an atomic operation"),
    fence("smp_mb__after_spinlock", Fence::Full, "full barrier after taking a lock"),
    fence("smp_mb__after_unlock_lock", Fence::Full, "full barrier between unlock and lock"),
    fence("smp_mb__after_srcu_read_unlock", Fence::Full, "full barrier after an SRCU section"),
];

#[rustfmt::skip]
static ATOMICS: [Primitive; 16] = {
    let [a, b, c, d] = orders!("atomic_xchg", &[&[Pointer, Value]], INT, Exchange(), "stores a value and gives the old one");
    let [e, f, g, h] = orders!("atomic_cmpxchg", &[&[Pointer, Value, Value]], INT, CompareExchange(), "stores the second value if the first is there; gives what was there");
    [
        row("atomic_read", POINTER, INT, Action::Load(Order::Once), LOAD, "reads an atomic"),
        row("atomic_read_acquire", POINTER, INT, Action::Load(Order::Acquire), &[Tag::Load, Tag::Acquire], "reads an atomic; later accesses stay later"),
        row("atomic_set", &[&[Pointer, Value]], VOID, Action::Store(Order::Once), STORE, "writes an atomic"),
        row("atomic_set_release", &[&[Pointer, Value]], VOID, Action::Store(Order::Release), &[Tag::Store, Tag::Release], "writes an atomic; earlier accesses stay earlier"),
        a, b, c, d, e, f, g, h,
        row("atomic_sub_and_test", VALUE_FIRST, INT, Action::Rmw(RmwOp::Subtract, RmwResult::IsZero, Order::Full), BOTH_FULL, "subtracts and tells whether it is zero now"),
        row("atomic_dec_and_test", POINTER, INT, Action::Rmw(RmwOp::Subtract, RmwResult::IsZero, Order::Full), BOTH_FULL, "subtracts 1 and tells whether it is zero now"),
        row("atomic_inc_and_test", POINTER, INT, Action::Rmw(RmwOp::Add, RmwResult::IsZero, Order::Full), BOTH_FULL, "adds 1 and tells whether it is zero now"),
        row("atomic_add_unless", &[&[Pointer, Value, Value]], INT, Action::AddUnless, BOTH_FULL, "adds the first unless the word is the second; tells whether it did"),
    ]
};

const fn spin(name: &'static str, op: LockOp, result: Gives, help: &'static str) -> Primitive {
    let tags: &[Tag] = match op {
        LockOp::Unlock | LockOp::ReadUnlock => &[Tag::Unlocks],
        LockOp::IsLocked => &[Tag::Load],
        _ => &[Tag::Locks],
    };
    row(name, LOCK, result, Action::Lock(LockClass::Spin, op), tags, help)
}

#[rustfmt::skip]
static LOCKS: [Primitive; 24] = [
    row("atomic_add_negative", VALUE_FIRST, INT, Action::Rmw(RmwOp::Add, RmwResult::IsNegative, Order::Full), BOTH_FULL, "adds and tells whether it is negative now"),
    spin("spin_lock", LockOp::Lock, VOID, "takes a spin lock"),
    spin("spin_unlock", LockOp::Unlock, VOID, "drops a spin lock"),
    spin("spin_trylock", LockOp::TryLock, INT, "takes a spin lock if it is free; 1 if so"),
    spin("spin_is_locked", LockOp::IsLocked, INT, "whether somebody holds it"),
    row("spin_lock_irq", LOCK, VOID, Action::Lock(LockClass::Spin, LockOp::Lock), &[Tag::Locks, Tag::Interrupts], "turns interrupts off and takes a spin lock"),
    row("spin_unlock_irq", LOCK, VOID, Action::Lock(LockClass::Spin, LockOp::Unlock), &[Tag::Unlocks, Tag::Interrupts], "drops a spin lock and turns interrupts on"),
    row("spin_lock_irqsave", &[&[LockArg, Context]], VOID, Action::Lock(LockClass::Spin, LockOp::Lock), &[Tag::Locks, Tag::Interrupts], "turns interrupts off and takes a spin lock"),
    row("spin_unlock_irqrestore", &[&[LockArg, Context]], VOID, Action::Lock(LockClass::Spin, LockOp::Unlock), &[Tag::Unlocks, Tag::Interrupts], "drops a spin lock and turns interrupts on"),
    row("local_irq_disable", NONE, VOID, INTERRUPTS_OFF, &[], "turns interrupts off on this processor"),
    row("local_irq_enable", NONE, VOID, INTERRUPTS_ON, &[], "turns them on"),
    row("local_irq_save", &[&[Context]], VOID, INTERRUPTS_OFF, &[], "turns interrupts off on this processor"),
    row("local_irq_restore", &[&[Context]], VOID, INTERRUPTS_ON, &[], "turns them on again"),
    spin("raw_spin_lock", LockOp::Lock, VOID, "takes a spin lock"),
    spin("raw_spin_unlock", LockOp::Unlock, VOID, "drops a spin lock"),
    spin("read_lock", LockOp::ReadLock, VOID, "takes a reader-writer lock to read"),
    spin("read_unlock", LockOp::ReadUnlock, VOID, "drops it"),
    spin("write_lock", LockOp::Lock, VOID, "takes a reader-writer lock to write"),
    spin("write_unlock", LockOp::Unlock, VOID, "drops it"),
    row("mutex_lock", LOCK, VOID, Action::Lock(LockClass::Mutex, LockOp::Lock), &[Tag::Locks, Tag::Sleeps], "takes a mutex"),
    row("mutex_unlock", LOCK, VOID, Action::Lock(LockClass::Mutex, LockOp::Unlock), &[Tag::Unlocks], "drops a mutex"),
    row("mutex_trylock", LOCK, INT, Action::Lock(LockClass::Mutex, LockOp::TryLock), &[Tag::Locks], "takes a mutex if it is free; 1 if so"),
    row("lockdep_assert_held", &[&[Context]], VOID, Action::Nothing, &[Tag::Pure], "says that a lock is held; not tested"),
    row("cpu_relax", NONE, VOID, Action::Nothing, &[Tag::Pure], "nothing, in a loop that waits"),
];

const INTERRUPTS_OFF: Action = Action::Reader(Readers::Interrupts, ReaderOp::Enter);
const INTERRUPTS_ON: Action = Action::Reader(Readers::Interrupts, ReaderOp::Leave);
const RCU_WAIT: Action = Action::Reader(Readers::Rcu, ReaderOp::Synchronize);
const SRCU_WAIT: Action = Action::Reader(Readers::Srcu, ReaderOp::Synchronize);
const LATER: Action = Action::NotCovered(
    "callbacks after a grace period are not modelled; write synchronize_rcu and then what is called",
);
const WAITS: &[Tag] = &[Tag::Sleeps, Tag::Waits];

#[rustfmt::skip]
static RCU: [Primitive; 14] = [
    row("rcu_read_lock", NONE, VOID, Action::Reader(Readers::Rcu, ReaderOp::Enter), &[], "opens a read-side section"),
    row("rcu_read_unlock", NONE, VOID, Action::Reader(Readers::Rcu, ReaderOp::Leave), &[], "closes it"),
    row("synchronize_rcu", NONE, VOID, RCU_WAIT, WAITS, "waits until every section that is open has been closed"),
    row("synchronize_rcu_expedited", NONE, VOID, RCU_WAIT, WAITS, "waits until every section that is open has been closed"),
    row("call_rcu", &[&[Context, Context]], VOID, LATER, &[], "calls back after a grace period"),
    row("rcu_barrier", NONE, VOID, LATER, WAITS, "waits for callbacks"),
    row("srcu_read_lock", LOCK, INT, Action::Reader(Readers::Srcu, ReaderOp::Enter), &[], "opens a section that may sleep; gives its index"),
    row("srcu_read_unlock", &[&[LockArg, Context]], VOID, Action::Reader(Readers::Srcu, ReaderOp::Leave), &[], "closes it"),
    row("srcu_down_read", &[&[Context]], INT, Action::NotCovered("a section belongs to the thread that opens it"), &[], "opens a section that another task closes"),
    row("srcu_up_read", &[&[Context, Value]], VOID, Action::NotCovered("a section belongs to the thread that opens it"), &[], "closes it"),
    row("synchronize_srcu", LOCK, VOID, SRCU_WAIT, WAITS, "waits until every section of it that is open has been closed"),
    row("synchronize_srcu_expedited", LOCK, VOID, SRCU_WAIT, WAITS, "waits until every section of it that is open has been closed"),
    row("tlb_remove_table_sync_one", NONE, VOID, Action::Reader(Readers::Interrupts, ReaderOp::Synchronize), &[Tag::Waits], "interrupts all processors: waits for those that have interrupts off"),
    row("kick_all_cpus_sync", NONE, VOID, Action::Reader(Readers::Interrupts, ReaderOp::Synchronize), &[Tag::Waits], "interrupts all processors: waits for those that have interrupts off"),
];
