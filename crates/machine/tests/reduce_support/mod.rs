//! Runs a test of a litmus file with and without reductions; and a family of
//! tests that grows.

#![allow(unreachable_pub, dead_code)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use shootdown_explore::{Limits, Options, Outcome, Reductions};
use shootdown_litmus as litmus;
use shootdown_machine::ideal::Ideal;
use shootdown_machine::machine::Machine;
use shootdown_machine::mmu::Mmu;
use shootdown_machine::model::{self, Found};
use shootdown_machine::outcome;
use shootdown_machine::reduce::Kind;
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_machine::world::World;
use shootdown_step::{Lowered, Target, lower};

pub const NONE: Reductions = Reductions::NONE;
pub const ALL: Reductions = Reductions::ALL;
pub const MODES: [(&str, Reductions); 3] = [
    ("fusion", Reductions { fuse: true, symmetry: false }),
    ("symmetry", Reductions { fuse: false, symmetry: true }),
    ("both", ALL),
];

/// A variant of a file, ready to be run.
pub struct Test {
    pub name: String,
    pub setting: Setting,
    /// Whether traps are looked for: that takes as long again, or longer.
    pub trapped: bool,
    pub program: litmus::Program,
    pub machine: Lowered,
    pub ideal: Lowered,
}

/// Ends, broken properties, whether there are deadlocks and traps.
pub type What = (BTreeSet<Vec<i64>>, BTreeSet<u32>, bool, bool);

/// What the machine and ideal memory come to.
pub struct Answer {
    pub what: (What, What),
    pub states: u64,
    pub ideal_states: u64,
    /// There was a word that only counts, to the end of the search.
    pub renumbers: bool,
    pub found: Found,
}

/// The variants of a file that can be run.
pub fn tests_of(path: &Path, model: MemoryModel, keep_dead: bool) -> Vec<Test> {
    let text = litmus::read_file(path).expect("it can be read");
    let name = path.file_stem().unwrap().to_str().unwrap();
    tests_of_text(name, &text, model, keep_dead)
}

/// The same for a text.
pub fn tests_of_text(file: &str, text: &str, model: MemoryModel, keep_dead: bool) -> Vec<Test> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../litmus");
    let source = litmus::Directories(vec![root]);
    let variants = match litmus::variants(file, text, &source) {
        Ok(variants) => variants.listed,
        Err(why) => panic!("{file}: {why}"),
    };
    let mut tests = Vec::new();
    for variant in variants {
        let dead = if keep_dead { " keeping the dead" } else { "" };
        let name = format!("{file} {variant} {model}{dead}");
        let program = match litmus::check_source(file, text, &source, &variant) {
            Ok(program) => program,
            Err(why) => {
                println!("{name}: skipped, {why}");
                continue;
            }
        };
        let setting =
            Setting { keep_dead, ..Setting::of(&program, model, &[]).expect("its own dials") };
        let both =
            [Target::Machine, Target::Ideal].map(|target| lower(&program, target, setting.dials()));
        match both {
            [Ok(machine), Ok(ideal)] => {
                tests.push(Test { name, setting, trapped: true, program, machine, ideal })
            }
            [machine, ideal] => {
                let why = machine.err().or(ideal.err()).expect("one of them");
                println!("{name}: skipped, {}", why.why);
            }
        }
    }
    tests
}

fn options(reductions: Reductions, most: u64, trapped: bool) -> Options {
    Options {
        reductions,
        trapped,
        limits: Limits { states: most, ..Limits::default() },
        ..Options::default()
    }
}

fn what(found: &Found) -> What {
    (
        found.ends.clone(),
        found.violations.iter().map(|(property, _)| *property).collect(),
        found.deadlock.is_some(),
        found.trapped.is_some(),
    )
}

fn make<M: Mmu>(
    lowered: &Lowered,
    target: Target,
    setting: Setting,
    mmu: M,
    blind: &[Kind],
) -> Machine<M> {
    let (world, slots) = World::new(lowered.clone(), target, setting);
    Machine::new(world, slots, mmu).looking_away(blind)
}

