//! Memory under `ra` against the axioms of the Linux kernel memory model,
//! written down here a second time and in another manner: no machine, no views,
//! but relations over the events of a whole execution.
//!
//! For random programs of words, fences, locks and atomic operations every end
//! that the axioms allow without load buffering must be an end under `ra`.

use std::collections::BTreeSet;
use std::fmt::Write;

use shootdown_explore::{Options, Outcome};
use shootdown_litmus::{NoSources, Variant, check_source};
use shootdown_machine::machine::Machine;
use shootdown_machine::model::search;
use shootdown_machine::outcome::{observe, shown};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_machine::weak;
use shootdown_machine::world::World;
use shootdown_step::{Target, lower};

const LOCATIONS: usize = 3;
const NAMES: [&str; LOCATIONS] = ["x", "y", "z"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Once,
    Acquire,
    Release,
    Full,
}

/// A statement of a program.
#[derive(Clone, Copy, Debug)]
enum Statement {
    Load(usize, Order),
    Store(usize, Order),
    Exchange(usize, Order),
    Increment(usize),
    Mb,
    Wmb,
    Rmb,
    Lock(usize),
    Unlock(usize),
}

type Program = Vec<Vec<Statement>>;

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        ((self.0 >> 33) as usize) % end
    }
}

/// A program with at most this many accesses to all words.
fn program(random: &mut Random) -> Program {
    let threads = 2 + random.below(3);
    let locations = 2 + random.below(2);
    let mut accesses = 4 + random.below(3);
    let mut program = vec![Vec::new(); threads];
    for (thread, list) in program.iter_mut().enumerate() {
        let share = (accesses / (threads - thread)).clamp(1, 3);
        accesses -= share.min(accesses);
        // Every order of the drops and takings of a lock is tried: two threads.
        let held = (thread < 2 && random.below(3) == 0).then(|| random.below(2));
        list.extend(held.map(Statement::Lock));
        for at in 0..share {
            let location = random.below(locations);
            let order = |random: &mut Random, strong| match random.below(3) {
                0 => strong,
                _ => Order::Once,
            };
            list.push(match random.below(10) {
                0..4 => Statement::Load(location, order(random, Order::Acquire)),
                4..8 => Statement::Store(location, order(random, Order::Release)),
                8 => Statement::Increment(location),
                _ => {
                    let orders = [Order::Once, Order::Acquire, Order::Release, Order::Full];
                    Statement::Exchange(location, orders[random.below(4)])
                }
            });
            if let (Some(lock), true) = (held, at == share / 2) {
                list.push(Statement::Unlock(lock));
                if random.below(2) == 0 {
                    list.push(Statement::Lock(1 - lock));
                    list.push(Statement::Unlock(1 - lock));
                }
            } else {
                match random.below(8) {
                    0 | 1 => list.push(Statement::Mb),
                    2 | 3 => list.push(Statement::Wmb),
                    4 | 5 => list.push(Statement::Rmb),
                    _ => {}
                }
            }
        }
    }
    program
}

