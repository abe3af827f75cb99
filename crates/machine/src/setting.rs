//! How a program is run: memory model, and the dials of kernel and hardware.

use std::fmt;

use shootdown_litmus::Program;
use shootdown_litmus::program::ObjectKind;
use shootdown_step::Dials;
pub use shootdown_step::{MemoryModel, Tells};

/// A dial that the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Its name in a `param` line.
    pub name: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
    /// The value if nobody says otherwise.
    pub default: &'static str,
    /// One line of help.
    pub help: &'static str,
}

const YES_NO: &[&str] = &["yes", "no"];

/// All dials.
pub const DIALS: [Dial; 12] = [
    Dial {
        name: "cpu_flush_notifies",
        values: YES_NO,
        default: "no",
        help: "a CPU flush tells the secondary TLBs (since 6.6)",
    },
    Dial {
        name: "range_end_invalidates",
        values: YES_NO,
        default: "yes",
        help: "range_end tells the secondary TLBs (until 6.5)",
    },
    Dial {
        name: "tells",
        values: &["kernel", "calls", "never", "range_end", "flush", "change"],
        default: "kernel",
        help: "when the secondary TLBs are told: as the path says, or so without any flush, never, at range_end, with CPU flushes, behind each change under the lock",
    },
    Dial {
        name: "perm_miss_rewalk",
        values: YES_NO,
        default: "yes",
        help: "an entry that does not grant an access is looked up again before a fault",
    },
    Dial {
        name: "cache_nonpresent",
        values: YES_NO,
        default: "no",
        help: "absent translations are cached",
    },
    Dial {
        name: "fault_invalidates",
        values: YES_NO,
        default: "no",
        help: "a fault drops the entries of its page",
    },
    Dial {
        name: "drain",
        values: &["yes", "no", "repeat"],
        default: "yes",
        help: "a completed invalidation means that earlier translated accesses were performed; with repeat only the second one does",
    },
    Dial {
        name: "hw_dirty",
        values: &["no", "yes", "eager", "lazy"],
        default: "no",
        help: "a translated write sets the entry's dirty bit: in the same step, ahead of the write (IOTLBs), or through the cached entry until it is invalidated",
    },
    Dial {
        name: "empty_range",
        values: &["nothing", "all"],
        default: "nothing",
        help: "what an invalidation means whose end is not behind its start",
    },
    Dial {
        name: "failed_start_ends",
        values: YES_NO,
        default: "yes",
        help: "when a subscriber refuses range_start, range_end is called all the same (since 5.12)",
    },
    Dial {
        name: "flush_by_ipi",
        values: YES_NO,
        default: "no",
        help: "a CPU flush is an interrupt and waits for CPUs that have them off (x86)",
    },
    Dial {
        name: "cpu_order",
        values: &["tso", "weak"],
        default: "tso",
        help: "how CPUs order their accesses; where it is weak (arm64, riscv) nothing is clean under sc or tso, and ra answers",
    },
];

/// Whether accesses that were translated earlier are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Drain {
    /// By every invalidation that completes.
    #[default]
    Yes,
    /// By none.
    No,
    /// By the second one: the first that comes after the translation completes
    /// too early.
    Repeat,
}

/// Who sets the dirty bit of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum HwDirty {
    /// Software.
    #[default]
    No,
    /// The walker, in the step of the write: an entry that is cached as not
    /// dirty answers no write, it is looked up again.
    Yes,
    /// So does it, and an IOTLB may do it ahead of any write.
    Eager,
    /// A cached entry answers the write, and the bit is written later; at the
    /// latest when an invalidation of the entry completes.
    Lazy,
}

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Setting {
    /// In which orders agents may see what others wrote.
    pub model: MemoryModel,
    /// A CPU flush tells the secondary TLBs.
    pub cpu_flush_notifies: bool,
    /// `range_end` tells them.
    pub range_end_invalidates: bool,
    /// When the secondary TLBs are told.
    pub tells: Tells,
    /// An entry that does not grant an access is looked up again.
    pub perm_miss_rewalk: bool,
    /// Absent translations are cached.
    pub cache_nonpresent: bool,
    /// A fault drops the entries of its page.
    pub fault_invalidates: bool,
    /// A completed invalidation waits for translated accesses.
    pub drain: Drain,
    /// Who sets the dirty bit of an entry.
    pub hw_dirty: HwDirty,
    /// An invalidation whose end is not behind its start is one of everything.
    pub empty_range_is_all: bool,
    /// When a subscriber refuses a range its end is called all the same.
    pub failed_start_ends: bool,
    /// A CPU flush is sent as an interrupt.
    pub flush_by_ipi: bool,
    /// CPUs order less than `tso` does.
    pub weak_cpus: bool,
    /// Registers that nobody reads any more are kept: a reduction is off.
    pub keep_dead: bool,
}

