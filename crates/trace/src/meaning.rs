//! From what a tracer wrote to what it means.

use std::collections::HashMap;

use mmu_protocol::{Event as RangeEvent, MmId, PageSize, VirtAddr, VirtRange};

use crate::era::{self, By, Era, How, Known, Means, Probe};
use crate::event::{At, Entry, Event, Kind, Leaf, NO_PFN, Outside, Tag};
use crate::read::{Body, Lost, RawEvent, Source, Wanted};
use crate::vmemmap::Vmemmap;

/// Gives events a meaning. Keeps what one event says about the next.
#[derive(Debug)]
pub struct Meaning {
    known: Option<Known>,
    asked: bool,
    vmemmap: Vmemmap,
    /// The kernel frees pages one by one, and says so.
    frees_are_told: bool,
    /// The frame of the entry that a thread cleared last.
    cleared: HashMap<u32, u64>,
    pages_unknown: u64,
    probes: HashMap<&'static str, Vec<(&'static Era, &'static Probe)>>,
}

/// The events that mean something; all others need not be parsed.
pub fn wanted() -> Wanted {
    let mut events = Vec::new();
    let mut printed = Vec::new();
    for (_, probe) in era::all_probes() {
        if probe.how == How::Printed {
            printed.push(probe.name);
        } else {
            events.push(probe.name);
            if !probe.also.is_empty() {
                events.push(probe.also);
            }
        }
    }
    events.extend(crate::casemate::EVENTS);
    Wanted::nothing().events(events).printed(printed)
}

impl Meaning {
    /// Of a kernel of this era, or of one that the recording will tell.
    pub fn new(era: Option<&'static Era>) -> Meaning {
        Meaning {
            known: era.map(|era| Known { era, by: By::Asked }),
            asked: era.is_some(),
            vmemmap: Vmemmap::default(),
            frees_are_told: false,
            cleared: HashMap::new(),
            pages_unknown: 0,
            probes: by_name(),
        }
    }

    /// The kernel, as far as it is known.
    pub fn known(&self) -> Option<Known> {
        self.known
    }

    /// How many events named a page by an address that says nothing.
    pub fn pages_unknown(&self) -> u64 {
        self.pages_unknown
    }

    /// What stands in the header.
    pub fn source(&mut self, source: &Source) {
        if self.known.is_some() {
            return;
        }
        let era = source.kernel.as_deref().and_then(|release| era::of_version(release).ok());
        self.known = era.map(|era| Known { era, by: By::Release });
    }

    /// Events are missing.
    pub fn lost(&mut self, lost: &Lost, time: u64) -> Event {
        self.cleared.clear();
        let at = At {
            place: lost.place,
            time,
            cpu: lost.cpu,
            thread: 0,
            preempt_depth: None,
            interrupt: true,
        };
        Event { at, mm: None, kind: Kind::Lost { events: lost.events, since: lost.since } }
    }

    /// What an event means; `None` if nothing.
    pub fn of(&mut self, raw: &RawEvent<'_>) -> Option<Event> {
        let means = self.means(raw)?;
        let at = At {
            place: raw.place,
            time: raw.time,
            cpu: Some(raw.cpu),
            thread: raw.thread,
            preempt_depth: raw.flags.map(|flags| flags.preempt_depth),
            interrupt: raw.flags.is_some_and(|flags| flags.hard_irq || flags.soft_irq),
        };
        let kind = self.kind(means, raw)?;
        let mm = match kind.tag() {
            Tag::Free | Tag::Alloc | Tag::Slot | Tag::Outside => None,
            _ => raw.number("mm").map(MmId),
        };
        Some(Event { at, mm, kind })
    }

