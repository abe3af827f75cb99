//! Every file that ships comes to the same ends and breaks the same properties
//! whatever is reduced; and a reduction that overlooks something is noticed.

mod reduce_support;

use std::path::{Path, PathBuf};

use reduce_support::{
    ALL, Answer, MODES, NONE, Test, answer, counted, family, tests_of, tests_of_text,
};
use shootdown_machine::reduce::Kind;
use shootdown_machine::setting::MemoryModel;

/// States that the search without reductions may take; `REDUCE_BIG` lets it
/// take more, and then all of it takes many minutes.
fn most() -> u64 {
    if std::env::var("REDUCE_BIG").is_ok() { 200_000 } else { 12_000 }
}

/// Whether a lock is held can be seen by who does not wait for it.
const TRIED: &str = "// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
C tried

{
    spinlock_t l; int x = 0;
}

P0(spinlock_t *l) { spin_lock(l); spin_unlock(l); }
P1(spinlock_t *l) { int r = spin_trylock(l); if (r) spin_unlock(l); }

exists (P1:r=0)
";

/// Who locks comes first: without a word on the object's life a lock that nobody
/// else takes seems to be nobody's business, and is never late.
const GONE: &str = "// SPDX-License-Identifier: MIT OR Apache-2.0
// shootdown-litmus 1
C gone

{
    struct foo s;
}

P0(struct foo *s) { spin_lock(&s->lock); spin_unlock(&s->lock); }
P1(struct foo *s) { kfree(s); }

exists (true)
";

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus").join(folder);
    let Ok(list) = std::fs::read_dir(root) else { return Vec::new() };
    let mut files: Vec<PathBuf> = list.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "litmus"));
    files.sort();
    files
}

/// Compares all modes of reduction; returns states without and with all.
fn compare(test: &Test) -> Option<(u64, u64)> {
    let most = most();
    let plain = answer(test, NONE, most, &[]);
    let Some(plain) = plain else {
        println!("{}: more than {most} states, skipped", test.name);
        return None;
    };
    let mut reduced = 0;
    for (mode, reductions) in MODES {
        let found = answer(test, reductions, most, &[]).expect("no more states than without");
        assert_eq!(found.what, plain.what, "{} with {mode}", test.name);
        reduced = if reductions == ALL { found.states } else { reduced };
    }
    Some((plain.states, reduced))
}

fn whole(folder: &str) {
    let (mut all, mut kept) = (0, 0);
    for path in files(folder) {
        for model in [MemoryModel::Sc, MemoryModel::Tso] {
            for keep_dead in [false, true] {
                for test in tests_of(&path, model, keep_dead) {
                    let Some((plain, reduced)) = compare(&test) else { continue };
                    all += plain;
                    kept += reduced;
                    println!("{}: {plain} -> {reduced}", test.name);
                }
            }
        }
    }
    println!("{folder}: {all} -> {kept}");
    assert!(kept <= all);
}

#[test]
fn the_seeds_come_out_the_same() {
    whole("seed");
}

#[test]
fn the_checks_come_out_the_same() {
    whole("checks");
}

#[test]
fn the_paths_come_out_the_same() {
    whole("paths");
}

#[test]
fn the_twins_come_out_the_same() {
    whole("twins");
}

#[test]
fn the_controls_come_out_the_same() {
    whole("controls");
}

#[test]
fn the_disputes_come_out_the_same() {
    whole("disputes");
}

#[test]
fn the_zoo_comes_out_the_same() {
    whole("zoo");
}

#[test]
fn the_shapes_of_the_memory_model_come_out_the_same() {
    whole("lkmm");
}

/// A counter that a thread raises so often, and another watches.
fn counting(times: usize, raise: &str, watch: &str) -> Test {
    let raises = raise.repeat(times);
    let text = format!(
        "C counting\n{{ int seq = 0; int saved = 0; int later = 2; int x = 0; int y = 0; }}\n\
         static void raise(void) {{ {raises} }}\n\
         static void watch(void) {{ int s = READ_ONCE(seq); int old; {watch} }}\n\
         P0(int *seq, int *x) {{ raise(); }}\nP1(int *seq, int *x, int *y) {{ watch(); }}\n\
         exists (x=1)\n"
    );
    // Ideal memory would compare the words that it uses.
    let mut tests = tests_of_text("counting", &text, MemoryModel::Sc, false);
    let mut test = tests.remove(0);
    test.ideal.threads.iter_mut().for_each(|thread| {
        thread.nodes = vec![shootdown_step::Node::End];
        (thread.start, thread.steps, thread.dead) = (0, vec![0], vec![Vec::new()]);
    });
    test
}

