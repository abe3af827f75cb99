//! Logs of casemate, in both forms that its manual describes.

use shootdown_trace::read::{Format, Item, Reader, Wanted};

/// Every event as `line id thread name: body`.
fn shown(log: &'static str) -> Result<Vec<String>, String> {
    let mut reader = Reader::new("log", log.as_bytes(), &Wanted::everything())
        .map_err(|error| error.to_string())?;
    assert_eq!(reader.source().format, Format::Casemate);
    let mut events = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(Item::Event(event))) => events.push(format!(
                "{} {} {} {}: {}",
                event.place, event.time, event.thread, event.name, event.body
            )),
            Ok(Some(Item::Lost(lost))) => panic!("lost: {lost:?}"),
            Ok(None) => return Ok(events),
            Err(error) => return Err(format!("{events:?} {error}")),
        }
    }
}

#[test]
fn with_names_and_without() {
    let expected = [
        "mem-init: address=0x1000 size=0x1000 src=a b.c:1",
        "hint: kind=set_root_lock location=0x1000 value=0x2000",
        "lock: address=0x2000",
        "mem-write: mem-order=release address=0x1000 value=0x403",
        "sysreg-write: sysreg=vttbr_el2 value=0x1000",
        "barrier: op=dsb kind=ish",
        "barrier: op=isb",
        "tlbi: op=vae2is value=0x11",
        "tlbi: op=vmalls12e1",
        "unlock: address=0x2000",
    ];
    let named = "(mem-init (id 1) (tid 0) (address 0x1000) (size 1000) (src \"a b.c:1\"))\n\
        (hint (id 2) (thread 0) (kind set_root_lock) (location 0x1000) (value 2000))\n\
        (lock (id 3) (tid 0)\n  (address 0x2000))\n\n\
        (mem-write (id 4) (tid 0) (mem-order RELEASE) (address 1000) (value 0x403))\n\
        (sysreg-write (id 5) (tid 0) (sysreg vttbr_el2) (value 1000))\n\
        (barrier (id 6) (tid 0) dsb (kind ish))\n(barrier (id 7) (tid 0) isb)\n\
        (tlbi (id 8) (tid 0) vae2is (value 0x11))\n(tlbi (id 9) (tid 0) vmalls12e1)\n\
        (unlock (id 10) (tid 0) (address 2000))\n";
    let lines = [1, 2, 3, 6, 7, 8, 9, 10, 11, 12];
    let all = |lines: &[usize]| -> Vec<String> {
        let rows = expected.iter().zip(lines).enumerate();
        rows.map(|(at, (event, line))| format!("{line} {} 0 {event}", at + 1)).collect()
    };
    assert_eq!(shown(named).expect("a log"), all(&lines));
    let positional = "(mem-init 1 0 \"a b.c:1\" 1000 1000)\n(hint 2 0 SET_ROOT_LOCK 1000 2000)\n\
        (lock 3 0 2000)\n(mem-write 4 0 release 1000 403)\n(sysreg-write 5 0 VTTBR_EL2 1000)\n\
        (barrier 6 0 DSB ISH)\n(barrier 7 0 ISB)\n(tlbi 8 0 VAE2IS 11)\n(tlbi 9 0 VMALLS12E1)\n\
        (unlock 10 0 2000)\n";
    let mut found = shown(positional).expect("a log");
    // The source is where it is written: in front.
    found[0] = "1 1 0 mem-init: address=0x1000 size=0x1000 src=a b.c:1".to_owned();
    assert_eq!(found, all(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
}

#[test]
fn the_verdict_of_its_own_checker() {
    let log = "(lock (id 3) (tid 0) (address 0x2000))\n! must hold the lock\n";
    assert_eq!(
        shown(log).expect("a log"),
        ["1 3 0 lock: address=0x2000", "2 3 0 verdict: must hold the lock"]
    );
}

#[test]
fn logs_that_are_damaged() {
    for (log, expected) in [
        (
            "(lock (id 3) (tid 0) (address 0x2000))\n(lock (id 2) (tid 0) (address 0x1))\n",
            "log:2: time goes back",
        ),
        (
            "(lock (id 3) (tid 0) (address 0x2000))\n(lock (id 4) (tid 0)",
            "log:2: ends in the middle of a line",
        ),
        (
            "(lock (id 3) (tid 0) (address 0x2000))\n(lock (id 4) (tid 0)\n",
            "log:2: ends in the middle of a record",
        ),
        ("(lock (id 3) (tid 0) (address 0xfffff000000000000))\n", "is no hexadecimal number"),
        ("(lock (id 3) (tid 0) (address zz))\n", "is no hexadecimal number"),
        ("(lock (tid 0) (address 0x2000))\n", "no id or no thread"),
        ("(unheard-of (id 1) (tid 0))\n", "no transition of this name"),
        ("(lock 1 0 1000 2000)\n", "too many fields"),
        ("(lock (id 1) (tid 0) (address 0x2000)))\n", "log:1: "),
        ("(lock (id 1) (tid 0)) lock\n", "log:1: "),
    ] {
        let error = shown(log).expect_err(log);
        assert!(error.contains(expected), "{log}: {error}");
        // What was before is delivered.
        assert_eq!(
            error.contains("1 3 0 lock: address=0x2000"),
            log.contains("0x2000))\n("),
            "{error}"
        );
    }
}
