use super::*;
use shootdown_litmus::{Directories, Either};

use crate::LIBRARY;

/// Files of `litmus`, by their path there.
fn file(path: &str) -> String {
    let path = format!("{}/../../litmus/{path}.litmus", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a file of the repository")
}

fn options() -> Options {
    Options {
        forget: false,
        function: None,
        weights: Weights::default(),
        list: 20,
        bound: String::new(),
        progress: None,
    }
}

fn placed_as(
    text: &str,
    variant: &[&str],
    request: &Request,
    options: &Options,
) -> Result<Placed, Unplaced> {
    let variant = Variant::new(variant.iter().map(|name| (*name).to_owned()));
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let text = Text { name: "t", text, sources: &sources, variant: &variant };
    let alone = |program: &Program, _: &(dyn Sources + Sync)| {
        Ok(vec![Case { program: program.clone(), client: None, always: true }])
    };
    place(text, request, options, &alone)
}

fn covered(placed: Result<Placed, Unplaced>) -> Placed {
    placed.unwrap_or_else(|why| match why {
        Unplaced::Refused(Refused::Input(why)) => panic!("{why}"),
        Unplaced::Refused(Refused::NotCovered { why, .. }) | Unplaced::Cases(why) => {
            panic!("{why}")
        }
    })
}

fn placed(text: &str, variant: &[&str]) -> Placed {
    covered(placed_as(text, variant, &Request::default(), &options()))
}

fn forgotten(text: &str) -> Placed {
    let options = Options { forget: true, ..options() };
    covered(placed_as(text, &[], &Request::default(), &options))
}

fn list(placed: &Placed) -> &[Placement] {
    match &placed.outcome {
        Outcome::Found(list) => list,
        other => panic!("{other:?}"),
    }
}

/// The statements that the notifications of each placement stand before.
fn before(placed: &Placed) -> Vec<Vec<&str>> {
    let text = |spot: &'_ answer::Spot| -> &str {
        let text = &spot.place.as_ref().expect("a place").text;
        text.split('(').next().unwrap_or(text).to_owned().leak()
    };
    list(placed).iter().map(|placement| placement.spots.iter().map(text).collect()).collect()
}

fn codes(broken: &[Broken]) -> Vec<&'static str> {
    broken.iter().map(|broken| broken.code).collect()
}

/// The changed text of the only file that changes.
fn new_text(placed: &Placed) -> &str {
    match &placed.patch {
        Patch::Verified { files, .. } if files.len() == 1 => &files[0].new,
        other => panic!("{other:?}"),
    }
}

fn is_clean(text: &str, variant: &[&str]) -> bool {
    let variant = Variant::new(variant.iter().map(|name| (*name).to_owned()));
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let request = Request::default();
    let subject = crate::check::read("t", text, &sources, &variant, &request);
    let checked = crate::check::check(&subject.expect("a test that is covered"), &request);
    !checked.verdicts.iter().any(|v| matches!(v.status, crate::verdict::Status::Violated(_)))
}

#[test]
fn copy_on_write_is_told_between_clear_and_set() {
    let text = file("seed/doorbell");
    let placed = placed(&text, &["NONE"]);
    assert!(codes(&placed.silent).contains(&"NEW"));
    assert_eq!(before(&placed), [["set_pte_at"]], "{placed:#?}");
    assert_eq!(placed.covered, Covered::All);
    let spot = &list(&placed)[0].spots[0];
    assert!(spot.locked && !spot.whole && !spot.is_end);
    assert_eq!(spot.what, "mmu_notifier_invalidate_range(vmf->address)");
    // Two invalidations and two waits, four times as dear under the lock.
    assert_eq!((placed.price, list(&placed)[0].cost), ((2, 2), 24));
    assert!(!is_clean(&text, &["NONE"]));
    assert!(is_clean(new_text(&placed), &["NONE"]));
    let line = "    mmu_notifier_invalidate_range(vmf->address);\n    set_pte_at(";
    assert!(new_text(&placed).contains(line), "{}", new_text(&placed));
}