/// A `param` line that no machine understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDial {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Display for UnknownDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DIALS.iter().find(|dial| dial.name == self.name) {
            Some(dial) => {
                write!(
                    f,
                    "`{}` cannot be `{}`; it is {}",
                    self.name,
                    self.value,
                    dial.values.join(" or ")
                )
            }
            None => {
                let names: Vec<&str> = DIALS.iter().map(|dial| dial.name).collect();
                write!(
                    f,
                    "the machine has no parameter `{}`; it has {}",
                    self.name,
                    names.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for UnknownDial {}

impl Setting {
    /// The setting that a program asks for, changed by `overrides`.
    ///
    /// # Errors
    ///
    /// A parameter that the machine does not have, or a value that it cannot
    /// take.
    pub fn of(
        program: &Program,
        model: MemoryModel,
        overrides: &[(String, String)],
    ) -> Result<Setting, UnknownDial> {
        let mut setting = Setting { model, ..Setting::default() };
        for dial in &DIALS {
            setting.turn(dial.name, dial.default);
        }
        let own =
            program.params.iter().map(|param| (param.name.to_string(), param.value.to_string()));
        for (name, value) in own.chain(overrides.iter().cloned()) {
            // What is true of one queue or TLB is named after it.
            let object = program.objects.iter().find(|object| *object.name == *name);
            let own = object.is_some_and(|object| match object.kind {
                ObjectKind::Queue { .. } => matches!(&*value, "in_order" | "any_order"),
                ObjectKind::Tlb { .. } => matches!(&*value, "obeys" | "ignores"),
                _ => false,
            });
            if own {
                continue;
            }
            let dial =
                DIALS.iter().find(|dial| dial.name == name && dial.values.contains(&&*value));
            match dial {
                Some(dial) => setting.turn(dial.name, &value),
                None => return Err(UnknownDial { name, value }),
            }
        }
        Ok(setting)
    }

    fn turn(&mut self, name: &str, value: &str) {
        let on = value == "yes";
        match name {
            "cpu_flush_notifies" => self.cpu_flush_notifies = on,
            "range_end_invalidates" => self.range_end_invalidates = on,
            "tells" => {
                self.tells = match value {
                    "calls" => Tells::Calls,
                    "never" => Tells::Never,
                    "range_end" => Tells::RangeEnd,
                    "flush" => Tells::Flush,
                    "change" => Tells::Change,
                    _ => Tells::Kernel,
                }
            }
            "perm_miss_rewalk" => self.perm_miss_rewalk = on,
            "cache_nonpresent" => self.cache_nonpresent = on,
            "fault_invalidates" => self.fault_invalidates = on,
            "drain" => {
                self.drain = match value {
                    "no" => Drain::No,
                    "repeat" => Drain::Repeat,
                    _ => Drain::Yes,
                }
            }
            "hw_dirty" => {
                self.hw_dirty = match value {
                    "yes" => HwDirty::Yes,
                    "eager" => HwDirty::Eager,
                    "lazy" => HwDirty::Lazy,
                    _ => HwDirty::No,
                }
            }
            "empty_range" => self.empty_range_is_all = value == "all",
            "flush_by_ipi" => self.flush_by_ipi = on,
            "failed_start_ends" => self.failed_start_ends = on,
            "cpu_order" => self.weak_cpus = value == "weak",
            _ => unreachable!("every dial is listed"),
        }
    }

    /// Every dial with its value.
    pub fn params(&self) -> Vec<(&'static str, &'static str)> {
        let word = |on| if on { "yes" } else { "no" };
        let value = |name| match name {
            "cpu_flush_notifies" => word(self.cpu_flush_notifies),
            "range_end_invalidates" => word(self.range_end_invalidates),
            "tells" => match self.tells {
                Tells::Kernel => "kernel",
                Tells::Calls => "calls",
                Tells::Never => "never",
                Tells::RangeEnd => "range_end",
                Tells::Flush => "flush",
                Tells::Change => "change",
            },
            "perm_miss_rewalk" => word(self.perm_miss_rewalk),
            "cache_nonpresent" => word(self.cache_nonpresent),
            "fault_invalidates" => word(self.fault_invalidates),
            "flush_by_ipi" => word(self.flush_by_ipi),
            "failed_start_ends" => word(self.failed_start_ends),
            "cpu_order" => {
                if self.weak_cpus {
                    "weak"
                } else {
                    "tso"
                }
            }
            "drain" => match self.drain {
                Drain::Yes => "yes",
                Drain::No => "no",
                Drain::Repeat => "repeat",
            },
            "hw_dirty" => match self.hw_dirty {
                HwDirty::No => "no",
                HwDirty::Yes => "yes",
                HwDirty::Eager => "eager",
                HwDirty::Lazy => "lazy",
            },
            "empty_range" => {
                if self.empty_range_is_all {
                    "all"
                } else {
                    "nothing"
                }
            }
            _ => unreachable!("every dial is listed"),
        };
        DIALS.iter().map(|dial| (dial.name, value(dial.name))).collect()
    }

    /// Whether the machine has runs that its model lacks, so that what was not
    /// found may be there. What was found is: see `docs/semantics.md`, section 5.
    pub fn is_too_strong(&self) -> bool {
        self.weak_cpus && self.model != MemoryModel::Ra
    }

    /// What lowering has to know of it.
    pub fn dials(&self) -> Dials {
        Dials {
            model: self.model,
            cpu_flush_notifies: self.cpu_flush_notifies,
            range_end_invalidates: self.range_end_invalidates,
            tells: self.tells,
            flush_by_ipi: self.flush_by_ipi,
            failed_start_ends: self.failed_start_ends,
        }
    }
}