/// As text, with everything in the condition. Each store has a value of its own.
fn text(program: &Program) -> String {
    let parameters = "int *x, int *y, int *z, spinlock_t *l, spinlock_t *m";
    let mut text = "C random\n{ int x; int y; int z; spinlock_t l; spinlock_t m; }\n".to_owned();
    let mut value = 0;
    let mut shown = vec!["x".to_owned(), "y".to_owned(), "z".to_owned()];
    for (thread, list) in program.iter().enumerate() {
        writeln!(text, "P{thread}({parameters}) {{").unwrap();
        for (at, statement) in list.iter().enumerate() {
            let lock = |lock: &usize| ["l", "m"][*lock];
            let suffix = |order: &Order| match order {
                Order::Once => "_relaxed",
                Order::Acquire => "_acquire",
                Order::Release => "_release",
                Order::Full => "",
            };
            let line = match statement {
                Statement::Load(x, Order::Acquire) => {
                    format!("int r{at} = smp_load_acquire({})", NAMES[*x])
                }
                Statement::Load(x, _) => format!("int r{at} = READ_ONCE(*{})", NAMES[*x]),
                Statement::Store(x, order) => {
                    value += 10;
                    match order {
                        Order::Release => format!("smp_store_release({}, {value})", NAMES[*x]),
                        _ => format!("WRITE_ONCE(*{}, {value})", NAMES[*x]),
                    }
                }
                Statement::Exchange(x, order) => {
                    value += 10;
                    format!("int r{at} = xchg{}({}, {value})", suffix(order), NAMES[*x])
                }
                Statement::Increment(x) => format!("atomic_inc({})", NAMES[*x]),
                Statement::Mb => "smp_mb()".to_owned(),
                Statement::Wmb => "smp_wmb()".to_owned(),
                Statement::Rmb => "smp_rmb()".to_owned(),
                Statement::Lock(at) => format!("spin_lock({})", lock(at)),
                Statement::Unlock(at) => format!("spin_unlock({})", lock(at)),
            };
            if line.starts_with("int") {
                shown.push(format!("P{thread}:r{at}"));
            }
            writeln!(text, "    {line};").unwrap();
        }
        text.push_str("}\n");
    }
    writeln!(text, "locations [{}]\nexists (x=0)", shown.join("; ")).unwrap();
    text
}

/// The ends of the machine, in the order: results of threads, then words.
fn machine_ends(text: &str) -> BTreeSet<Vec<i64>> {
    let program = check_source("random.litmus", text, &NoSources, &Variant::base())
        .unwrap_or_else(|why| panic!("{text}\n{why}"));
    let setting = Setting::of(&program, MemoryModel::Ra, &[]).expect("no dials");
    let lowered = lower(&program, Target::Machine, setting.dials()).expect("words alone");
    weak::covered(&lowered, &setting).expect("words alone");
    let list = shown(&program, &lowered);
    let (world, slots) = World::new(lowered, Target::Machine, setting);
    let machine = Machine::new(world, slots, Sets::default());
    let found = search(&machine, &Options::default(), &|_| 0, &|state| {
        list.iter().map(|what| observe(&machine, state, *what)).collect()
    });
    assert!(!matches!(found.outcome, Outcome::Limit { .. }), "{text}");
    found.ends
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Fence,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    thread: usize,
    kind: Kind,
    /// Words, and behind them locks.
    location: usize,
    acquire: bool,
    release: bool,
    /// The read of an operation without a result.
    no_return: bool,
    lock_read: bool,
    unlock: bool,
    fence: Option<Statement>,
    /// The read that this write is one step with.
    with: Option<usize>,
    value: i64,
    adds: bool,
}

type Relation = Vec<Vec<bool>>;

fn empty(n: usize) -> Relation {
    vec![vec![false; n]; n]
}

fn or(list: &[&Relation]) -> Relation {
    let n = list[0].len();
    let mut out = empty(n);
    for relation in list {
        for (row, more) in out.iter_mut().zip(*relation) {
            row.iter_mut().zip(more).for_each(|(to, from)| *to |= from);
        }
    }
    out
}

fn then(first: &Relation, second: &Relation) -> Relation {
    let n = first.len();
    let mut out = empty(n);
    for (row, first) in out.iter_mut().zip(first) {
        for (_, second) in first.iter().zip(second).filter(|(yes, _)| **yes) {
            row.iter_mut().zip(second).for_each(|(to, from)| *to |= from);
        }
    }
    out
}

fn closure(relation: &Relation, reflexive: bool) -> Relation {
    let n = relation.len();
    let mut out = relation.clone();
    for middle in 0..n {
        let through = out[middle].clone();
        for row in out.iter_mut().filter(|row| row[middle]) {
            row.iter_mut().zip(&through).for_each(|(to, from)| *to |= from);
        }
    }
    if reflexive { or(&[&out, &identity(n)]) } else { out }
}

