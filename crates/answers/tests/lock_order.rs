//! The order of locks: which edges a text has, and which cycles.

use std::path::{Path, PathBuf};

use shootdown_answers::LIBRARY;
use shootdown_answers::check::{Subject, check, prepare, read};
use shootdown_answers::lock_order::{Graph, Part, Suite, breaks_nothing, graph};
use shootdown_answers::request::Request;
use shootdown_answers::suite::TestFile;
use shootdown_answers::verdict::Status;
use shootdown_litmus::{NoSources, Variant, read_file};

/// What every test here has.
const LOCKS: &str = "{ spinlock_t s, t, q; struct mutex m, n; struct srcu_struct r; int x = 0;
                       map a -> Fa {0}; }";

/// A program. Threads stand in a line of their own and name everything by `&`; here
/// they get the parameters that they need for it.
fn subject(text: &str) -> Subject {
    let all = "(int *a, int *x, spinlock_t *s, spinlock_t *t, spinlock_t *q, struct mutex *m, \
               struct mutex *n, struct srcu_struct *r)";
    let line = |line: &str| match line.trim().split_once("()") {
        Some((thread, body)) if thread.len() == 2 => {
            format!("{thread}{all}{}", body.replace('&', "").replace("(a, ptl", "(a, &ptl"))
        }
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    let text = format!("C test\n{LOCKS}\n{}\nexists (true)\n", lines.join("\n"));
    read("test.litmus", &text, &NoSources, &Variant::default(), &Request::default())
        .unwrap_or_else(|error| panic!("{error:?}"))
}

/// `a -> b`, sorted; what kernels do in any case is among them.
fn orders(graph: &Graph) -> Vec<String> {
    let name = |class: usize| graph.classes[class].name.clone();
    let edges = graph.edges.iter().map(|edge| format!("{} -> {}", name(edge.from), name(edge.to)));
    let mut list: Vec<String> = edges.collect();
    list.sort();
    list
}

fn of(text: &str) -> Vec<String> {
    let graph = graph(&subject(text));
    assert_eq!(graph.limit, None);
    orders(&graph)
}

fn reclaim(text: &str) -> Status {
    let checked = check(&subject(text), &Request::default());
    checked.verdicts.into_iter().find(|verdict| verdict.code == "RECLAIM").expect("listed").status
}

/// How RECLAIM is broken.
fn violated(text: &str) -> String {
    match reclaim(text) {
        Status::Violated(violation) => violation.why,
        other => panic!("{other:?}"),
    }
}

fn one(body: &str) -> Vec<String> {
    of(&format!("P0() {{ {body} }}"))
}

#[test]
fn what_is_held_comes_before_what_is_taken() {
    assert_eq!(
        one("mutex_lock(&m); spin_lock(&s); spin_unlock(&s); spin_lock(&t); spin_unlock(&t); \
             mutex_unlock(&m); spin_lock(&s); spin_unlock(&s);"),
        ["m -> s", "m -> t"]
    );
}

#[test]
fn who_does_not_wait_orders_nothing() {
    let tried = "spin_lock(&s); int r = spin_trylock(&t); if (r) spin_unlock(&t); spin_unlock(&s);";
    assert!(one(tried).is_empty());
    // But what was taken so is held.
    let held = "int r = spin_trylock(&t); if (r) { spin_lock(&s); spin_unlock(&s); \
                spin_unlock(&t); } else { mutex_lock(&m); mutex_unlock(&m); }";
    assert_eq!(one(held), ["t -> s"], "m is taken only where t is not");
}

#[test]
fn the_same_condition_comes_out_the_same() {
    let twice = "int r = READ_ONCE(*x); if (r == 1) mutex_lock(&m); if (r == 1) mutex_unlock(&m); \
                 mutex_lock(&n); mutex_unlock(&n);";
    assert!(one(twice).is_empty());
    let changed = "int r = READ_ONCE(*x); if (r == 1) mutex_lock(&m); r = READ_ONCE(*x); \
                   if (r == 1) mutex_unlock(&m); mutex_lock(&n); mutex_unlock(&n);";
    assert_eq!(one(changed), ["m -> n"]);
}

#[test]
fn a_loop_that_counts_comes_to_an_end() {
    let counts = "int i = 0; while (READ_ONCE(*x) == 0) i++; mutex_lock(&m); \
                  if (i == 700) { mutex_lock(&n); mutex_unlock(&n); } mutex_unlock(&m);";
    assert_eq!(one(counts), ["m -> n"]);
}

#[test]
fn locks_of_entries_are_known_by_their_level() {
    let split = "pmd_t *pmd = pmd_offset(a); spinlock_t *up = pmd_lock(pmd), *ptl; \
                 pmd_t old = pmdp_get(pmd); pte_t *pte = pte_offset_map_lock(a, &ptl); \
                 if (pte) pte_unmap_unlock(pte, ptl); spin_unlock(up); \
                 mutex_lock(&m); mutex_unlock(&m);";
    assert_eq!(one(split), ["pmd lock -> ptl"]);
}

#[test]
fn readers_are_waited_for_and_do_not_wait() {
    let text = "P0() { int i; i = srcu_read_lock(&r); mutex_lock(&m); mutex_unlock(&m); \
                       srcu_read_unlock(&r, i); }\n\
                P1() { mutex_lock(&m); synchronize_srcu(&r); mutex_unlock(&m); }\n\
                P2() { int i; mutex_lock(&m); i = srcu_read_lock(&r); \
                       srcu_read_unlock(&r, i); mutex_unlock(&m); }";
    assert_eq!(of(text), ["m -> srcu(r)", "srcu(r) -> m"]);
    assert!(matches!(reclaim(text), Status::NotExercised(_)), "the search asks that");
}

/// A callback that does this, beside a thread that does that.
fn callback(callback: &str, thread: &str) -> String {
    format!(
        "static int told(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
        {{ {callback} return 0; }}
        static const struct mmu_notifier_ops ops = {{ .invalidate_range_start = told }};
        subscribe mm : ops;
        P0() {{ mmu_notifier_invalidate_range_start(a); \
                      mmu_notifier_invalidate_range_end(a); }}
        P1() {{ {thread} }}"
    )
}

#[test]
fn a_callback_that_allocates() {
    let text = callback("might_alloc(GFP_KERNEL);", "");
    let cycle = "possible circular locking dependency: mmu_notifier_invalidate_range_start -> \
                 direct_reclaim -> mmu_notifier_invalidate_range_start";
    assert_eq!(violated(&text), cycle);
    // Without file systems the subscribers are told all the same.
    assert_eq!(violated(&text.replace("KERNEL", "NOFS")), cycle);
    assert!(matches!(reclaim(&text.replace("KERNEL", "NOWAIT")), Status::NotExercised(_)));
}

#[test]
fn an_allocation_under_the_lock_of_a_callback() {
    let (take, drop) = ("mutex_lock(&m);", "mutex_unlock(&m);");
    let told = format!("{take}{drop}");
    let under = |alloc: &str| callback(&told, &format!("{take}{alloc}{drop}"));
    assert!(violated(&under("might_alloc(GFP_KERNEL);")).contains("m -> direct_reclaim"));
    assert!(violated(&under("struct page *p = alloc_page(); free_page(p);")).contains("m -> "));
    for none in [
        "might_alloc(GFP_ATOMIC);",
        "int f = memalloc_noreclaim_save(); might_alloc(GFP_KERNEL); memalloc_noreclaim_restore(f);",
        "fs_reclaim_acquire(GFP_KERNEL); might_alloc(GFP_KERNEL); fs_reclaim_release(GFP_KERNEL);",
    ] {
        assert!(
            !orders(&graph(&subject(&under(none)))).contains(&"m -> direct_reclaim".to_owned())
        );
    }
    let beside = callback(&told, &format!("{take}{drop} might_alloc(GFP_KERNEL);"));
    assert_eq!(reclaim(&beside), Status::Clean);
}

#[test]
fn through_a_second_lock() {
    let text = callback(
        "mutex_lock(&m); mutex_unlock(&m);",
        "mutex_lock(&n); might_alloc(GFP_KERNEL); mutex_unlock(&n); \
         mutex_lock(&m); mutex_lock(&n); mutex_unlock(&n); mutex_unlock(&m);",
    );
    assert!(violated(&text).contains("m -> n -> direct_reclaim"), "{}", violated(&text));
}

#[test]
fn what_must_not_sleep_is_another_error() {
    let text = callback(
        "spin_lock(&s); spin_unlock(&s);",
        "spin_lock(&s); might_alloc(GFP_KERNEL); spin_unlock(&s);",
    );
    let checked = check(&subject(&text), &Request::default());
    let broken: Vec<&str> = checked
        .verdicts
        .iter()
        .filter(|verdict| matches!(verdict.status, Status::Violated(_)))
        .map(|verdict| verdict.code)
        .collect();
    assert_eq!(broken, ["sleep"]);
}

#[test]
fn an_interrupt_on_the_processor_that_has_the_lock() {
    let text = |lock: &str, unlock: &str| {
        format!(
            "P0() {{ irq_enter(); spin_lock(&s); spin_unlock(&s); irq_exit(); }}
             P1() {{ {lock}(&s); {unlock}(&s); }}"
        )
    };
    let on = text("spin_lock", "spin_unlock");
    assert!(violated(&on).starts_with("inconsistent lock state"), "{}", violated(&on));
    assert_eq!(reclaim(&text("spin_lock_irq", "spin_unlock_irq")), Status::Clean);
    // Interrupts come back on while the lock is held.
    let early = "P0() { irq_enter(); spin_lock(&s); spin_unlock(&s); irq_exit(); }
         P1() { local_irq_disable(); spin_lock(&s); local_irq_enable(); spin_unlock(&s); }";
    assert!(violated(early).starts_with("inconsistent lock state"));
    // A lock that the handler never takes, and one behind it that it does.
    let through = "P0() { irq_enter(); spin_lock(&s); spin_unlock(&s); irq_exit(); }
         P1() { local_irq_disable(); spin_lock(&s); spin_lock(&t); spin_unlock(&t); \
                 spin_unlock(&s); local_irq_enable(); }
         P2() { spin_lock(&t); spin_unlock(&t); }";
    assert!(violated(through).starts_with("possible lock inversion"), "{}", violated(through));
}

#[test]
fn a_cycle_over_two_files() {
    let add = |suite: &mut Suite, file: &str, body: &str| {
        let part = Part { file: file.to_owned(), variant: "base".to_owned() };
        suite.add(part, &graph(&subject(&format!("P0() {{ {body} }}"))));
    };
    let (mn, nm) = (
        "mutex_lock(&m); mutex_lock(&n); mutex_unlock(&n); mutex_unlock(&m);",
        "mutex_lock(&n); mutex_lock(&m); mutex_unlock(&m); mutex_unlock(&n);",
    );
    let mut suite = Suite::default();
    add(&mut suite, "a", mn);
    assert!(suite.cycles().is_empty());
    add(&mut suite, "b", nm);
    let found = suite.cycles();
    let [found] = &found[..] else { panic!("{found:?}") };
    let files: Vec<&str> = found.parts.iter().map(|part| &*part.file).collect();
    assert_eq!((files, found.excluded_by.len()), (vec!["a", "b"], 0));

    // Both have s: they exclude each other.
    let mut suite = Suite::default();
    add(
        &mut suite,
        "a",
        "spin_lock(&s); spin_lock(&t); spin_lock(&q); spin_unlock(&q); \
         spin_unlock(&t); spin_unlock(&s);",
    );
    add(
        &mut suite,
        "b",
        "spin_lock(&s); spin_lock(&q); spin_lock(&t); spin_unlock(&t); \
         spin_unlock(&q); spin_unlock(&s);",
    );
    let found = suite.cycles();
    assert!(found.iter().all(|found| found.excluded_by == ["s"]), "{found:?}");
    assert_eq!(found.len(), 1);
}

#[test]
fn a_lock_that_is_one_of_two_is_known_on_each_path() {
    let text = "static void f(void) { spinlock_t *l = &s; if (READ_ONCE(x)) l = &t; \
                spin_lock(l); mutex_trylock(&m); spin_lock(&q); spin_unlock(&q); spin_unlock(l); }
P0() { f(); }";
    let all = orders(&graph(&subject(text)));
    assert!(all.contains(&"s -> q".to_owned()) && all.contains(&"t -> q".to_owned()), "{all:?}");
}

fn below(folder: &Path, list: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => below(&path, list),
            path if path.extension().is_some_and(|extension| extension == "litmus") => {
                list.push(path);
            }
            _ => {}
        }
    }
}