#[test]
fn what_is_forgotten_is_put_back() {
    // The document's order is there already, also in the kernel's own words.
    for path in ["seed/doorbell", "seed/zero-page", "paths/cow-doorbell"] {
        let placed = forgotten(&file(path));
        assert!(before(&placed)[0][0].starts_with("set_pte_at"), "{placed:#?}");
        assert_eq!(before(&placed).len(), 1);
        assert_eq!(placed.forgotten.len(), 1);
        assert_eq!(placed.patch, Patch::Same);
    }
    // Told too late: moved.
    let options = Options { forget: true, ..options() };
    let late = file("seed/doorbell");
    let placed = covered(placed_as(&late, &["LATE"], &Request::default(), &options));
    assert_eq!(placed.forgotten[0].what, "mmu_notifier_invalidate_range_end");
    let new = new_text(&placed);
    assert!(!new.contains("mmu_notifier_invalidate_range_end("), "{new}");
    assert!(is_clean(new, &["LATE"]) && !is_clean(&late, &["LATE"]));
}

#[test]
fn what_a_file_tells_with_other_arguments_is_a_place() {
    // Of a huge page, whose entry is looked up without a name for its end.
    for path in ["paths/pmd-cow", "paths/collapse-copy"] {
        let placed = forgotten(&file(path));
        assert!(matches!(placed.outcome, Outcome::Found(_)), "{path}: {placed:#?}");
        assert!(matches!(placed.patch, Patch::Same | Patch::Verified { .. }), "{path}");
    }
    // Of a range that a caller opens.
    let placed = forgotten(&file("paths/fork-share"));
    assert!(list(&placed)[0].spots[0].is_end, "{placed:#?}");
    assert_eq!(placed.patch, Patch::Same);
}

#[test]
fn since_6_6_the_flush_is_made_silent() {
    let request = Request { kernel: Some("v6.12".to_owned()), ..Request::default() };
    let function = Some("wp_page_copy".to_owned());
    let options = Options { forget: true, function, ..options() };
    let text = file("paths/cow-doorbell");
    let placed = covered(placed_as(&text, &[], &request, &options));
    assert!(placed.flush_is_silent);
    let spot = &list(&placed)[0].spots[0];
    assert!(spot.what.starts_with("mmu_notifier_arch_invalidate_secondary_tlbs("), "{spot:?}");
    assert_eq!(before(&placed), [["set_pte_at"]], "{placed:#?}");
}

#[test]
fn a_gather_is_made_silent() {
    for kernel in ["v6.1", "v6.12"] {
        let request = Request { kernel: Some(kernel.to_owned()), ..Request::default() };
        let options = Options { forget: true, ..options() };
        let placed = covered(placed_as(&file("paths/munmap-free"), &[], &request, &options));
        assert!(placed.flush_is_silent);
        assert!(placed.silent.iter().any(|broken| broken.code == "FREE"), "{placed:#?}");
        // Under the lock and outside of it, but never behind the free.
        let spots = || list(&placed).iter().flat_map(|placement| &placement.spots);
        assert!(spots().any(|spot| spot.locked) && spots().any(|spot| !spot.locked));
        let freed = |spot: &&answer::Spot| spot.function == "gather_finish";
        let text = |spot: &answer::Spot| spot.place.as_ref().map(|at| at.text.clone());
        for spot in spots().filter(freed) {
            let text = text(spot).expect("a place");
            assert!(!spot.closes && !text.starts_with("atomic_dec"), "{spot:?}");
        }
        assert!(matches!(placed.patch, Patch::Verified { .. }), "{:?}", placed.patch);
    }
}

