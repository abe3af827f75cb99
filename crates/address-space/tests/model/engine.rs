//! Runs a sequence in threads and holds every answer against the flat model.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use address_space::{
    AddressSpace, Cpu, Device, Error, Iommu, Ksm, Memory, Operation, Stage, Stops, Vma,
    WrongPolicy, verify,
};
use mmu_notifier::Task;
use mmu_protocol::{PageSize, Rights, VirtAddr};

use crate::flat::{Flight, Space};
use crate::ops::{Access, Agent, Area, CELLS, Op, block, cell_page, word_addr};
use crate::workers::{CpuState, DeviceState, Worker};

/// Enough for three address spaces with a huge page each, a copy, and a collapse.
const FRAMES: usize = 4096;
/// Address spaces at a time.
const SPACES: usize = 3;

/// An address space with what runs in it, and what it should be.
struct Process {
    number: usize,
    space: Arc<AddressSpace>,
    device: Device,
    flat: Space,
}

struct Engine {
    memory: Arc<Memory>,
    stops: Arc<Stops>,
    iommu: Iommu,
    ksm: Arc<Ksm>,
    cpus: [Worker<CpuState>; 2],
    devices: [Worker<DeviceState>; 2],
    /// Those that stand still, one for each depth.
    operators: [Worker<CpuState>; 2],
    processes: Vec<Process>,
    /// Of the thread that runs the sequence; there is always one until the end.
    task: Option<Task>,
    numbers: usize,
    values: u64,
}

/// Where an operation stands, and what others may do meanwhile.
#[derive(Clone, Copy)]
struct Standing {
    process: usize,
    cell: usize,
    /// It holds a lock that faults wait for: only accesses that do not fault.
    alone: bool,
}

/// An operation, and the address space that it made if it was a fork.
type Work = Box<dyn FnOnce(&mut CpuState) -> Result<Option<Arc<AddressSpace>>, Error> + Send>;

/// What an operator has been told to do.
struct Order {
    flight: Flight,
    expected: Option<Error>,
    /// Refusals that are no error: nothing to do, or not possible now.
    lenient: bool,
    process: usize,
    cell: usize,
    /// Write-locks the mappings.
    exclusive: bool,
    places: Vec<(Operation, Stage, VirtAddr)>,
    work: Work,
}

/// Runs the sequence; says where memory was not what it should be.
pub(crate) fn run(ops: &[Op], policy: Option<WrongPolicy>) -> Result<(), String> {
    let mut engine = Engine::new(policy);
    let done = ops
        .iter()
        .enumerate()
        .try_for_each(|(number, op)| {
            engine.step(op, &[]).map_err(|error| format!("step {number}, {op:?}: {error}"))
        })
        .and_then(|()| engine.sweep());
    if done.is_err() {
        // Nobody knows what the frames hold: let go of everything as it is.
        engine.stops.pass_all();
        let Engine { task, .. } = &mut engine;
        drop(task.take());
        std::mem::forget(engine);
        return done;
    }
    engine.finish()
}

fn vma(area: Area, rights: Rights) -> Vma {
    Vma { rights, huge: matches!(area, Area::Block) }
}

impl Engine {
    fn new(policy: Option<WrongPolicy>) -> Self {
        let memory = Memory::new(FRAMES);
        let stops = Arc::new(Stops::new());
        let builder = AddressSpace::builder(&memory).schedule(stops.clone());
        let builder = match policy {
            None => builder,
            // SAFETY: INV-ASSUMED: the test looks at the outcome and nothing else.
            Some(policy) => unsafe { builder.wrong_policy(policy, "the checker must find it") },
        };
        let space = builder.build().expect("there are frames");
        let mut engine = Engine {
            ksm: Arc::new(Ksm::new(&memory)),
            memory,
            stops,
            iommu: Iommu::new(64, 256),
            cpus: std::array::from_fn(|_| Worker::new(CpuState::new)),
            devices: std::array::from_fn(|_| Worker::new(DeviceState::default)),
            operators: std::array::from_fn(|_| Worker::new(CpuState::new)),
            processes: Vec::new(),
            task: Some(Task::current().expect("the last run has ended")),
            numbers: 0,
            values: 0,
        };
        let mut flat = Space::default();
        for area in [Area::Small { first: 0, count: 6 }, Area::Block] {
            space.mmap(area.range(), vma(area, Rights::ReadWrite)).expect("nothing is mapped");
            flat.map(area.pages(), Rights::ReadWrite);
        }
        engine.admit(space, flat);
        engine
    }