fn identity(n: usize) -> Relation {
    (0..n).map(|a| (0..n).map(|b| a == b).collect()).collect()
}

fn acyclic(relation: &Relation) -> bool {
    let all = closure(relation, false);
    (0..all.len()).all(|a| !all[a][a])
}

/// The events: first one write for each location at the start.
fn events(program: &Program) -> Vec<Event> {
    let blank = Event {
        thread: usize::MAX,
        kind: Kind::Write,
        location: 0,
        acquire: false,
        release: false,
        no_return: false,
        lock_read: false,
        unlock: false,
        fence: None,
        with: None,
        value: 0,
        adds: false,
    };
    let mut list: Vec<Event> =
        (0..LOCATIONS + 2).map(|location| Event { location, ..blank }).collect();
    let mut value = 0;
    for (thread, statements) in program.iter().enumerate() {
        let own = Event { thread, ..blank };
        let fence = |statement| Event { kind: Kind::Fence, fence: Some(statement), ..own };
        for statement in statements {
            match *statement {
                Statement::Load(location, order) => list.push(Event {
                    kind: Kind::Read,
                    location,
                    acquire: order == Order::Acquire,
                    ..own
                }),
                Statement::Store(location, order) => {
                    value += 10;
                    let release = order == Order::Release;
                    list.push(Event { location, release, value, ..own });
                }
                Statement::Exchange(location, order) => {
                    value += 10;
                    if order == Order::Full {
                        list.push(fence(Statement::Mb));
                    }
                    let acquire = order == Order::Acquire;
                    list.push(Event { kind: Kind::Read, location, acquire, ..own });
                    let with = Some(list.len() - 1);
                    let release = order == Order::Release;
                    list.push(Event { location, release, with, value, ..own });
                    if order == Order::Full {
                        list.push(fence(Statement::Mb));
                    }
                }
                Statement::Increment(location) => {
                    list.push(Event { kind: Kind::Read, location, no_return: true, ..own });
                    let with = Some(list.len() - 1);
                    list.push(Event { location, with, adds: true, ..own });
                }
                Statement::Lock(lock) => {
                    let location = LOCATIONS + lock;
                    list.push(Event {
                        kind: Kind::Read,
                        location,
                        acquire: true,
                        lock_read: true,
                        ..own
                    });
                    let with = Some(list.len() - 1);
                    list.push(Event { location, with, value: 1, ..own });
                }
                Statement::Unlock(lock) => list.push(Event {
                    location: LOCATIONS + lock,
                    release: true,
                    unlock: true,
                    ..own
                }),
                statement => list.push(fence(statement)),
            }
        }
    }
    list
}

/// Every end that the axioms allow, without load buffering.
fn axiomatic_ends(program: &Program) -> BTreeSet<Vec<i64>> {
    let events = events(program);
    let writes = |location: usize| -> Vec<usize> {
        let of = |at: &usize| {
            events[*at].kind == Kind::Write
                && events[*at].location == location
                && events[*at].thread != usize::MAX
        };
        (0..events.len()).filter(of).collect()
    };
    let mut orders: Vec<Vec<Vec<usize>>> = vec![Vec::new()];
    for location in 0..LOCATIONS + 2 {
        let mut all = Vec::new();
        permutations(&mut writes(location), 0, &mut all);
        // Whoever takes a lock is the one who drops it next.
        let pairs = |list: &Vec<usize>| {
            list.chunks(2).all(|pair| {
                let [take, drop] = pair else { return false };
                !events[*take].unlock
                    && events[*drop].unlock
                    && events[*take].thread == events[*drop].thread
            })
        };
        all.retain(|list| location < LOCATIONS || pairs(list));
        orders = orders
            .iter()
            .flat_map(|before| {
                all.iter().map(move |order| {
                    let mut list = vec![location];
                    list.extend(order);
                    [before.clone(), vec![list]].concat()
                })
            })
            .collect();
    }
    let reads: Vec<usize> = (0..events.len()).filter(|at| events[*at].kind == Kind::Read).collect();
    let mut ends = BTreeSet::new();
    for order in &orders {
        let mut from = vec![usize::MAX; events.len()];
        choose(&events, &reads, order, 0, &mut from, &mut ends);
    }
    ends
}