#[test]
fn what_was_found_before_an_interruption_stays() {
    use std::sync::atomic::AtomicBool;
    let asked = Arc::new(AtomicBool::new(false));
    let watch = {
        let asked = Arc::clone(&asked);
        move |at: Progress| {
            if at.right == 2 {
                asked.store(true, Ordering::Relaxed);
            }
        }
    };
    let mut request = Request::default();
    request.until.asked = Some(asked);
    let whole = placed(&file("seed/write-protect"), &["NONE"]);
    let options = Options { progress: Some(Arc::new(watch)), ..options() };
    let cut = placed_as(&file("seed/write-protect"), &["NONE"], &request, &options);
    let cut = covered(cut);
    assert_eq!(cut.covered, Covered::Stopped("interrupted".to_owned()));
    assert_eq!(list(&cut), &list(&whole)[..2]);
    assert_eq!(cut.patch, whole.patch);
    // The flag is up already.
    let none = placed_as(&file("seed/write-protect"), &["NONE"], &request, &options);
    let Err(Unplaced::Refused(Refused::NotCovered { why, .. })) = none else {
        panic!("nothing was asked")
    };
    assert_eq!(why, "interrupted");
}

#[test]
fn write_protection_is_cheapest_at_range_end() {
    let placed = placed(&file("seed/write-protect"), &["NONE"]);
    let first = &list(&placed)[0];
    assert!(first.spots[0].is_end && !first.spots[0].locked, "{first:?}");
    assert!(list(&placed).len() > 2, "{:?}", before(&placed));
    assert!(list(&placed).iter().all(|placement| placement.spots.len() == 1));
    assert!(list(&placed).iter().any(|placement| placement.spots[0].locked));
    assert!(list(&placed).is_sorted_by_key(|placement| placement.cost));
    assert!(new_text(&placed).matches("mmu_notifier_invalidate_range_end(va)").count() == 2);
}

#[test]
fn weights_change_the_order() {
    let text = file("seed/write-protect");
    let weights: Weights = "lock=1,outside=9".parse().expect("right weights");
    let options = Options { weights, ..options() };
    let placed = covered(placed_as(&text, &["NONE"], &Request::default(), &options));
    assert!(list(&placed)[0].spots[0].locked, "{:?}", before(&placed));
    assert!(!list(&placed).last().expect("some").spots[0].locked);
}

#[test]
fn a_page_that_is_freed_early_is_told_of_before() {
    let placed = placed(&file("seed/page-freed-before-range-end"), &["NONE"]);
    assert!(codes(&placed.silent).contains(&"FREE"));
    let places = before(&placed);
    // Outside of the lock, and before the free, is the cheapest.
    assert_eq!(places[0], ["put_page"], "{places:?}");
    assert!(!list(&placed)[0].spots[0].locked);
    assert_eq!(places[1..], [["pte_unmap_unlock"]], "{places:?}");
}

const IN_ONE_STEP: &str = "page = pte_page(ptep_clear_flush(pte));\n";

#[test]
fn a_page_that_is_freed_by_the_step_that_clears() {
    let text = file("seed/page-freed-before-range-end");
    let text = text.replace(IN_ONE_STEP, "put_page(pte_page(ptep_clear_flush(pte)));\n");
    let text = text.replace("    struct page *page;\n", "").replace("    put_page(page);\n", "");
    let placed = placed(&text, &["NONE"]);
    let Outcome::Impossible(broken) = &placed.outcome else { panic!("{placed:#?}") };
    let free = broken.iter().find(|broken| broken.code == "FREE").expect("FREE");
    assert_eq!(free.violation.steps[0].name, "put_page");
    assert!(
        free.violation.steps[0].place.as_ref().is_some_and(|place| place.text.contains("put_page"))
    );
    assert!(!free.violation.timeline.rows.is_empty());
    assert_eq!((placed.covered, placed.patch), (Covered::All, Patch::None));
}