/// What a test comes to; nothing if it takes too many states.
pub fn answer(test: &Test, reductions: Reductions, most: u64, blind: &[Kind]) -> Option<Answer> {
    let list = outcome::compared(&test.machine, &test.ideal);
    let shown = outcome::shown(&test.program, &test.machine);
    let options = options(reductions, most, test.trapped);
    let ideal = make(&test.ideal, Target::Ideal, test.setting, Ideal::default(), blind);
    let legal =
        model::search(&ideal, &options, &|_| 0, &|state| outcome::comparable(&ideal, state, &list));
    let mut machine = make(&test.machine, Target::Machine, test.setting, Sets::default(), blind);
    if reductions != NONE {
        let words = list.iter().chain(&shown).filter_map(|what| match what {
            outcome::Observable::Word(word) => Some(*word),
            _ => None,
        });
        machine = machine.renumbering(&words.collect());
    }
    let ends = |state: &_| match test.ideal.refusal {
        Some(_) => 0,
        None => {
            u64::from(!legal.ends.contains(&outcome::comparable(&machine, state, &list)))
                << model::OUTCOME
        }
    };
    let found = model::search(&machine, &options, &ends, &|state| {
        let both = list.iter().chain(&shown);
        both.map(|place| outcome::observe(&machine, state, *place)).collect()
    });
    let complete = [&legal.outcome, &found.outcome].iter().all(|o| matches!(o, Outcome::Complete));
    complete.then(|| Answer {
        what: (what(&found), what(&legal)),
        states: found.states,
        ideal_states: legal.states,
        renumbers: machine.renumbers(),
        found,
    })
}

/// States of the machine with all reductions, and steps between them; with
/// `in_full` nothing is known ahead of which steps meet.
pub fn counted(test: &Test, most: u64, in_full: bool) -> Option<(u64, u64)> {
    let (world, slots) = World::new(test.machine.clone(), Target::Machine, test.setting);
    let mut machine = Machine::new(world, slots, Sets::default());
    if in_full {
        machine = machine.looking_in_full();
    }
    let found = model::search(&machine, &options(ALL, most, false), &|_| 0, &|_| Vec::new());
    matches!(found.outcome, Outcome::Complete).then_some((found.states, found.transitions))
}

/// The text for a number of pages and of threads of the device.
pub fn family(pages: usize, devices: usize, late: bool) -> String {
    let names: Vec<String> = (0..pages).map(|page| format!("p{page}")).collect();
    let mut text = String::from(
        "// SPDX-License-Identifier: MIT OR Apache-2.0\n// shootdown-litmus 1\nC family\n\n\
         tlb U <- mm;\ndevice dev : U, pasid 1, order waits;\n\n\
         static void tell(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start, unsigned long end)\n\
         {\n    tlb_flush(U, start, end);\n}\n\
         static const struct mmu_notifier_ops ops = { .invalidate_range = tell };\nsubscribe mm : ops;\n\n\
         __implements(nop)\nstatic vm_fault_t request(struct vm_fault *vmf)\n{\n    \
         pte_t *pte = pte_offset_map(vmf->address);\n\n    while (pte_none(ptep_get(pte)))\n        ;\n    return 0;\n}\nfault dev = request;\n\n{\n",
    );
    for name in &names {
        writeln!(text, "    map {name} -> F{name} {{0}} : ro anon excl;").unwrap();
    }
    write!(text, "    ptl shared {};\n}}\n\n", names.join(", ")).unwrap();
    let tell = "    mmu_notifier_invalidate_range(va);\n";
    let (under, after) = if late { ("", tell) } else { (tell, "") };
    write!(
        text,
        "__implements(nop)\nstatic void copy(unsigned long va, struct page *new)\n{{\n    \
         spinlock_t *ptl;\n    pte_t *pte;\n\n    mmu_notifier_invalidate_range_start(va);\n    \
         pte = pte_offset_map_lock(va, &ptl);\n    ptep_clear_flush(pte);\n{under}    set_pte_at(pte, mk_pte(new, RW));\n    \
         pte_unmap_unlock(pte, ptl);\n{after}    mmu_notifier_invalidate_range_only_end(va);\n}}\n\n\
         __implements(nop)\nstatic void copied(unsigned long va)\n{{\n    pte_t *pte = pte_offset_map(va);\n\n    \
         while (!pte_write(ptep_get(pte)))\n        ;\n}}\n\n",
    )
    .unwrap();
    for (page, name) in names.iter().enumerate() {
        writeln!(
            text,
            "P{page}(int *{name}) {{ struct page *new = alloc_zeroed_page(); copy({name}, new); }}"
        )
        .unwrap();
    }
    let parameters = |names: &[String]| {
        names.iter().map(|name| format!("int *{name}")).collect::<Vec<_>>().join(", ")
    };
    let writes: Vec<String> =
        names.iter().map(|name| format!("copied({name}); WRITE_ONCE(*{name}, 1);")).collect();
    writeln!(text, "P{pages}({}) {{ {} }}", parameters(&names), writes.join(" ")).unwrap();
    let reads: Vec<String> = names
        .iter()
        .enumerate()
        .rev()
        .map(|(at, name)| format!("int r{at} = READ_ONCE(*{name});"))
        .collect();
    for device in 0..devices {
        writeln!(text, "D{device}@dev({}) {{ {} }}", parameters(&names), reads.join(" ")).unwrap();
    }
    writeln!(text, "\nexists (D0:r0=0 /\\ D0:r{}=1)", pages - 1).unwrap();
    text
}
