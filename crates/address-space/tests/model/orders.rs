//! What an operator is told to do for each operation: the call, what the model
//! makes of it, and the points at which it can be stopped.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use address_space::{AddressSpace, Cpu, Error, Operation, Stage};
use mmu_protocol::{PageSize, VirtAddr, VirtRange};

use crate::engine::{Engine, Process, SPACES, Standing};
use crate::flat::Flight;
use crate::ops::{Access, Area, CELLS, Op, block, cell_page, word_addr};
use crate::workers::CpuState;

/// An operation, and the address space that it made if it was a fork.
pub(crate) type Work =
    Box<dyn FnOnce(&mut CpuState) -> Result<Option<Arc<AddressSpace>>, Error> + Send>;

/// What an operator has been told to do.
pub(crate) struct Order {
    pub(crate) flight: Flight,
    pub(crate) expected: Option<Error>,
    /// Refusals that are no error: nothing to do, or not possible now.
    pub(crate) lenient: bool,
    pub(crate) process: usize,
    pub(crate) cell: usize,
    /// Write-locks the mappings.
    pub(crate) exclusive: bool,
    pub(crate) places: Vec<(Operation, Stage, VirtAddr)>,
    pub(crate) work: Work,
}

impl Engine {
    /// What an operator has to do for `op`, and what is expected of it.
    pub(crate) fn order(&mut self, op: &Op, standing: &[Standing]) -> Option<Order> {
        let at = |space: &usize| space % self.processes.len();
        let of = |process: usize| self.processes[process].space.clone();
        let stages = |operation, stages: &[Stage], addr| -> Vec<_> {
            stages.iter().map(|stage| (operation, *stage, addr)).collect()
        };
        use Stage::{Cleared, Copied, Ended, Locked, Notified, Set, Started, Unlocked};
        let order = |process, flight, places, work| Order {
            flight,
            expected: None,
            lenient: false,
            process,
            cell: 0,
            exclusive: true,
            places,
            work,
        };
        let holes = |process: usize, area: &Area| {
            let hole = self.processes[process].flat.hole(area.pages());
            hole.map(|page| Error::NoMapping { addr: VirtAddr::new(page << 12) })
        };
        Some(match *op {
            Op::Munmap { ref space, area } => {
                let (process, space) = (at(space), of(at(space)));
                let places =
                    stages(Operation::Zap, &[Started, Unlocked, Ended], area.range().start());
                let work = Box::new(move |state: &mut CpuState| {
                    space.munmap(area.range(), &mut state.task).map(|()| None)
                });
                let flight = Flight::Unmap { pages: area.pages() };
                Order { cell: cell_in(area), ..order(process, flight, places, work) }
            }
            Op::Dontneed { ref space, area } => {
                let (process, space) = (at(space), of(at(space)));
                let places =
                    stages(Operation::Zap, &[Started, Unlocked, Ended], area.range().start());
                let expected = holes(process, &area);
                let flight = match expected {
                    None => Flight::Zap { pages: area.pages() },
                    Some(_) => Flight::Nop,
                };
                let work = Box::new(move |state: &mut CpuState| {
                    space.dontneed(area.range(), &mut state.task).map(|()| None)
                });
                Order {
                    expected,
                    cell: cell_in(area),
                    exclusive: false,
                    ..order(process, flight, places, work)
                }
            }
            Op::Mprotect { ref space, area, rights } => {
                let (process, space) = (at(space), of(at(space)));
                let places =
                    stages(Operation::Mprotect, &[Started, Unlocked, Ended], area.range().start());
                let expected = holes(process, &area);
                let flight = match expected {
                    None => Flight::Protect { pages: area.pages(), rights },
                    Some(_) => Flight::Nop,
                };
                let work = Box::new(move |state: &mut CpuState| {
                    space.mprotect(area.range(), rights, &mut state.task).map(|()| None)
                });
                Order { expected, cell: cell_in(area), ..order(process, flight, places, work) }
            }
            Op::Mremap { ref space, area, to } => {
                if matches!(area, Area::Block) {
                    return None;
                }
                let (process, space) = (at(space), of(at(space)));
                let to = cell_page(to as usize);
                let pages = area.pages();
                let count = pages.end - pages.start;
                let flat = &self.processes[process].flat;
                let target = to..to + count;
                let busy = target.clone().any(|page| flat.is_mapped(page) || pages.contains(&page));
                let range = VirtRange::sized(VirtAddr::new(to << 12), count << 12);
                let expected = holes(process, &area).or(busy.then_some(Error::Overlap { range }));
                let flight = match expected {
                    None => Flight::Move { pages, to },
                    Some(_) => Flight::Nop,
                };
                let all = [Started, Cleared, Notified, Set, Unlocked, Ended];
                let places = stages(Operation::Move, &all, area.range().start());
                let work = Box::new(move |state: &mut CpuState| {
                    space.mremap(area.range(), VirtAddr::new(to << 12), &mut state.task)?;
                    Ok(None)
                });
                Order { expected, cell: cell_in(area), ..order(process, flight, places, work) }
            }
            Op::Fork { ref space } => {
                if self.processes.len() == SPACES {
                    return None;
                }
                let (process, space) = (at(space), of(at(space)));
                let mappings = space.mappings();
                let start = mappings.first().map_or(VirtAddr::new(0), |(range, _)| range.start());
                let places = stages(Operation::Fork, &[Started, Unlocked, Ended], start);
                let flight = self.processes[process].flat.fork();
                let work =
                    Box::new(move |state: &mut CpuState| space.fork(&mut state.task).map(Some));
                order(process, flight, places, work)
            }
            Op::Ksm { ref space, cell } => {
                let (process, space, ksm) = (at(space), of(at(space)), self.ksm.clone());
                let addr = word_addr(cell_page(cell), 0);
                let mut places = stages(Operation::KsmProtect, &[Started, Unlocked, Ended], addr);
                let replace = [Copied, Started, Set, Unlocked, Ended];
                places.extend(stages(Operation::KsmReplace, &replace, addr));
                let work = Box::new(move |state: &mut CpuState| {
                    space.ksm_scan(addr, &ksm, &mut state.task).map(|_| None)
                });
                Order {
                    lenient: true,
                    exclusive: false,
                    cell,
                    ..order(process, Flight::Nop, places, work)
                }
            }
            Op::Split { ref space } => {
                let (process, space) = (at(space), of(at(space)));
                let all = [Started, Cleared, Set, Unlocked, Ended];
                let places = stages(Operation::Split, &all, block());
                let work = Box::new(move |state: &mut CpuState| {
                    space.split_huge(block(), &mut state.task).map(|()| None)
                });
                Order {
                    lenient: true,
                    exclusive: false,
                    cell: CELLS - 3,
                    ..order(process, Flight::Nop, places, work)
                }
            }
            Op::Collapse { ref space } => {
                let (process, space) = (at(space), of(at(space)));
                let all = [Started, Cleared, Notified, Set, Unlocked, Ended];
                let places = stages(Operation::Collapse, &all, block());
                let work = Box::new(move |state: &mut CpuState| {
                    // Whatever is absent becomes present: it is zero anyway.
                    let mut cpu = Cpu::new(&space)?;
                    for page in Area::Block.pages() {
                        cpu.load(VirtAddr::new(page << 12), &mut state.task)?;
                    }
                    space.collapse(block(), &mut state.task).map(|()| None)
                });
                Order {
                    lenient: true,
                    cell: CELLS - 3,
                    ..order(process, Flight::Nop, places, work)
                }
            }
            Op::Replace { ref space, cell, word } => {
                let process = at(space);
                let value = self.value();
                let space = self.processes[process].space.clone();
                let page = cell_page(cell);
                let addr = word_addr(page, word);
                let start = addr.align_down(PageSize::Base);
                // Only where there is a 4 KiB page, so that it is known to happen.
                let present = space.translate(addr).is_some_and(|t| t.size == PageSize::Base);
                if !present {
                    return None;
                }
                let all = [Started, Cleared, Notified, Set, Unlocked, Ended];
                let places = stages(Operation::Replace, &all, start);
                let index = if word == 0 { 0 } else { 511 };
                let work = Box::new(move |state: &mut CpuState| {
                    space.replace_page(start, |words| words[index] = value, &mut state.task)?;
                    Ok(None)
                });
                let flight = Flight::Store { page, word, value };
                Order { cell, ..order(process, flight, places, work) }
            }
            // A store by a CPU, which may stop in its fault.
            Op::Access(Access { at: place, word, store: true, .. }) => {
                let (process, cell) = match (place, standing.last()) {
                    (Some((space, cell)), _) => (at(&space), cell),
                    (None, Some(outer)) => (outer.process, outer.cell),
                    (None, None) => return None,
                };
                let value = self.value();
                let Process { number, space, flat, .. } = &self.processes[process];
                let (number, space) = (*number, space.clone());
                let page = cell_page(cell);
                let addr = word_addr(page, word);
                let expected = flat.refusal(page, word, true);
                let flight = match expected {
                    None => Flight::Store { page, word, value },
                    Some(_) => Flight::Nop,
                };
                let size = space.translate(addr).map_or(PageSize::Base, |found| found.size);
                let start = addr.align_down(size);
                let all = [Copied, Started, Locked, Cleared, Notified, Set, Unlocked, Ended];
                let zero = self.memory.zero_page().pfn();
                let is_zero = space.translate(addr).is_some_and(|found| found.pfn == zero);
                let operation = if is_zero { Operation::ZeroPage } else { Operation::Cow };
                let places = stages(operation, &all, start);
                let work = Box::new(move |state: &mut CpuState| {
                    let cpu = match state.cpus.entry(number) {
                        Entry::Occupied(cpu) => cpu.into_mut(),
                        Entry::Vacant(place) => place.insert(Cpu::new(&space)?),
                    };
                    cpu.store(addr, value, &mut state.task).map(|()| None)
                });
                Order { expected, exclusive: false, cell, ..order(process, flight, places, work) }
            }
            _ => return None,
        })
    }
}

/// A cell whose page lies in the area.
fn cell_in(area: Area) -> usize {
    (0..CELLS).find(|cell| area.pages().contains(&cell_page(*cell))).unwrap_or(0)
}