const TWO: &str = "C two\n\n#include <machine/ats-pasid>\n\n{\n    map a -> Fa {7} : rw anon excl;\n    map b -> Fb {8} : rw anon excl;\n}\n\n\
        __implements(zap(va))\nstatic void zap(unsigned long va, unsigned long other)\n{\n    spinlock_t *ptl;\n    struct page *page;\n    pte_t *pte;\n\n\
            pte = pte_offset_map_lock(va, &ptl);\n    page = pte_page(ptep_clear_flush(pte));\n    pte_unmap_unlock(pte, ptl);\n    put_page(page);\n}\n\n\
        P0(int *a, int *b)\n{\n    zap(a, b);\n    zap(b, a);\n}\nD0@dev(int *a, int *b)  { WRITE_ONCE(*a, 9); WRITE_ONCE(*b, 9); }\n\nexists (true)\n";

#[test]
fn two_entries_need_two_notifications() {
    let text = TWO;
    let placed = placed(text, &[]);
    // One place in the function is run for both.
    assert_eq!(before(&placed), [["put_page"], ["pte_unmap_unlock"]], "{placed:#?}");
    // Each in its own function: a place in each.
    let one = text.find("__implements").expect("a function");
    let end = text.find("P0(").expect("a thread");
    let function = text[one..end].replace("zap(unsigned", "tear(unsigned");
    let both =
        format!("{}{function}{}", &text[..end], text[end..].replace("zap(b, a)", "tear(b, a)"));
    let placed = super::tests::placed(&both, &[]);
    let places = before(&placed);
    assert_eq!(places.len(), 4, "{places:?}");
    assert!(places.iter().all(|set| set.len() == 2), "{places:?}");
    assert_eq!(places[0], ["put_page", "put_page"]);
    assert_eq!(placed.covered, Covered::All);
    assert!(is_clean(new_text(&placed), &[]));
}

#[test]
fn a_statement_without_braces_gets_some() {
    let text = file("seed/page-freed-before-range-end");
    let text = text.replace(
        "    pte_unmap_unlock(pte, ptl);\n#ifndef FREE_LATE\n    put_page(page);\n#endif\n",
        "    pte_unmap_unlock(pte, ptl);\n    if (page)                           // always\n        put_page(page);                 // gone\n",
    );
    let options = Options { weights: "lock=1".parse().expect("right"), ..options() };
    let placed = covered(placed_as(&text, &["NONE"], &Request::default(), &options));
    let bare = list(&placed).iter().position(|p| {
        p.spots[0].place.as_ref().is_some_and(|place| place.text.starts_with("put_page"))
    });
    assert!(bare.is_some(), "{:?}", before(&placed));
    // As a patch, whichever is first.
    let program = {
        let sources = Either(Directories(Vec::new()), LIBRARY);
        let variant = Variant::new(["NONE".to_owned()]);
        Request::default().read("t", &text, &sources, &variant).expect("a right text")
    };
    let (at, function) = program
        .functions
        .iter()
        .enumerate()
        .find(|(_, function)| &*function.name == "zap")
        .expect("the path");
    let gap = function.body.gaps.iter().find(|gap| gap.bare.is_some()).expect("a bare statement");
    let spot = Spot {
        function: FunctionId(at as u32),
        call: "mmu_notifier_invalidate_range(va)".to_owned(),
        stands: Stands::Gap(*gap),
        locked: false,
        whole: false,
        edits: Vec::new(),
    };
    let new = text::applied(&text, &patch::edits(&program, &[], &[&spot]));
    let wanted = "    if (page) {                           // always\n        mmu_notifier_invalidate_range(va);\n        put_page(page);                 // gone\n    }\n";
    assert!(new.contains(wanted), "{new}");
    assert!(is_clean(&new, &["NONE"]));
}