fn permutations(list: &mut Vec<usize>, from: usize, all: &mut Vec<Vec<usize>>) {
    if from >= list.len() {
        return all.push(list.clone());
    }
    for at in from..list.len() {
        list.swap(from, at);
        permutations(list, from + 1, all);
        list.swap(from, at);
    }
}

fn choose(
    events: &[Event],
    reads: &[usize],
    order: &[Vec<usize>],
    next: usize,
    from: &mut Vec<usize>,
    ends: &mut BTreeSet<Vec<i64>>,
) {
    let Some(read) = reads.get(next) else {
        if let Some(end) = judge(events, order, from) {
            ends.insert(end);
        }
        return;
    };
    let list = &order[events[*read].location];
    for (place, write) in list.iter().enumerate() {
        // Atomicity: the write of a step stands right behind what it read.
        let with = events.iter().position(|event| event.with == Some(*read));
        if with.is_some_and(|with| list.get(place + 1) != Some(&with)) {
            continue;
        }
        // A lock is taken when it is free.
        let free = events[*write].unlock || events[*write].thread == usize::MAX;
        if events[*read].lock_read && !free {
            continue;
        }
        from[*read] = *write;
        choose(events, reads, order, next + 1, from, ends);
    }
}

/// The end of an execution, if the axioms allow it.
fn judge(events: &[Event], order: &[Vec<usize>], from: &[usize]) -> Option<Vec<i64>> {
    let n = events.len();
    let build = |test: &dyn Fn(usize, usize) -> bool| -> Relation {
        (0..n).map(|a| (0..n).map(|b| test(a, b)).collect()).collect()
    };
    let start = |a: usize| events[a].thread == usize::MAX;
    let memory = |a: usize| events[a].kind != Kind::Fence;
    let read = |a: usize| events[a].kind == Kind::Read;
    let write = |a: usize| events[a].kind == Kind::Write;
    let po = build(&|a, b| !start(a) && events[a].thread == events[b].thread && a < b);
    let same = |a: usize, b: usize| events[a].location == events[b].location;
    let place = |a: usize| order[events[a].location].iter().position(|own| *own == a);
    let rf = build(&|a, b| memory(a) && read(b) && from[b] == a);
    let co = build(&|a, b| write(a) && write(b) && same(a, b) && place(a) < place(b));
    let fr = build(&|a, b| read(a) && write(b) && same(a, b) && place(from[a]) < place(b));
    let internal = |a: usize, b: usize| !start(a) && events[a].thread == events[b].thread;
    let only = |relation: &Relation, test: &dyn Fn(usize, usize) -> bool| -> Relation {
        build(&|a, b| relation[a][b] && test(a, b))
    };
    let po_loc = only(&po, &|a, b| memory(a) && memory(b) && same(a, b));
    let (rfe, ext) = (only(&rf, &|a, b| !internal(a, b)), |a: usize, b: usize| !internal(a, b));
    if !acyclic(&or(&[&po_loc, &rf, &co, &fr])) || !acyclic(&or(&[&po, &rf])) {
        return None;
    }
    let between = |kind: fn(&Statement) -> bool, a: usize, b: usize| {
        (a + 1..b).any(|f| events[f].fence.as_ref().is_some_and(kind))
    };
    let mb =
        only(&po, &|a, b| memory(a) && memory(b) && between(|f| matches!(f, Statement::Mb), a, b));
    let wmb =
        only(&po, &|a, b| write(a) && write(b) && between(|f| matches!(f, Statement::Wmb), a, b));
    let rmb = only(&po, &|a, b| {
        let returns = |a: usize| read(a) && !events[a].no_return;
        returns(a) && returns(b) && between(|f| matches!(f, Statement::Rmb), a, b)
    });
    let acq_po = only(&po, &|a, b| events[a].acquire && memory(b));
    let po_rel = only(&po, &|a, b| memory(a) && events[b].release);
    let po_or_rf = or(&[&po, &rf]);
    let unlock_lock = only(&po_or_rf, &|a, b| events[a].unlock && events[b].lock_read);
    let puls = then(&then(&po, &unlock_lock), &po);
    let puls = only(&puls, &|a, b| memory(a) && memory(b));
    let overwrite = or(&[&co, &fr]);
    let own_overwrite = only(&overwrite, &internal);
    let puls_own = only(&puls, &internal);
    let ppo = or(&[&own_overwrite, &mb, &wmb, &rmb, &acq_po, &po_rel, &puls_own]);
    let eye = identity(n);
    let cumulative = then(&or(&[&rfe, &eye]), &or(&[&mb, &po_rel]));
    let rmw = build(&|a, b| events[b].with == Some(a));
    let sequence = closure(&then(&rf, &rmw), true);
    let cumul = then(&or(&[&cumulative, &wmb, &puls]), &sequence);
    let foreign = only(&overwrite, &ext);
    let prop = then(&then(&or(&[&foreign, &eye]), &closure(&cumul, true)), &or(&[&rfe, &eye]));
    let hb = or(&[&ppo, &rfe, &only(&prop, &|a, b| a != b && internal(a, b))]);
    if !acyclic(&hb) {
        return None;
    }
    let pb = then(&then(&prop, &mb), &closure(&hb, true));
    if !acyclic(&pb) {
        return None;
    }
    // Values, in the order of rf and of each step's own read.
    let mut values: Vec<Option<i64>> = vec![None; n];
    for _ in 0..n {
        for at in 0..n {
            let value = match events[at].kind {
                Kind::Fence => continue,
                Kind::Read => values[from[at]],
                Kind::Write if events[at].adds => {
                    values[events[at].with.expect("it reads")].map(|old| old + 1)
                }
                Kind::Write => Some(events[at].value),
            };
            values[at] = value;
        }
    }
    let results =
        (0..n).filter(|a| read(*a) && !events[*a].no_return && events[*a].location < LOCATIONS);
    let mut end: Vec<i64> = results.map(|a| values[a].expect("acyclic")).collect();
    for list in &order[..LOCATIONS] {
        end.push(values[*list.last().expect("the start")].expect("acyclic"));
    }
    Some(end)
}

#[test]
fn nothing_that_the_axioms_allow_is_missing() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (programs, first) = (number("SHOOTDOWN_RA_PROGRAMS", 150), number("SHOOTDOWN_RA_SEED", 0));
    let (mut exact, mut weaker, mut more, mut ends) = (0, Vec::new(), 0, 0);
    for seed in first..first + programs {
        let program = program(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let text = text(&program);
        let (machine, axioms) = (machine_ends(&text), axiomatic_ends(&program));
        let missing: Vec<&Vec<i64>> = axioms.difference(&machine).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?} is missing under ra\n{text}");
        ends += axioms.len();
        let extra: Vec<&Vec<i64>> = machine.difference(&axioms).collect();
        more += extra.len();
        if extra.is_empty() {
            exact += 1;
        } else if weaker.len() < 3 {
            weaker.push(format!("seed {seed}: ra alone has {:?}\n{text}", extra[0]));
        }
    }
    println!("{programs} programs, {exact} with the same ends; {ends} ends, ra has {more} more");
    weaker.iter().for_each(|text| println!("{text}"));
    assert!(exact * 10 > programs * 5, "ra is far weaker than the axioms");
}
