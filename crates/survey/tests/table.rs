//! The table against what is known of the paths, with small clients.

use shootdown_answers::LIBRARY;
use shootdown_answers::request::Request;
use shootdown_clients::Bound;
use shootdown_litmus::{Include, Sources};
use shootdown_survey::cell::{Cell, Choice, Found, Need, cell};
use shootdown_survey::path::{PATHS, text};
use shootdown_survey::table::MACHINES;

fn asked(path: &str, kernel: &str, machine: &str, bound: &str) -> Cell {
    let request = Request {
        kernel: Some(kernel.to_owned()),
        machine: Some(machine.to_owned()),
        ..Request::default()
    };
    let bound: Bound = bound.parse().expect("a bound");
    let text = text(path).expect("a path");
    cell(path, &text, &LIBRARY, &request, &bound).expect("a path that fits the machine")
}

fn codes(found: &Found) -> Vec<&'static str> {
    match found {
        Found::Broken(list) => list.iter().map(|shown| shown.code).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_path_is_there() {
    for path in PATHS {
        assert!(text(path).is_ok(), "{path}");
    }
    let error = text("cows").expect_err("no path");
    assert!(error.contains("there is no path `cows`; there are cow, zero-page"), "{error}");
}

#[test]
fn every_machine_is_there() {
    for machine in MACHINES {
        let path = format!("machine/{machine}.mm");
        let include = Include { path: &path, local: false, from: "" };
        assert!(LIBRARY.read(include).is_ok(), "{machine}");
    }
}

/// The document's case B: it may not wait until range_end, because of NEW. One
/// device is enough to show it: its write has made the copy, and what it reads
/// back is the old page.
#[test]
fn copy_on_write_is_told_under_the_lock() {
    let cell = asked("cow", "v6.1", "iommu-only", "after=0");
    assert_eq!(cell.need, Some(Need::UnderLock));
    assert_eq!(cell.choice, Choice::Right);
    assert_eq!(cell.because, ["NEW"]);
    let [never, range_end, flush, change, kernel] = &cell.found;
    assert_eq!(codes(never), ["NEW", "REST"]);
    assert_eq!(codes(range_end), ["NEW"]);
    assert_eq!([flush, change, kernel], [&Found::Clean; 3]);
    let Found::Broken(list) = range_end else { panic!("{range_end:?}") };
    let client = list[0].client.as_deref().expect("a client");
    assert_eq!(client, "D0@dev(int *a) { WRITE_ONCE(*a, 21); int seen1 = READ_ONCE(*a); }");
}

/// Unmapping may wait until range_end, and until 6.5 it told twice.
#[test]
fn munmap_was_told_twice() {
    let old = asked("munmap", "v6.1", "iommu-only", "cpus=0");
    assert_eq!((old.need, old.choice), (Some(Need::RangeEnd), Choice::Twice));
    let new = asked("munmap", "v6.12", "iommu-only", "cpus=0");
    assert_eq!((new.need, new.choice), (Some(Need::RangeEnd), Choice::Right));
    assert!(new.because.contains(&"FREE"), "{:?}", new.because);
}

/// A split changes no right and no page: nobody has to be told, and since 6.6 the
/// flush tells all the same.
#[test]
fn a_split_need_not_be_told() {
    let old = asked("split", "v6.1", "iommu-only", "cpus=0");
    assert_eq!((old.need, old.choice), (Some(Need::NotAtAll), Choice::Right));
    let new = asked("split", "v6.12", "iommu-only", "cpus=0");
    assert_eq!((new.need, new.choice), (Some(Need::NotAtAll), Choice::Stricter));
}

/// A kernel that has forgotten to tell is called too weak.
#[test]
fn a_path_that_tells_nobody_is_too_weak() {
    let silent = text("cow").expect("a path").replace(
        "#include <kernel/v6.1/cow>",
        "#define ptep_clear_flush_notify ptep_clear_flush\n#include <kernel/v6.1/cow>",
    );
    let request = Request { kernel: Some("v6.1".to_owned()), ..Request::default() };
    let bound: Bound = "cpus=0,accesses=1".parse().expect("a bound");
    let cell = cell("cow", &silent, &LIBRARY, &request, &bound).expect("a path");
    assert_eq!(cell.choice, Choice::TooWeak);
    assert!(codes(&cell.found[4]).contains(&"REST"));
}

/// The gather has no room left: its pages are freed before the range ends, and
/// whoever hears of it then hears too late.
#[test]
fn a_full_batch_frees_before_the_range_ends() {
    for path in ["munmap-full", "dontneed-full"] {
        let cell = asked(path, "v6.12", "iommu-only", "cpus=0");
        assert_eq!((cell.need, cell.choice), (Some(Need::Flush), Choice::Right));
        assert_eq!(cell.because, ["FREE"]);
    }
}

/// A guest's table is filled by software, which asks for the range and not to be
/// told; what the host write-protects the guest may not write.
#[test]
fn who_fills_by_himself_asks_for_start_and_end() {
    for machine in ["kvm", "mirror-hmm"] {
        for path in ["cow", "fork", "mprotect"] {
            let cell = asked(path, "v6.12", machine, "cpus=0,messages=0");
            assert_eq!((cell.need, cell.choice), (Some(Need::Ranges), Choice::Holds), "{path}");
        }
    }
}