    fn admit(&mut self, space: Arc<AddressSpace>, flat: Space) {
        let task = self.task.as_mut().expect("the run has not ended");
        let device = self.iommu.attach(&space, task).expect("there is a PASID");
        self.processes.push(Process { number: self.numbers, space, device, flat });
        self.numbers += 1;
    }

    /// A value that was never stored before. The low bits are zero, so that it
    /// is an absent entry where a wrong policy lets it land in a page table.
    fn value(&mut self) -> u64 {
        self.values += 1;
        self.values << 40
    }

    fn step(&mut self, op: &Op, standing: &[Standing]) -> Result<(), String> {
        match op {
            Op::Access(access) => self.access(*access, standing),
            Op::Stopped { op, stage, meanwhile } => self.stopped(op, *stage, meanwhile, standing),
            // Only accesses, and stores that stop, go on while others stand.
            _ if !standing.is_empty() => Ok(()),
            Op::Mmap { space, area, rights } => {
                let process = space % self.processes.len();
                let Process { space, flat, .. } = &mut self.processes[process];
                let free = area.pages().all(|page| !flat.is_mapped(page));
                let expected =
                    if free { Ok(()) } else { Err(Error::Overlap { range: area.range() }) };
                same(&space.mmap(area.range(), vma(*area, *rights)), &expected)?;
                if free {
                    flat.map(area.pages(), *rights);
                }
                Ok(())
            }
            Op::Exit { space } if self.processes.len() > 1 => {
                let gone = self.processes.swap_remove(space % self.processes.len());
                self.leave(gone)
            }
            _ => {
                let Some(order) = self.order(op, standing) else { return Ok(()) };
                let process = order.process;
                let flight = order.flight.clone();
                self.processes[process].flat.begin(flight.clone());
                let result = self.operators[0].run(order.work)?;
                self.conclude(process, &flight, order.expected, order.lenient, result)
            }
        }
    }

