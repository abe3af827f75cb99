//! How a program is run: memory model, and the dials of kernel and hardware.

use std::fmt;

use shootdown_litmus::Program;
use shootdown_step::Dials;
pub use shootdown_step::MemoryModel;

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
pub const DIALS: [Dial; 8] = [
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
        values: YES_NO,
        default: "yes",
        help: "a completed invalidation means that earlier translated accesses were performed",
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
];

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Setting {
    /// In which orders agents may see what others wrote.
    pub model: MemoryModel,
    /// A CPU flush tells the secondary TLBs.
    pub cpu_flush_notifies: bool,
    /// `range_end` tells them.
    pub range_end_invalidates: bool,
    /// An entry that does not grant an access is looked up again.
    pub perm_miss_rewalk: bool,
    /// Absent translations are cached.
    pub cache_nonpresent: bool,
    /// A fault drops the entries of its page.
    pub fault_invalidates: bool,
    /// A completed invalidation waits for translated accesses.
    pub drain: bool,
    /// When a subscriber refuses a range its end is called all the same.
    pub failed_start_ends: bool,
    /// A CPU flush is sent as an interrupt.
    pub flush_by_ipi: bool,
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
            setting.turn(dial.name, dial.default == "yes");
        }
        let own =
            program.params.iter().map(|param| (param.name.to_string(), param.value.to_string()));
        for (name, value) in own.chain(overrides.iter().cloned()) {
            // The order of a queue is named after the queue.
            let queue = program.objects.iter().any(|object| *object.name == *name);
            if queue && matches!(&*value, "in_order" | "any_order") {
                continue;
            }
            let dial =
                DIALS.iter().find(|dial| dial.name == name && dial.values.contains(&&*value));
            match dial {
                Some(dial) => setting.turn(dial.name, value == "yes"),
                None => return Err(UnknownDial { name, value }),
            }
        }
        Ok(setting)
    }

    fn turn(&mut self, name: &str, on: bool) {
        match name {
            "cpu_flush_notifies" => self.cpu_flush_notifies = on,
            "range_end_invalidates" => self.range_end_invalidates = on,
            "perm_miss_rewalk" => self.perm_miss_rewalk = on,
            "cache_nonpresent" => self.cache_nonpresent = on,
            "fault_invalidates" => self.fault_invalidates = on,
            "drain" => self.drain = on,
            "flush_by_ipi" => self.flush_by_ipi = on,
            "failed_start_ends" => self.failed_start_ends = on,
            _ => unreachable!("every dial is listed"),
        }
    }

    /// Every dial with its value.
    pub fn params(&self) -> Vec<(&'static str, &'static str)> {
        let on = |name| match name {
            "cpu_flush_notifies" => self.cpu_flush_notifies,
            "range_end_invalidates" => self.range_end_invalidates,
            "perm_miss_rewalk" => self.perm_miss_rewalk,
            "cache_nonpresent" => self.cache_nonpresent,
            "fault_invalidates" => self.fault_invalidates,
            "flush_by_ipi" => self.flush_by_ipi,
            "failed_start_ends" => self.failed_start_ends,
            _ => self.drain,
        };
        DIALS.iter().map(|dial| (dial.name, if on(dial.name) { "yes" } else { "no" })).collect()
    }

    /// What lowering has to know of it.
    pub fn dials(&self) -> Dials {
        Dials {
            model: self.model,
            cpu_flush_notifies: self.cpu_flush_notifies,
            range_end_invalidates: self.range_end_invalidates,
            flush_by_ipi: self.flush_by_ipi,
            failed_start_ends: self.failed_start_ends,
        }
    }
}
