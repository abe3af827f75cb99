//! Runs a sequence in threads and holds every answer against the flat model.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use address_space::{
    AddressSpace, Cpu, Device, Error, Iommu, Ksm, Memory, Operation, Stage, Stops, Vma,
    WrongPolicy, verify,
};
use mmu_notifier::Task;
use mmu_protocol::{Rights, VirtAddr};

use crate::flat::{Flight, Space};
use crate::ops::{Access, Agent, Area, CELLS, Op, cell_page, word_addr};
use crate::orders::Order;
use crate::workers::{CpuState, DeviceState, Worker};

/// Enough for three address spaces with a huge page each, a copy, and a collapse.
const FRAMES: usize = 4096;
/// Address spaces at a time.
pub(crate) const SPACES: usize = 3;

/// An address space with what runs in it, and what it should be.
pub(crate) struct Process {
    pub(crate) number: usize,
    pub(crate) space: Arc<AddressSpace>,
    device: Device,
    pub(crate) flat: Space,
}

pub(crate) struct Engine {
    pub(crate) memory: Arc<Memory>,
    stops: Arc<Stops>,
    iommu: Iommu,
    pub(crate) ksm: Arc<Ksm>,
    cpus: [Worker<CpuState>; 2],
    devices: [Worker<DeviceState>; 2],
    /// Those that stand still, one for each depth.
    operators: [Worker<CpuState>; 2],
    pub(crate) processes: Vec<Process>,
    /// Of the thread that runs the sequence; there is always one until the end.
    task: Option<Task>,
    numbers: usize,
    values: u64,
}

/// Where an operation stands, and what others may do meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) process: usize,
    pub(crate) cell: usize,
    /// It holds a lock that faults wait for: only accesses that do not fault.
    alone: bool,
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
    pub(crate) fn value(&mut self) -> u64 {
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
