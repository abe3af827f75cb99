//! Which probe means what, and in which kernels.
//!
//! Functions come and go, and so do their arguments. What is known of each kernel
//! stands in one table; recognising a probe, printing its definition and saying what
//! is missing all read it.

mod table;

use mmu_protocol::Profile;

use crate::event::Tag;
use table::{V6_1, V6_12};

/// Kernels in which the same probes mean the same.
#[derive(Debug)]
pub struct Era {
    /// The tag whose source was read.
    pub read: &'static str,
    /// The first version, major and minor.
    pub first: (u32, u32),
    /// The last version, if it ended.
    pub last: Option<(u32, u32)>,
    /// Recorded and compared, beside the tag that was read.
    pub recorded: &'static [&'static str],
    /// Who tells the secondary TLBs.
    pub profile: Profile,
    /// What can be recorded.
    pub probes: &'static [Probe],
}

/// One probe or tracepoint.
#[derive(Debug)]
pub struct Probe {
    /// The name of its events.
    pub name: &'static str,
    /// Another name in recordings that were not made with our definitions. Taken only
    /// together with the function, where the recording names that.
    pub also: &'static str,
    /// How it is set.
    pub how: How,
    /// What it means.
    pub means: Means,
    /// What it is for.
    pub need: Need,
}

/// How a probe is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// At the entry of a function, with these arguments; in bpftrace's words.
    Entry {
        /// The function.
        function: &'static str,
        /// Arguments of a kprobe event.
        arguments: &'static str,
        /// The same for bpftrace.
        bpftrace: &'static str,
    },
    /// At its return.
    Return {
        /// The function.
        function: &'static str,
        /// Arguments of a kretprobe event.
        arguments: &'static str,
        /// The same for bpftrace.
        bpftrace: &'static str,
    },
    /// A tracepoint of the kernel.
    Tracepoint {
        /// Its group.
        system: &'static str,
        /// The fields that bpftrace prints.
        bpftrace: &'static str,
    },
    /// Printed by a driver or a program.
    Printed,
}

/// Who asks for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Needed for most rules.
    Basic,
    /// Page table entries: case B and case A with addresses.
    Entries,
    /// A hypervisor's tables.
    Hypervisor,
    /// A device's own log.
    Device,
    /// Makes something certain that is open without it.
    Certainty,
}

impl Need {
    /// In one line.
    pub const fn what(self) -> &'static str {
        match self {
            Need::Basic => "ranges, invalidations and frees",
            Need::Entries => "page table entries",
            Need::Hypervisor => "a hypervisor's tables",
            Need::Device => "a device's own log",
            Need::Certainty => "which makes certain what is open without it",
        }
    }
}

/// What an event means: which [`Kind`](crate::event::Kind) is made of which fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// `mm`
    Register,
    /// `mm`
    Release,
    /// `mm start end flags event`
    Start,
    /// `ret`
    StartReturned,
    /// `mm start end only_end`
    End,
    /// `mm start end`
    Invalidate,
    /// nothing
    InvalidateReturned,
    /// `mm addr pte`
    ClearPte,
    /// `mm addr pmd`
    ClearPmd,
    /// `mm start end`
    Flush,
    /// `page mm addr`
    MapNew,
    /// `page mm nr`
    Unmapped,
    /// `page mm`: 2 MiB
    UnmappedHuge,
    /// `page pfn order`
    Free,
    /// `page pfn order`, for a page that [`Means::Free`] names too
    FreeAgain,
    /// `page pfn order`
    Alloc,
    /// `gfn level as_id old_spte new_spte`
    Shadow,
    /// nothing
    ShadowTold,
    /// nothing
    GuestFault,
    /// nothing
    UserFault,
    /// nothing
    Scan,
    /// `gpa size hva`
    Slot,
    /// `va pfn`
    DeviceFill,
    /// `va pfn`
    DeviceUse,
    /// `va pfn`
    DeviceDrop,
    /// a trace marker of the workload
    Marker,
}

impl Means {
    /// The kind of event that it makes.
    pub const fn tag(self) -> Tag {
        match self {
            Means::Register => Tag::Register,
            Means::Release => Tag::Release,
            Means::Start => Tag::Start,
            Means::StartReturned => Tag::StartReturned,
            Means::End => Tag::End,
            Means::Invalidate => Tag::Invalidate,
            Means::InvalidateReturned => Tag::InvalidateReturned,
            Means::ClearPte | Means::ClearPmd => Tag::Clear,
            Means::Flush => Tag::Flush,
            Means::MapNew => Tag::MapNew,
            Means::Unmapped | Means::UnmappedHuge => Tag::Unmapped,
            Means::Free | Means::FreeAgain => Tag::Free,
            Means::Alloc => Tag::Alloc,
            Means::Shadow => Tag::Shadow,
            Means::ShadowTold => Tag::ShadowTold,
            Means::GuestFault | Means::UserFault | Means::Scan | Means::Marker => Tag::Outside,
            Means::Slot => Tag::Slot,
            Means::DeviceFill => Tag::DeviceFill,
            Means::DeviceUse => Tag::DeviceUse,
            Means::DeviceDrop => Tag::DeviceDrop,
        }
    }
}

