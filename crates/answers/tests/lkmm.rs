//! The shapes of the kernel's memory model: word and number of final states. Under
//! `sc` and `tso` two axiomatic models over the same events give them (herd7 with
//! program order and with store buffers); under `ra` they are those of the kernel's
//! own model, but for one shape that needs load buffering.

use std::path::Path;

use shootdown_answers::check::{check, read};
use shootdown_answers::judge::how_often;
use shootdown_answers::request::{MemoryModel, Request};
use shootdown_litmus::{HowOften, NoSources, Variant, read_file};

/// Whether the condition is ever fulfilled, and how many final states there are.
type Column = (bool, usize);

/// The shape, under `sc`, under `tso` and under `ra`.
#[rustfmt::skip]
const SHAPES: [(&str, Column, Column, Column); 33] = [
    ("CoRR+poonceonce+Once", (false, 3), (false, 3), (false, 3)),
    ("CoRW+poonceonce+Once", (false, 3), (false, 3), (false, 3)),
    ("CoWR+poonceonce+Once", (false, 3), (false, 3), (false, 3)),
    ("CoWW+poonceonce", (false, 1), (false, 1), (false, 1)),
    ("IRIW+fencembonceonces+OnceOnce", (false, 15), (false, 15), (false, 15)),
    ("IRIW+poonceonces+OnceOnce", (false, 15), (false, 15), (true, 16)),
    ("ISA2+pooncelock+pooncelock+pombonce", (false, 7), (false, 7), (false, 7)),
    ("ISA2+poonceonces", (false, 7), (false, 7), (true, 8)),
    ("ISA2+pooncerelease+poacquirerelease+poacquireonce", (false, 7), (false, 7), (false, 7)),
    ("LB+fencembonceonce+ctrlonceonce", (false, 2), (false, 2), (false, 2)),
    ("LB+poacquireonce+pooncerelease", (false, 3), (false, 3), (false, 3)),
    ("LB+poonceonces", (false, 3), (false, 3), (false, 3)),
    ("LB+unlocklockonceonce+poacquireonce", (false, 3), (false, 3), (false, 3)),
    ("MP+fencewmbonceonce+fencermbonceonce", (false, 3), (false, 3), (false, 3)),
    ("MP+polocks", (false, 3), (false, 3), (false, 3)),
    ("MP+poonceonces", (false, 3), (false, 3), (true, 4)),
    ("MP+pooncerelease+poacquireonce", (false, 3), (false, 3), (false, 3)),
    ("MP+porevlocks", (false, 3), (false, 3), (false, 3)),
    ("MP+unlocklockonceonce+fencermbonceonce", (false, 3), (false, 3), (false, 3)),
    ("R+fencembonceonces", (false, 3), (false, 3), (false, 3)),
    ("R+poonceonces", (false, 3), (true, 4), (true, 4)),
    ("S+fencewmbonceonce+poacquireonce", (false, 3), (false, 3), (false, 3)),
    ("S+poonceonces", (false, 3), (false, 3), (true, 4)),
    ("SB+fencembonceonces", (false, 3), (false, 3), (false, 3)),
    ("SB+poonceonces", (false, 3), (true, 4), (true, 4)),
    ("SB+rfionceonce-poonceonces", (false, 3), (true, 4), (true, 4)),
    ("WRC+poonceonces+Once", (false, 7), (false, 7), (true, 8)),
    ("WRC+pooncerelease+fencermbonceonce+Once", (false, 7), (false, 7), (false, 7)),
    ("Z6.0+pooncelock+pooncelock+pombonce", (false, 7), (false, 7), (true, 8)),
    ("Z6.0+pooncerelease+poacquirerelease+fencembonceonce", (false, 7), (false, 7), (true, 8)),
    ("dep+plain", (false, 1), (false, 1), (false, 1)),
    ("DCL-broken", (false, 4), (false, 4), (true, 6)),
    ("DCL-fixed", (false, 4), (false, 4), (false, 4)),
];

/// Grace periods, counted by hand: no axiomatic model of the first two has them.
/// What `ra` says is what the kernel's model says in the files.
#[rustfmt::skip]
const GRACE: [(&str, Column, Column, Column); 8] = [
    ("RCU+nosync+free", (true, 2), (true, 2), (true, 2)),
    ("RCU+sync+free", (false, 1), (false, 1), (false, 1)),
    ("RCU+sync+nested", (false, 3), (false, 3), (false, 3)),
    ("RCU+sync+read", (false, 3), (false, 3), (false, 3)),
    ("SB+rcuunlocks", (false, 3), (true, 4), (true, 4)),
    ("SB+synchronizercus", (false, 3), (false, 3), (false, 3)),
    ("SRCU+other+read", (true, 4), (true, 4), (true, 4)),
    ("SRCU+sync+read", (false, 3), (false, 3), (false, 3)),
];

fn column(model: MemoryModel) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus/lkmm");
    for (name, sc, store_buffers, views) in SHAPES.into_iter().chain(GRACE) {
        let (sometimes, states) = match model {
            MemoryModel::Sc => sc,
            MemoryModel::Tso => store_buffers,
            MemoryModel::Ra => views,
        };
        let path = folder.join(format!("{name}.litmus"));
        let text = read_file(&path).expect("a file of the repository");
        let request = Request { model, ..Request::default() };
        let subject = read(name, &text, &NoSources, &Variant::base(), &request)
            .unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        let checked = check(&subject, &request);
        assert_eq!(checked.block.states.len(), states, "{name}: {:?}", checked.block.states);
        let wanted = if sometimes { HowOften::Sometimes } else { HowOften::Never };
        assert_eq!(how_often(&checked), Some(wanted), "{name}");
    }
}

#[test]
fn sc_gives_the_states_of_the_axiomatic_model() {
    column(MemoryModel::Sc);
}

#[test]
fn tso_gives_the_states_of_the_axiomatic_model() {
    column(MemoryModel::Tso);
}

#[test]
fn ra_gives_the_states_of_the_kernel_model_but_for_load_buffering() {
    column(MemoryModel::Ra);
    // What the files say themselves, as the kernel's model gives it.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus/lkmm");
    let mut differs = Vec::new();
    for (name, .., (sometimes, _)) in SHAPES {
        let text = read_file(&folder.join(format!("{name}.litmus"))).expect("a file");
        let said = text.contains("Result: Sometimes");
        assert!(said || text.contains("Result: Never"), "{name} says neither");
        if said != sometimes {
            differs.push(name);
        }
    }
    assert_eq!(differs, ["LB+poonceonces"]);
}