#[test]
fn what_is_no_silence_is_refused() {
    let request = Request::default();
    let loud = placed_as(&file("seed/doorbell"), &[], &request, &options());
    let Err(Unplaced::Refused(Refused::Input(why))) = loud else { panic!("it is loud") };
    assert!(why.to_string().contains("tells the secondary TLBs already"), "{why}");
    assert!(why.to_string().contains("--forget"), "{why}");
    // A gather tells with its flush.
    let gather = file("paths/munmap-free");
    let only = ["gather_begin", "gather_finish", "zap_pte_range", "unmap_vmas"];
    for function in only {
        let options = Options { function: Some(function.to_owned()), ..options() };
        let loud = placed_as(&gather, &["BATCH_FULL"], &request, &options);
        let why = match loud {
            Err(Unplaced::Refused(Refused::Input(why))) => why.to_string(),
            other => {
                assert_eq!(function, "gather_begin", "{other:?}");
                continue;
            }
        };
        assert!(why.contains("tells the secondary TLBs already"), "{function}: {why}");
    }
    // A dial says where they are sent, whatever the text says.
    let params = vec![("tells".to_owned(), "range_end".to_owned())];
    let dial = Request { params, ..Request::default() };
    let turned = placed_as(&file("seed/doorbell"), &["NONE"], &dial, &options());
    let Err(Unplaced::Refused(Refused::Input(why))) = turned else { panic!("places move") };
    assert!(why.to_string().contains("the dial `tells`"), "{why}");
    // Nobody listens.
    let machine = "iotlb U <- mm;\natc T <- U;\ndevice dev : T, pasid 1, order waits;\n\
                   fault dev = do_page_request;\n";
    let text = file("seed/doorbell").replace("#include <machine/ats-pasid>", machine);
    let alone = placed_as(&text, &["NONE"], &request, &options());
    let Err(Unplaced::Refused(Refused::NotCovered { why, .. })) = alone else {
        panic!("nobody listens")
    };
    assert!(why.contains("would reach nobody"), "{why}");
}

#[test]
fn a_search_that_stops_says_nothing() {
    let mut request = Request::default();
    request.limits.states = 20;
    let placed = placed_as(&file("seed/doorbell"), &["NONE"], &request, &options());
    let placed = covered(placed);
    assert_eq!(placed.outcome, Outcome::Unknown, "{placed:#?}");
    assert!(matches!(placed.covered, Covered::Stopped(_)));
    assert_eq!(placed.patch, Patch::None);
}

#[test]
fn versions_are_compared() {
    let case = |variant: &[&str]| {
        let variant = Variant::new(variant.iter().map(|name| (*name).to_owned()));
        let sources = Either(Directories(Vec::new()), LIBRARY);
        let text = file("seed/page-freed-before-range-end");
        let program = Request::default().read("t", &text, &sources, &variant).expect("right");
        vec![Case { program, client: None, always: true }]
    };
    let request = Request::default();
    // Told twice, and told once: the same verdicts, and half of the work.
    let same = compare::compare(case(&[]), case(&["FREE_LATE"]), &request).expect("covered");
    assert_eq!(same.differ(), Vec::<&str>::new());
    let cost = |version: &compare::Version| {
        let zap = version.paths.iter().find(|path| path.function == "zap").expect("the path");
        (zap.cost.posted.most, zap.cost.waits.most)
    };
    assert_eq!(same.versions.each_ref().map(cost), [(4, 4), (2, 2)]);
    let differ = compare::compare(case(&[]), case(&["LATE"]), &request).expect("covered");
    assert_eq!(differ.differ(), ["FREE"]);
}