    fn means(&mut self, raw: &RawEvent<'_>) -> Option<Means> {
        let function = function(raw);
        let mut found: Option<(&'static Era, Means)> = None;
        for (era, probe) in self.probes.get(raw.name)?.clone() {
            if (probe.how == How::Printed) != raw.printed {
                continue;
            }
            match (probe.how, function) {
                // A function that is named decides, whatever the event is called.
                (
                    How::Entry { function: its, .. } | How::Return { function: its, .. },
                    Some(here),
                ) => {
                    if its != here {
                        continue;
                    }
                    if only_in(era, its) {
                        self.learn(era, By::Function(its));
                    }
                }
                // Looks like either; one argument tells.
                (How::Entry { .. }, None)
                    if probe.means == Means::End && raw.number("only_end").is_some() =>
                {
                    self.learn(&era::ERAS[0], By::Field("only_end"));
                }
                (How::Entry { .. }, None) if probe.means == Means::Unmapped => {
                    let field = if raw.number("nr").is_some() { "nr" } else { "compound" };
                    if raw.number(field).is_some() {
                        let era = &era::ERAS[usize::from(field == "nr")];
                        self.learn(era, By::Field(field));
                    }
                }
                _ => {}
            }
            let ours = self.known.is_some_and(|known| std::ptr::eq(known.era, era));
            if found.is_none() || ours {
                found = Some((era, probe.means));
            }
        }
        found.map(|(_, means)| means)
    }

    fn learn(&mut self, era: &'static Era, by: By) {
        if !self.asked && self.known.is_none() {
            self.known = Some(Known { era, by });
        }
    }

    fn kind(&mut self, means: Means, raw: &RawEvent<'_>) -> Option<Kind> {
        let number = |field: &str| raw.number(field);
        Some(match means {
            Means::Register => Kind::Register,
            Means::Release => Kind::Release,
            Means::Start => Kind::Start {
                range: range(number("start")?, number("end")?),
                event: number("event").and_then(event),
                blockable: number("flags").map(|flags| flags & 1 == 1),
            },
            Means::StartReturned => Kind::StartReturned { result: raw.signed("ret")? },
            Means::End => Kind::End {
                range: range(number("start")?, number("end")?),
                tells: match (number("only_end"), self.known) {
                    (Some(only), _) => Some(only == 0),
                    (None, Some(known)) if !known.era.profile.range_end_invalidates => Some(false),
                    _ => None,
                },
            },
            Means::Invalidate => {
                Kind::Invalidate { range: range(number("start")?, number("end")?) }
            }
            Means::InvalidateReturned => Kind::InvalidateReturned,
            Means::ClearPte => {
                let old = number("pte").map(|value| entry(value, false));
                if let Some(Entry { pfn, accessible: true, .. }) = old {
                    self.cleared.insert(raw.thread, pfn);
                }
                let addr = page(number("addr")?, PageSize::Base)?;
                Kind::Clear { addr, size: PageSize::Base, old }
            }
            Means::ClearPmd => {
                let old = number("pmd").map(|value| entry(value, true));
                let addr = page(number("addr")?, PageSize::Huge)?;
                Kind::Clear { addr, size: PageSize::Huge, old }
            }
            Means::Flush => Kind::Flush { range: range(number("start")?, number("end")?) },
            Means::MapNew => {
                let addr = page(number("addr")?, PageSize::Base)?;
                Kind::MapNew { addr, pfn: self.pfn(raw) }
            }
            Means::Unmapped => {
                let page = number("page")?;
                if let Some(cleared) = self.cleared.remove(&raw.thread) {
                    self.vmemmap.guess(page, cleared);
                }
                Kind::Unmapped { pfn: self.pfn(raw), frames: number("nr").unwrap_or(1).min(512) }
            }
            Means::UnmappedHuge => Kind::Unmapped { pfn: self.pfn(raw), frames: 512 },
            Means::Free | Means::FreeAgain | Means::Alloc => {
                // A failed allocation has no page.
                let pfn = frame(number("pfn")?)?;
                if let Some(page) = number("page") {
                    self.vmemmap.learn(page, pfn);
                }
                // The largest order of any configuration.
                let frames = 1u64 << number("order").unwrap_or(0).min(16);
                match means {
                    Means::Alloc => Kind::Alloc { pfn, frames },
                    Means::FreeAgain if self.frees_are_told => return None,
                    _ => {
                        self.frees_are_told |= means == Means::Free;
                        Kind::Free { pfn, frames }
                    }
                }
            }
            Means::Shadow => {
                let level = number("level")?;
                Kind::Shadow {
                    gfn: number("gfn")?,
                    space: u8::try_from(number("as_id").unwrap_or(0)).ok()?,
                    old: leaf(number("old_spte")?, level),
                    new: leaf(number("new_spte")?, level),
                }
            }
            Means::ShadowTold => Kind::ShadowTold,
            Means::GuestFault => Kind::Outside(Outside::GuestFault),
            Means::UserFault => Kind::Outside(Outside::UserFault),
            Means::Scan => Kind::Outside(Outside::Scan),
            Means::Slot => slot(number("gpa")?, number("hva")?, number("size")?)?,
            Means::DeviceFill => device(raw, |addr, pfn| Kind::DeviceFill { addr, pfn })?,
            Means::DeviceUse => device(raw, |addr, pfn| Kind::DeviceUse { addr, pfn })?,
            Means::DeviceDrop => device(raw, |addr, pfn| Kind::DeviceDrop { addr, pfn })?,
            Means::Marker => marker(raw),
        })
    }

    fn pfn(&mut self, raw: &RawEvent<'_>) -> Option<u64> {
        let page = raw.number("page");
        let pfn = page.and_then(|page| self.vmemmap.pfn(page)).and_then(frame);
        if pfn.is_none() {
            self.pages_unknown += 1;
        }
        pfn
    }
}

fn by_name() -> HashMap<&'static str, Vec<(&'static Era, &'static Probe)>> {
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for (era, probe) in era::all_probes() {
        names.entry(probe.name).or_default().push((era, probe));
        if !probe.also.is_empty() {
            names.entry(probe.also).or_default().push((era, probe));
        }
    }
    names
}