    /// What an operator has to do for `op`, and what is expected of it.
    fn order(&mut self, op: &Op, standing: &[Standing]) -> Option<Order> {
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
                let range = mmu_protocol::VirtRange::sized(VirtAddr::new(to << 12), count << 12);
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
                        std::collections::hash_map::Entry::Occupied(cpu) => cpu.into_mut(),
                        std::collections::hash_map::Entry::Vacant(place) => {
                            place.insert(Cpu::new(&space)?)
                        }
                    };
                    cpu.store(addr, value, &mut state.task).map(|()| None)
                });
                Order { expected, exclusive: false, cell, ..order(process, flight, places, work) }
            }
            _ => return None,
        })
    }

    /// The operation has returned.
    fn conclude(
        &mut self,
        process: usize,
        flight: &Flight,
        expected: Option<Error>,
        lenient: bool,
        result: Result<Option<Arc<AddressSpace>>, Error>,
    ) -> Result<(), String> {
        let error = result.as_ref().err().copied();
        if error != expected && !(lenient && error.is_some()) {
            return Err(format!("it returned {error:?} instead of {expected:?}"));
        }
        let child = self.processes[process].flat.end(flight);
        match (child, result) {
            (Some(flat), Ok(Some(space))) => self.admit(space, flat),
            (None, Ok(None) | Err(_)) => {}
            _ => return Err("a fork is expected to give a child".into()),
        }
        Ok(())
    }

    /// Runs `op` until it stands at one of its places, then what others do
    /// meanwhile, then the rest of it.
    fn stopped(
        &mut self,
        op: &Op,
        stage: usize,
        meanwhile: &[Op],
        standing: &[Standing],
    ) -> Result<(), String> {
        // Two at most, and both must let faults through.
        let depth = standing.len();
        if depth == self.operators.len() || standing.iter().any(|outer| outer.alone) {
            return Ok(());
        }
        if depth > 0 && !matches!(op, Op::Access(_)) {
            return Ok(());
        }
        let Some(order) = self.order(op, standing) else { return self.step(op, standing) };
        let place = order.places[stage % order.places.len()];
        let Order { flight, expected, lenient, process, cell, exclusive, work, .. } = order;
        let under_a_lock =
            matches!(place.1, Stage::Locked | Stage::Cleared | Stage::Notified | Stage::Set);
        let here = Standing { process, cell, alone: exclusive || under_a_lock };
        self.processes[process].flat.begin(flight.clone());
        self.stops.arm(place.0, place.1, place.2);
        let stops = self.stops.clone();
        let answer: Receiver<_> = self.operators[depth].begin(move |state| {
            let _passed = Passed { stops, place };
            work(state)
        });
        // Either it stands there, or it has returned without coming by.
        self.stops.wait(place.0, place.1, place.2);
        let all: Vec<Standing> = standing.iter().copied().chain([here]).collect();
        let done = meanwhile.iter().try_for_each(|op| {
            self.step(op, &all).map_err(|error| format!("at {place:?}, {op:?}: {error}"))
        });
        self.stops.pass(place.0, place.1, place.2);
        let result = answer.recv().map_err(|_| "an operation panicked".to_string())?;
        done?;
        self.conclude(process, &flight, expected, lenient, result)
    }

    /// A load or a store, checked at once.
    fn access(&mut self, access: Access, standing: &[Standing]) -> Result<(), String> {
        let (process, cell) = match (access.at, standing.last()) {
            (Some((space, cell)), _) => (space % self.processes.len(), cell),
            (None, Some(here)) => (here.process, here.cell),
            (None, None) => return Ok(()),
        };
        // Faults of another address space do not wait for anything here.
        let alone = standing.iter().any(|here| here.alone && here.process == process);
        let page = cell_page(cell);
        let value = access.store.then(|| self.value());
        let refusal = self.processes[process].flat.refusal(page, access.word, access.store);
        let found =
            self.perform(process, access.agent, word_addr(page, access.word), value, alone)?;
        let flat = &mut self.processes[process].flat;
        match (found, refusal, value) {
            // Not possible without a fault, which is no statement.
            (None, _, _) => Ok(()),
            (Some(Ok(_)), _, Some(value)) if alone => {
                flat.stored(page, access.word, value);
                Ok(())
            }
            (Some(Ok(loaded)), _, None) if alone => flat.loaded(page, access.word, loaded),
            (Some(Err(error)), Some(expected), _) if error == expected => Ok(()),
            (Some(Ok(_)), None, Some(value)) => {
                flat.stored(page, access.word, value);
                Ok(())
            }
            (Some(Ok(loaded)), None, None) => flat.loaded(page, access.word, loaded),
            (found, expected, _) => Err(format!("{found:?} instead of {expected:?}")),
        }
    }

    /// Lets an agent load or store; `None` if it would have to fault and must not.
    fn perform(
        &self,
        process: usize,
        agent: Agent,
        addr: VirtAddr,
        value: Option<u64>,
        alone: bool,
    ) -> Result<Option<Result<u64, Error>>, String> {
        let Process { number, space, device, .. } = &self.processes[process];
        let (number, space) = (*number, space.clone());
        match agent {
            Agent::Cpu(index) => self.cpus[index].run(move |state| {
                let cpu = state
                    .cpus
                    .entry(number)
                    .or_insert_with(|| Cpu::new(&space).expect("there is a place"));
                match (value, alone) {
                    (None, true) => cpu.try_load(addr).ok().map(Ok),
                    (Some(value), true) => cpu.try_store(addr, value).ok().map(|()| Ok(value)),
                    (None, false) => Some(cpu.load(addr, &mut state.task)),
                    (Some(value), false) => {
                        Some(cpu.store(addr, value, &mut state.task).map(|()| value))
                    }
                }
            }),
            Agent::Device(index) => {
                let fresh = device.thread().map_err(|error| error.to_string())?;
                self.devices[index].run(move |state| {
                    let thread = state.threads.entry(number).or_insert(fresh);
                    match (value, alone) {
                        (None, true) => thread.try_load(addr).map(Ok),
                        (Some(value), true) => thread.try_store(addr, value).map(|()| Ok(value)),
                        (None, false) => Some(thread.load(addr)),
                        (Some(value), false) => Some(thread.store(addr, value).map(|()| value)),
                    }
                })
            }
        }
    }

    /// Everybody looks at everything.
    fn sweep(&mut self) -> Result<(), String> {
        for process in 0..self.processes.len() {
            for (cell, word) in (0..CELLS).flat_map(|cell| [(cell, 0), (cell, 1)]) {
                for agent in [Agent::Cpu(0), Agent::Cpu(1), Agent::Device(0), Agent::Device(1)] {
                    let at = Some((process, cell));
                    self.access(Access { at, word, agent, store: false }, &[])
                        .map_err(|error| format!("in the end, {agent:?}: {error}"))?;
                }
            }
        }
        Ok(())
    }

    /// Ends one address space; all others must stay as they are.
    fn leave(&mut self, gone: Process) -> Result<(), String> {
        let number = gone.number;
        for worker in self.cpus.iter().chain(&self.operators) {
            worker.run(move |state| drop(state.cpus.remove(&number)))?;
        }
        for worker in &self.devices {
            worker.run(move |state| drop(state.threads.remove(&number)))?;
        }
        let Process { space, device, .. } = gone;
        let task = self.task.as_mut().expect("the run has not ended");
        let exit = space.exit(task).and_then(|()| device.detach(task));
        same(&exit, &Ok(()))
    }

    /// The books balance, and every frame comes back.
    fn finish(mut self) -> Result<(), String> {
        let spaces: Vec<&AddressSpace> =
            self.processes.iter().map(|process| &*process.space).collect();
        verify(&self.memory, &spaces, Some(&self.ksm)).map_err(|error| error.to_string())?;
        for process in &self.processes {
            let all = process.flat.mapped().count() as u64;
            let mapped: u64 =
                process.space.mappings().iter().map(|(range, _)| range.len() >> 12).sum();
            same(&mapped, &all)?;
        }
        while let Some(gone) = self.processes.pop() {
            self.leave(gone)?;
        }
        let Engine { memory, ksm, cpus, devices, operators, .. } = self;
        for worker in cpus.into_iter().chain(operators) {
            worker.join();
        }
        devices.into_iter().for_each(Worker::join);
        drop(ksm);
        same(&memory.free_frames(), &(FRAMES - 1))?;
        same(&Arc::strong_count(&memory), &1)
    }
}

/// A cell whose page lies in the area.
fn cell_in(area: Area) -> usize {
    (0..CELLS).find(|cell| area.pages().contains(&cell_page(*cell))).unwrap_or(0)
}

fn same<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
}

/// Lets the waiting thread know that the operation will not come by any more.
struct Passed {
    stops: Arc<Stops>,
    place: (Operation, Stage, VirtAddr),
}

impl Drop for Passed {
    fn drop(&mut self) {
        self.stops.pass(self.place.0, self.place.1, self.place.2);
    }
}
