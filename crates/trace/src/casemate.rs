//! Logs of casemate: where its rules and ours ask the same.
//!
//! casemate follows the entries of arm64 page tables through writes, barriers and
//! TLBIs, in hypervisors. Two of its questions are cases A and B for the TLBs of CPUs:
//!
//! - *Break before make* is case B. Between an entry that maps one page and the same
//!   entry mapping another, it is invalid, and a DSB, a TLBI that reaches it, and a DSB
//!   go by.
//! - *A table that is released or used again* is case A for a table's page: nobody may
//!   still have read a pointer to it, so the entry that had it has been cleaned so.
//!
//! Its other rules, about locks and about identifiers that two tables share, have no
//! counterpart here. A rule of this module reports nothing about a table before a root
//! register was loaded with its root, and takes any address for the one that a TLBI by
//! address names, because a log does not say where an entry's addresses begin.

use std::collections::{BTreeMap, BTreeSet};

use crate::read::RawEvent;

/// The events of a log that say something.
pub const EVENTS: [&str; 8] =
    ["mem-write", "mem-init", "mem-free", "sysreg-write", "hint", "barrier", "tlbi", "verdict"];

/// How far an entry that was made invalid is from being forgotten by every TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is invalid in memory.
    Broken,
    /// And walkers see it.
    Seen,
    /// Stage 2 was told by its own address; what was combined from it was not.
    Half,
    /// And that is done.
    HalfDone,
    /// TLBs are being told.
    Told,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Valid,
    /// Since this line.
    Broken(Phase, u64),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    root: u64,
    /// The last valid value.
    value: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Root {
    stage: u8,
    vmid: u64,
}

/// One question and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// How often it held.
    pub checks: u64,
    /// How often it did not, and the first time: line, line before, and what.
    pub violations: u64,
    /// The first.
    pub first: Option<Broken>,
}

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The line.
    pub line: u64,
    /// The line that made it so.
    pub since: Option<u64>,
    /// What.
    pub what: &'static str,
}

/// Which of the two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Break before make: case B, as R4.
    Replace,
    /// A table's page: case A, as R5.
    Table,
}

/// What was found in a log, beside what casemate found.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Case B.
    pub replace: Answer,
    /// Case A.
    pub table: Answer,
    /// The last line of the log, if it is casemate's own verdict.
    pub theirs: Option<String>,
    entries: BTreeMap<u64, Entry>,
    /// Owner of each page of a table.
    owner: BTreeMap<u64, u64>,
    roots: BTreeMap<u64, Root>,
    /// What each thread has in its stage 2 register.
    vmid: BTreeMap<u64, u64>,
    threads: BTreeSet<u64>,
}

const PAGE: u64 = 0xfff;
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
/// Where a root register has the VMID or ASID.
const VMID: u32 = 48;

impl Log {
    /// The question that casemate's verdict is about; `None` if it has none here, or
    /// nothing to complain.
    pub fn overlap(&self) -> Option<Question> {
        let theirs = self.theirs.as_deref()?;
        if theirs.starts_with("bbm") || theirs.starts_with("BBM") {
            Some(Question::Replace)
        } else if theirs.contains("unclean") || theirs.contains("double-use") {
            Some(Question::Table)
        } else {
            None
        }
    }

    /// Whether anything is wrong.
    pub fn violated(&self) -> bool {
        self.replace.violations + self.table.violations > 0
    }

    /// Whether anything was asked.
    pub fn exercised(&self) -> bool {
        self.replace.checks + self.table.checks > 0
    }

    /// A line of the log.
    pub fn see(&mut self, raw: &RawEvent<'_>) {
        let thread = u64::from(raw.thread);
        let line = raw.place;
        if raw.name != "verdict" {
            self.threads.insert(thread);
        }
        match raw.name {
            "mem-write" => {
                if let (Some(address), Some(value)) = (raw.number("address"), raw.number("value")) {
                    self.write(address, value, line);
                }
            }
            "mem-init" => {
                if let Some(address) = raw.number("address") {
                    self.entries.retain(|at, _| at & !PAGE != address & !PAGE);
                }
            }
            "mem-free" => {
                if let Some(address) = raw.number("address") {
                    self.release(address & !PAGE, line);
                }
            }
            "sysreg-write" => self.load(raw, thread),
            "hint" => self.hint(raw, line),
            "barrier" if raw.text("op") == Some("dsb") => self.barrier(raw.text("kind")),
            "tlbi" => self.tlbi(raw.text("op").unwrap_or(""), thread),
            "verdict" => self.theirs = Some(raw.body.to_string()),
            _ => {}
        }
    }

    fn load(&mut self, raw: &RawEvent<'_>, thread: u64) {
        let stage = match raw.text("sysreg") {
            Some("vttbr_el2") => 2,
            Some("ttbr0_el2") => 1,
            _ => return,
        };
        let Some(value) = raw.number("value") else { return };
        let (root, vmid) = (value & OUTPUT, value >> VMID);
        self.roots.entry(root).or_insert(Root { stage, vmid });
        self.owner.insert(root, root);
        if stage == 2 {
            self.vmid.insert(thread, vmid);
        }
    }