#[test]
fn what_only_counts_is_numbered_anew() {
    const ASK: &str = "if (READ_ONCE(seq) == s) WRITE_ONCE(x, 1);";
    const SAVE: &str =
        "WRITE_ONCE(saved, s); if (READ_ONCE(seq) != READ_ONCE(saved)) WRITE_ONCE(x, 1);";
    const ATOMIC: &str = "atomic_inc(&seq);";
    const LOADED: &str = "seq++;";
    for (raise, watch) in [(ATOMIC, ASK), (LOADED, ASK), (ATOMIC, SAVE), (LOADED, SAVE)] {
        let states = [3, 9].map(|times| {
            let test = counting(times, raise, watch);
            let plain = answer(&test, NONE, most(), &[]).expect("small");
            let reduced = answer(&test, ALL, most(), &[]).expect("small");
            assert_eq!(plain.what, reduced.what, "{raise} {watch}");
            assert!(reduced.renumbers, "{raise} {watch}");
            reduced.states
        });
        assert!(states[0] < states[1], "the code is longer: {states:?}");
    }
}

#[test]
fn what_does_more_than_count_stays_as_it_is() {
    const ATOMIC: &str = "atomic_inc(&seq);";
    for (raise, watch) in [
        (ATOMIC, "if (READ_ONCE(seq) > s) WRITE_ONCE(x, 1);"),
        (ATOMIC, "if (READ_ONCE(seq) == s + 1) WRITE_ONCE(x, 1);"),
        (ATOMIC, "if (READ_ONCE(seq) == 2) WRITE_ONCE(x, 1);"),
        (ATOMIC, "if (READ_ONCE(seq)) WRITE_ONCE(x, 1);"),
        (ATOMIC, "WRITE_ONCE(x, s);"),
        (ATOMIC, "WRITE_ONCE(seq, s);"),
        // What a word holds at the beginning may be a value that is still to come.
        (ATOMIC, "if (READ_ONCE(seq) == READ_ONCE(later)) WRITE_ONCE(x, 1); WRITE_ONCE(later, s);"),
        (ATOMIC, "old = atomic_xchg(&seq, 0); if (old == s) WRITE_ONCE(x, 1);"),
        (
            ATOMIC,
            "WRITE_ONCE(saved, s); WRITE_ONCE(saved, 0); if (READ_ONCE(saved) == READ_ONCE(seq)) WRITE_ONCE(x, 1);",
        ),
        ("atomic_add(2, &seq);", "if (READ_ONCE(seq) == s) WRITE_ONCE(x, 1);"),
        ("atomic_dec(&seq);", "if (READ_ONCE(seq) == s) WRITE_ONCE(x, 1);"),
    ] {
        let test = counting(3, raise, watch);
        let plain = answer(&test, NONE, most(), &[]).expect("small");
        let reduced = answer(&test, ALL, most(), &[]).expect("small");
        assert_eq!(plain.what, reduced.what, "{raise} {watch}");
        assert!(!reduced.renumbers, "{raise} {watch}");
    }
    // Both raise it, in two steps each: one increment may get lost. That shows
    // on the way, and the search begins again.
    let test = counting(3, "seq++;", "seq++; if (READ_ONCE(seq) == s) WRITE_ONCE(x, 1);");
    let plain = answer(&test, NONE, most(), &[]).expect("small");
    let reduced = answer(&test, ALL, most(), &[]).expect("small");
    assert_eq!(plain.what, reduced.what);
    assert!(!reduced.renumbers);
}

/// What is known ahead of which steps meet may only say no sooner. A wrong "no"
/// hides nothing, so nobody else would notice: it costs states.
#[test]
fn what_is_known_ahead_changes_no_count() {
    let files = ["seed", "twins", "checks"].into_iter().flat_map(files);
    let mut compared = 0;
    for test in files.flat_map(|path| tests_of(&path, MemoryModel::Sc, false)) {
        let Some(known) = counted(&test, most(), false) else { continue };
        let in_full = counted(&test, most(), true);
        assert_eq!(in_full, Some(known), "{}: states and steps", test.name);
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}

/// A wrong independence has to be noticed by what is compared above.
#[test]
fn who_overlooks_a_kind_of_object_is_noticed() {
    // Told after the lock is dropped: a device may still read the old page.
    let late = tests_of_text("late", &family(2, 1, true), MemoryModel::Sc, false);
    let tried = tests_of_text("tried", TRIED, MemoryModel::Sc, false);
    let shipped: Vec<Test> = ["seed", "twins", "lkmm", "checks"]
        .iter()
        .flat_map(|folder| files(folder))
        .flat_map(|path| tests_of(&path, MemoryModel::Sc, false))
        .collect();
    let gone = tests_of_text("gone", GONE, MemoryModel::Sc, false);
    let tests: Vec<Test> = late.into_iter().chain(tried).chain(gone).chain(shipped).collect();
    let plain: Vec<Option<Answer>> =
        tests.iter().map(|test| answer(test, NONE, most(), &[])).collect();
    for kind in
        [Kind::Set, Kind::Contents, Kind::Word, Kind::Entry, Kind::Lock, Kind::Reader, Kind::Life]
    {
        let noticed = tests.iter().zip(&plain).find(|(test, plain)| {
            let Some(plain) = plain else { return false };
            let blind = answer(test, ALL, u64::MAX, &[kind]).expect("no more states than without");
            blind.what != plain.what
        });
        match noticed {
            Some((test, _)) => println!("without {kind:?}: {} changes", test.name),
            None => panic!("nobody notices that {kind:?} is overlooked"),
        }
    }
}