/// Whether no other era has a probe on this function.
fn only_in(era: &Era, function: &str) -> bool {
    !era::all_probes().any(|(other, probe)| {
        !std::ptr::eq(other, era)
            && matches!(probe.how, How::Entry { function: its, .. } | How::Return { function: its, .. } if its == function)
    })
}

/// The function that a probe's event names: `(ptep_clear_flush+0x0/0x60) ...`, or for
/// a return `(copy_page_range+0x1/0x2 <- __mmu_notifier_invalidate_range_start) ...`.
fn function<'a>(raw: &RawEvent<'a>) -> Option<&'a str> {
    let Body::Text(text) = raw.body else { return None };
    let inside = text.strip_prefix('(')?.split_once(')')?.0;
    let name = match inside.split_once("<- ") {
        Some((_, function)) => function,
        None => inside,
    };
    let name = name.split(['+', ' ']).next()?;
    // An address, where the symbols were not there.
    let is_address = name.bytes().all(|byte| byte.is_ascii_hexdigit()) && name.len() >= 8;
    (!is_address && !name.is_empty()).then_some(name)
}

/// Start of a page of a process; `None` for what no process can have.
fn page(addr: u64, size: PageSize) -> Option<VirtAddr> {
    (addr >> 63 == 0).then(|| VirtAddr::new(addr).align_down(size))
}

/// The number of a frame that a machine can have.
fn frame(pfn: u64) -> Option<u64> {
    (pfn >> 44 == 0).then_some(pfn)
}

fn range(start: u64, end: u64) -> VirtRange {
    let (start, end) = (VirtAddr::new(start), VirtAddr::new(end));
    // The kernel writes -1 for "everything"; an end before its start is nothing.
    VirtRange::new(start, end).unwrap_or(VirtRange::EMPTY)
}

fn event(number: u64) -> Option<RangeEvent> {
    // The order of `enum mmu_notifier_event` in both tags.
    const EVENTS: [RangeEvent; 8] = [
        RangeEvent::Unmap,
        RangeEvent::Clear,
        RangeEvent::ProtectionVma,
        RangeEvent::ProtectionPage,
        RangeEvent::SoftDirty,
        RangeEvent::Release,
        RangeEvent::Migrate,
        RangeEvent::Exclusive,
    ];
    EVENTS.get(usize::try_from(number).ok()?).copied()
}

/// Bits of an x86-64 entry.
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;
const FRAME: u64 = 0x000f_ffff_ffff_f000;
/// Of a present leaf in KVM's tables, and of no other value there:
/// `SPTE_MMU_PRESENT_MASK` in `arch/x86/kvm/mmu/spte.h` of both tags.
const SHADOW_PRESENT: u64 = 1 << 11;

fn entry(value: u64, upper: bool) -> Entry {
    let accessible = value & PRESENT != 0;
    // What is not present is stored inverted against L1 terminal faults; its frame is
    // nobody's question.
    let pfn = if accessible { (value & FRAME) >> 12 } else { NO_PFN };
    Entry { pfn, accessible, table: upper && accessible && value & LARGE == 0 }
}

fn leaf(value: u64, level: u64) -> Option<Leaf> {
    let is_leaf = level == 1 || ((2..=3).contains(&level) && value & LARGE != 0);
    (value & SHADOW_PRESENT != 0 && is_leaf)
        .then(|| Leaf { pfn: (value & FRAME) >> 12, frames: 1 << (9 * (level - 1)) })
}

/// Where guest memory is; of no size if some of it goes away.
fn slot(gpa: u64, hva: u64, size: u64) -> Option<Kind> {
    if size == 0 {
        return Some(Kind::Slot { gfn: gpa >> 12, range: VirtRange::EMPTY });
    }
    let end = hva.checked_add(size)?;
    let range = VirtRange::new(VirtAddr::new(hva), VirtAddr::new(end))?;
    Some(Kind::Slot { gfn: gpa >> 12, range })
}

fn device(raw: &RawEvent<'_>, make: impl Fn(VirtAddr, u64) -> Kind) -> Option<Kind> {
    Some(make(page(raw.number("va")?, PageSize::Base)?, frame(raw.number("pfn")?)?))
}

/// A marker says that its writer makes a system call; one says where guest memory is.
fn marker(raw: &RawEvent<'_>) -> Kind {
    let hex = |field: &str| raw.hex(field);
    let map = || slot(hex("gpa")?, hex("region")?, hex("len")?);
    map().unwrap_or(Kind::Outside(Outside::Marker))
}