/// A walk that sees orders which are not there would see cycles here.
#[test]
fn the_shipped_files_have_one_cycle_and_it_is_meant() {
    let mut files = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus"), &mut files);
    files.sort();
    let (mut suite, request) = (Suite::default(), Request::default());
    for file in &files {
        let (name, text) = (file.display().to_string(), read_file(file).expect("text"));
        let test = TestFile::open(&name, &text, &LIBRARY, &request).expect("a right file");
        for program in test.programs.iter().filter(|program| breaks_nothing(program, "sc")) {
            let part = Part { file: name.clone(), variant: program.variant.to_string() };
            if let Ok(subject) = prepare(program.clone(), &request) {
                suite.add(part, &graph(&subject));
            }
        }
    }
    assert!(suite.parts.len() > 300, "{}", suite.parts.len());
    // One device whose retries branch on what others wrote: its ways are too many, and
    // its RECLAIM is not covered. No other file may come to that.
    let limits: Vec<_> = suite.limits.iter().map(|(part, _)| part).collect();
    assert!(
        limits.iter().all(|part| part.file.ends_with("paths/l37-device-exclusive.litmus")),
        "{:?}",
        suite.limits
    );
    let found = suite.cycles();
    let names: Vec<Vec<&str>> = found.iter().map(|found| found.cycle.names(&suite.graph)).collect();
    assert_eq!(names, [["client_lock", "region_lock"]]);
}