/// The eras, oldest first.
pub static ERAS: [Era; 2] = [
    Era {
        read: "v6.1.192",
        // `only_end` is an argument since then.
        first: (5, 0),
        last: Some((6, 5)),
        recorded: &["6.1.192"],
        profile: Profile::V6_1,
        probes: &V6_1,
    },
    Era {
        read: "v6.12.117",
        first: (6, 6),
        last: None,
        recorded: &["6.12.107", "7.2.13"],
        profile: Profile::V6_12,
        probes: &V6_12,
    },
];

/// Which kernel a recording is of, and how that is known.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The era.
    pub era: &'static Era,
    /// How it is known.
    pub by: By,
}

/// How the era is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Somebody said so.
    Asked,
    /// The recording names its kernel.
    Release,
    /// A function that only these kernels have.
    Function(&'static str),
    /// An argument that only these kernels have.
    Field(&'static str),
}

/// The era of a version such as `6.12`, `v6.1.192` or `6.12.107+deb13-amd64`.
///
/// # Errors
///
/// Says why there is none.
pub fn of_version(text: &str) -> Result<&'static Era, String> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let mut numbers = bare.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(format!("`{text}` is no kernel version; write 6.12 or v6.1.192"));
    };
    let version = (major, minor);
    ERAS.iter()
        .find(|era| era.first <= version && era.last.is_none_or(|last| version <= last))
        .ok_or_else(|| {
            let (major, minor) = ERAS[0].first;
            format!("nothing is known of kernels before {major}.{minor}; this is {text}")
        })
}

impl Era {
    /// Whether this version is one of those that were read or recorded; of others of
    /// the era it is taken that they are alike.
    pub fn is_read(&self, version: &str) -> bool {
        let bare = version.strip_prefix('v').unwrap_or(version);
        let branch = |full: &str| {
            let mut parts = full.trim_start_matches('v').splitn(3, '.');
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        };
        let minor = |(major, minor): (String, String)| {
            let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
            (major, digits)
        };
        let asked = branch(bare).map(minor);
        std::iter::once(&self.read)
            .chain(self.recorded)
            .any(|known| branch(known).map(minor) == asked)
    }

    /// Up to which kernel, for messages.
    pub fn span(&self) -> String {
        let (major, minor) = self.first;
        match self.last {
            None => format!("{major}.{minor} and later"),
            Some((to, until)) => format!("{major}.{minor} to {to}.{until}"),
        }
    }
}

/// The probes of every era: a name may mean the same in several.
pub fn all_probes() -> impl Iterator<Item = (&'static Era, &'static Probe)> {
    ERAS.iter().flat_map(|era| era.probes.iter().map(move |probe| (era, probe)))
}

/// The names of the probes that record this kind of event, for saying what is missing.
pub fn recorded_by(tag: Tag, known: Option<&Era>) -> String {
    let era = known.unwrap_or(&ERAS[ERAS.len() - 1]);
    let mut names: Vec<String> = Vec::new();
    for probe in era.probes.iter().filter(|probe| probe.means.tag() == tag) {
        let name = match probe.how {
            How::Entry { function, .. } => format!("a probe on {function}"),
            How::Return { function, .. } => format!("a return probe on {function}"),
            How::Tracepoint { system, .. } => format!("the tracepoint {system}:{}", probe.name),
            How::Printed => format!("a printed line `{} ...`", probe.name),
        };
        names.push(name);
    }
    names.truncate(1);
    names.pop().unwrap_or_default()
}

/// Only this kind of probe is asked for in a driver.
pub const fn of_a_driver(probe: &Probe) -> bool {
    matches!(probe.need, Need::Device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_eras() {
        let read = |text| of_version(text).map(|era| era.read);
        assert_eq!(read("6.1"), Ok("v6.1.192"));
        assert_eq!(read("v6.5.3"), Ok("v6.1.192"));
        assert_eq!(read("6.6"), Ok("v6.12.117"));
        assert_eq!(read("6.12.107+deb13-amd64"), Ok("v6.12.117"));
        assert_eq!(read("7.2.13"), Ok("v6.12.117"));
        assert!(of_version("4.14").unwrap_err().contains("before 5.0"));
        assert!(of_version("new").unwrap_err().contains("no kernel version"));
        assert!(of_version("").is_err());
    }

    #[test]
    fn what_was_read_is_told_from_what_is_taken_to_be_alike() {
        let [old, new] = &ERAS;
        assert!(old.is_read("v6.1.9") && !old.is_read("6.5"));
        assert!(new.is_read("6.12.107+deb13-amd64") && new.is_read("7.2-rc1"));
        assert!(!new.is_read("6.6"));
    }

    #[test]
    fn eras_follow_each_other() {
        let [old, new] = &ERAS;
        let (major, minor) = old.last.unwrap();
        assert_eq!(new.first, (major, minor + 1));
        assert!(old.profile.range_end_invalidates && !new.profile.range_end_invalidates);
    }

    #[test]
    fn a_name_means_one_thing() {
        for (_, one) in all_probes() {
            for (_, other) in all_probes().filter(|(_, other)| other.name == one.name) {
                assert_eq!(one.means, other.means, "{}", one.name);
            }
        }
    }
}