#[test]
fn a_patch_that_does_not_hold_is_not_printed() {
    let text = file("seed/doorbell");
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let (request, variant) = (Request::default(), Variant::new(["NONE".to_owned()]));
    let program = request.read("t", &text, &sources, &variant).expect("a right text");
    let reader = Reader { request: &request, sources: &sources };
    let alone = |program: &Program, _: &(dyn Sources + Sync)| {
        Ok(vec![Case { program: program.clone(), client: None, always: true }])
    };
    let function = scope(&program, None)[0];
    let put = |before: &str, call: &str| {
        let at = text.find(before).expect("a statement");
        let file = program.header.span.file;
        vec![Edit { function, file, range: at..at, text: call.to_owned() }]
    };
    let refused = |edits: &[Edit]| match patched(&program, &reader, edits, &alone) {
        Ok(Patch::Refused(why)) => why,
        Ok(other) => panic!("{other:?}"),
        Err(_) => panic!("a test that is covered"),
    };
    let call = "mmu_notifier_invalidate_range(vmf->address); ";
    assert!(refused(&[]).contains("breaks NEW"), "nothing is changed");
    assert!(refused(&put("ptep_clear_flush(", call)).contains("breaks NEW"), "too early");
    assert!(refused(&put("ptep_clear_flush(", "invalidate(")).contains("no right text"));
    let right = patched(&program, &reader, &put("set_pte_at(", call), &alone);
    assert!(matches!(right, Ok(Patch::Verified { tests: 1, .. })));
}

#[test]
fn an_address_that_moves_on_is_told_where_it_is_the_same() {
    let text = file("seed/page-freed-before-range-end");
    let text = text.replace(
        "pte = pte_offset_map_lock(va, &ptl);",
        "unsigned long at = va;\n    pte = pte_offset_map_lock(at, &ptl);\n    at += 1;",
    );
    let text = text.replace("    mmu_notifier_invalidate_range_start(va);\n", "");
    let text = text
        .replace("    mmu_notifier_invalidate_range_only_end(va);\n", "")
        .replace("    mmu_notifier_invalidate_range_end(va);\n", "");
    let placed = placed(&text, &["NONE"]);
    // `at` is the entry's address only before it moves on, which is too early.
    assert_eq!(placed.places, 2, "{placed:#?}");
    assert!(matches!(placed.outcome, Outcome::Impossible(_)), "{placed:#?}");
}

/// The minimal sets of at most two places, by trying each.
fn by_hand(text: &str, variant: &[&str]) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let sources = Either(Directories(Vec::new()), LIBRARY);
    let variant = Variant::new(variant.iter().map(|name| (*name).to_owned()));
    let request = Request::default();
    let silent = request.read("t", text, &sources, &variant).expect("a right text");
    let reader = Reader { request: &request, sources: &sources };
    let scope = scope(&silent, None);
    let (_, spots) = spots(&silent, &reader, &scope, Names::of(true), &[], false);
    let tried = AtomicUsize::new(0);
    let placer = Placer { silent: &silent, reader, spots: &spots, tried: &tried };
    let case = Case { program: silent.clone(), client: None, always: true };
    let jury = Jury::new(vec![case], &request).unwrap_or_else(|_| panic!("covered"));
    let judge = |set: &[usize]| {
        let edits = placer.edits(set);
        match jury.holds(&|program| reader.read(program, &silent, &edits)) {
            Ok(true) => Said::Right,
            Ok(false) => Said::Wrong,
            Err(why) => Said::Open(why),
        }
    };
    let costs = vec![1; spots.len()];
    let search = |monotone| {
        let search = Search {
            costs: &costs,
            judge: &judge,
            monotone,
            size: 2,
            wanted: usize::MAX,
            late: &|| None,
            found: &|_| {},
        };
        let (mut sets, _) = search.run();
        sets.retain(|set| set.len() <= 2);
        sets.sort();
        sets
    };
    (search(true), search(false))
}

#[test]
fn the_enumeration_finds_what_trying_each_finds() {
    let both = TWO.find("__implements").zip(TWO.find("P0("));
    let (one, end) = both.expect("a function and a thread");
    let second = TWO[one..end].replace("zap(unsigned", "tear(unsigned");
    let both = format!("{}{second}{}", &TWO[..end], TWO[end..].replace("zap(b, a)", "tear(b, a)"));
    for (text, variant) in [
        (file("seed/write-protect"), &["NONE"][..]),
        (file("seed/page-freed-before-range-end"), &["NONE"]),
        (both, &[]),
    ] {
        let (quick, each) = by_hand(&text, variant);
        assert!(!each.is_empty());
        assert_eq!(quick, each);
    }
}