    fn hint(&mut self, raw: &RawEvent<'_>, line: u64) {
        let (Some(location), Some(value)) = (raw.number("location"), raw.number("value")) else {
            return;
        };
        let page = location & !PAGE;
        match raw.text("kind") {
            Some("set_owner_root") if value == 0 => self.release(page, line),
            Some("set_owner_root") => drop(self.owner.insert(page, value & !PAGE)),
            Some("release_table") => self.release(page, line),
            _ => {}
        }
    }

    fn write(&mut self, address: u64, value: u64, line: u64) {
        // A table that no hint gives to another is a root, or becomes one.
        let page = address & !PAGE;
        let root = self.owner.get(&page).copied().unwrap_or(page);
        let valid = value & 1 == 1;
        let live = self.roots.contains_key(&root);
        if valid && live {
            self.used_again(address, value & OUTPUT, line);
        }
        let Some(entry) = self.entries.get_mut(&address) else {
            if valid {
                self.entries.insert(address, Entry { root, value, state: State::Valid });
            }
            return;
        };
        let other = (entry.value ^ value) & OUTPUT != 0;
        match entry.state {
            State::Valid if !valid => entry.state = State::Broken(Phase::Broken, line),
            State::Valid => {
                if live && other {
                    self.replace.wrong(line, None, "a valid entry becomes another valid one");
                }
                entry.value = value;
            }
            State::Broken(..) if !valid => {}
            State::Broken(_, since) => {
                if live && other {
                    let what = "an entry becomes valid before TLBs have forgotten the old one";
                    self.replace.wrong(line, Some(since), what);
                }
                *entry = Entry { root, value, state: State::Valid };
            }
        }
    }

    /// An entry points to a page: if that is a table of which somebody may still hold
    /// an old pointer, it is not free yet.
    fn used_again(&mut self, address: u64, page: u64, line: u64) {
        let holder = self.entries.iter().find(|(at, entry)| {
            **at != address
                && matches!(entry.state, State::Broken(..))
                && entry.value & OUTPUT == page
                && self.roots.contains_key(&entry.root)
        });
        if let Some((_, Entry { state: State::Broken(_, since), .. })) = holder {
            let what = "a table's page is used again before TLBs have forgotten the pointer to it";
            self.table.wrong(line, Some(*since), what);
        }
    }

    fn release(&mut self, page: u64, line: u64) {
        let live = |root: &u64| self.roots.contains_key(root) && *root != page;
        let points = |entry: &Entry| live(&entry.root) && entry.value & OUTPUT == page;
        let inside = |at: &u64, entry: &Entry| {
            at & !PAGE == page && matches!(entry.state, State::Broken(..)) && live(&entry.root)
        };
        let held = self.entries.iter().find(|(at, entry)| points(entry) || inside(at, entry));
        match held {
            Some((_, Entry { state: State::Broken(_, since), .. })) => {
                let what = "a table is released before TLBs have forgotten the pointer to it";
                self.table.wrong(line, Some(*since), what);
            }
            Some(_) => self.table.wrong(line, None, "a table is released that an entry points to"),
            None => self.table.checks += 1,
        }
        self.owner.remove(&page);
        self.roots.remove(&page);
        self.entries.retain(|at, entry| at & !PAGE != page && entry.root != page);
    }

    fn barrier(&mut self, kind: Option<&str>) {
        // One that reaches other CPUs.
        let (stores, all) = match kind {
            Some("ish" | "sy" | "osh") => (true, true),
            Some("ishst" | "st" | "oshst") => (true, false),
            _ => (false, false),
        };
        let mut clean = Vec::new();
        for (address, entry) in &mut self.entries {
            let State::Broken(phase, since) = entry.state else { continue };
            let next = match phase {
                Phase::Broken if stores => Phase::Seen,
                Phase::Half if all => Phase::HalfDone,
                Phase::Told if all => {
                    clean.push(*address);
                    continue;
                }
                other => other,
            };
            entry.state = State::Broken(next, since);
        }
        for address in clean {
            self.entries.remove(&address);
            self.replace.checks += 1;
        }
    }

    fn tlbi(&mut self, op: &str, thread: u64) {
        // Without `is` only this CPU forgets, which is enough if there is no other.
        let (bare, everywhere) = match op.strip_suffix("is").or_else(|| op.strip_suffix("os")) {
            Some(bare) => (bare, true),
            None => (op, false),
        };
        if !everywhere && self.threads.len() > 1 {
            return;
        }
        let vmid = self.vmid.get(&thread).copied();
        for entry in self.entries.values_mut() {
            let State::Broken(phase, since) = entry.state else { continue };
            let Some(root) = self.roots.get(&entry.root) else { continue };
            let own = vmid == Some(root.vmid);
            let next = match (root.stage, bare, phase) {
                (2, "alle1", Phase::Seen | Phase::HalfDone) => Phase::Told,
                (2, "vmalls12e1", Phase::Seen | Phase::HalfDone) if own => Phase::Told,
                (2, "ipas2e1" | "ipas2le1", Phase::Seen) if own => Phase::Half,
                (2, "vmalle1", Phase::HalfDone) if own => Phase::Told,
                (1, "alle2" | "vae2" | "vale2", Phase::Seen) => Phase::Told,
                (_, _, other) => other,
            };
            entry.state = State::Broken(next, since);
        }
    }
}

impl Answer {
    fn wrong(&mut self, line: u64, since: Option<u64>, what: &'static str) {
        self.violations += 1;
        self.first.get_or_insert(Broken { line, since, what });
    }
}
