//! One iteration: address spaces, words, and how its threads meet.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use address_space::{AddressSpace, Cpu, Error, Memory};
use mmu_notifier::Task;
use shootdown_litmus::Program;
use shootdown_litmus::program::Agent;
use shootdown_machine::outcome::Observable;
use shootdown_step::shape::AgentShape;
use shootdown_step::{Lowered, Shape};

use super::body::{Code, Ended, Outside, Port, run};
use super::random::Random;
use super::window::Window;
use super::{Config, End};
use crate::ground::{Ground, Hooks, Layout};

/// What all iterations have in common.
pub(crate) struct Shared {
    pub(crate) codes: Vec<Arc<Code>>,
    pub(crate) agents: Vec<AgentShape>,
    pub(crate) pages: usize,
    pub(crate) tso: bool,
}

impl Shared {
    pub(crate) fn is_device(&self, thread: usize) -> bool {
        matches!(self.agents[thread].agent, Agent::Device(_))
    }
}

/// An iteration.
pub(crate) struct Instance {
    ground: Ground,
    words: Vec<AtomicI64>,
    /// Children, by number of the address space.
    children: Vec<OnceLock<Arc<AddressSpace>>>,
    window: Arc<Window>,
    layout: Layout,
    arrived: AtomicUsize,
    /// Threads that have begun with an address space and have ended.
    ended: AtomicUsize,
    ends: Vec<Mutex<Ended>>,
}

impl Instance {
    pub(crate) fn new(
        program: &Program,
        shape: &Shape,
        layout: &Layout,
        children: &[usize],
        memory: &Arc<Memory>,
        config: &Config,
        task: &mut Task,
    ) -> Result<Instance, Error> {
        let window = Arc::new(Window::default());
        let hooks = Hooks {
            policy: config.policy,
            observer: None,
            schedule: Some(window.clone()),
            yields: true,
        };
        let ground = Ground::lay(program, shape, layout, children, memory, &hooks, task)?;
        window.range_ends();
        Ok(Instance {
            ground,
            words: shape.words.iter().map(|word| AtomicI64::new(word.value)).collect(),
            children: shape.spaces.iter().map(|_| OnceLock::new()).collect(),
            window,
            layout: layout.clone(),
            arrived: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            ends: program.threads.iter().map(|_| Mutex::default()).collect(),
        })
    }

    /// Runs a thread of the test in the calling thread.
    pub(crate) fn run(
        &self,
        number: usize,
        shared: &Shared,
        random: &mut Random,
        task: Option<&mut Task>,
    ) -> Result<(), Error> {
        let agent = &shared.agents[number];
        let threads = shared.codes.len();
        let first = self.ground.spaces[agent.space].clone();
        let born = first.is_some();
        let mut opened = match (agent.agent, first, task) {
            (Agent::Device(object), ..) => {
                let device = self.ground.devices[object.index()].as_ref();
                let thread = device.ok_or(Error::Device).and_then(|device| device.thread());
                thread.map(|thread| Ok(Port::Device(thread)))
            }
            (_, Some(space), Some(task)) => Cpu::new(&space).map(|cpu| Ok(Port::Cpu(cpu, task))),
            (_, None, Some(task)) => Ok(Err(task)),
            (_, _, None) => Err(Error::Device),
        };
        if let Ok(Ok(port)) = &mut opened {
            // Whatever a TLB may hold, it sometimes does.
            for page in 0..shared.pages {
                if random.below(2) == 0 {
                    port.touch(self.layout.address(page));
                }
            }
        }
        self.meet(threads);
        random.delay();
        let result = match opened {
            Ok(Ok(mut port)) => self.play(number, shared, &mut port),
            Ok(Err(task)) => match self.wait_for(agent.space, threads, shared) {
                Some(space) => Cpu::new(&space)
                    .and_then(|cpu| self.play(number, shared, &mut Port::Cpu(cpu, task))),
                // Nobody forked: the thread never begins.
                None => {
                    let locals = shared.codes[number].locals.clone();
                    self.put(number, Ended { locals, fault: false });
                    Ok(())
                }
            },
            Err(error) => Err(error),
        };
        if born {
            self.ended.fetch_add(1, Ordering::Release);
        }
        result
    }

    fn play(&self, number: usize, shared: &Shared, port: &mut Port<'_>) -> Result<(), Error> {
        let barriers = !shared.tso || shared.is_device(number);
        let ended = run(&shared.codes[number], port, self, barriers)?;
        self.put(number, ended);
        Ok(())
    }

    fn put(&self, number: usize, ended: Ended) {
        *self.ends[number].lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = ended;
    }

    /// Waits until all threads are here.
    fn meet(&self, threads: usize) {
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut turns = 0;
        while self.arrived.load(Ordering::Acquire) < threads {
            turns += 1;
            if turns % 64 == 0 {
                std::thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }

    /// Waits until somebody has made an address space, or nobody will.
    fn wait_for(&self, space: usize, threads: usize, shared: &Shared) -> Option<Arc<AddressSpace>> {
        let later = (0..threads)
            .filter(|thread| self.ground.spaces[shared.agents[*thread].space].is_none())
            .count();
        loop {
            let all_ended = self.ended.load(Ordering::Acquire) + later >= threads;
            if let Some(child) = self.children[space].get() {
                return Some(child.clone());
            }
            if all_ended {
                return None;
            }
            std::thread::yield_now();
        }
    }

    /// Whether somebody looked while something was under way.
    pub(crate) fn hits(&self) -> (bool, bool) {
        self.window.hits()
    }

    /// What the test looks at, when all threads have ended.
    pub(crate) fn end(
        &self,
        looked_at: &[Observable],
        lowered: &Lowered,
        layout: &Layout,
        memory: &Arc<Memory>,
    ) -> End {
        let ends: Vec<Ended> = self
            .ends
            .iter()
            .map(|end| end.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
            .collect();
        let value = |what: &Observable| match *what {
            Observable::Variable(thread, at) => {
                let local = lowered.threads[thread].variables[at].local as usize;
                ends[thread].locals.get(local).copied().unwrap_or(0)
            }
            Observable::Fault(thread) => i64::from(ends[thread].fault),
            Observable::Word(word) => self.words[word].load(Ordering::Acquire),
            Observable::Memory(space, page, word) => {
                let space = self.ground.spaces[space].as_ref().or(self.children[space].get());
                let found = space.and_then(|space| space.translate(layout.address(page)));
                found.map_or(0, |found| {
                    memory.word(found.pfn, word as u64 * 8).load(Ordering::Acquire) as i64
                })
            }
            Observable::Frame(..) => 0,
        };
        looked_at.iter().map(value).collect()
    }

    /// Ends everything.
    pub(crate) fn close(self, task: &mut Task) -> Result<(), Error> {
        for child in self.children.iter().filter_map(OnceLock::get) {
            child.exit(task)?;
        }
        self.ground.close(task)
    }
}

impl Outside for Instance {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn words(&self) -> &[AtomicI64] {
        &self.words
    }

    fn access(&self) {
        self.window.access();
    }

    fn accessed(&self) {
        self.window.range_ends();
    }

    fn call_begins(&self) {
        self.window.call_begins();
    }

    fn call_ends(&self) {
        self.window.call_ends();
    }

    fn born(&self, child: usize, space: Arc<AddressSpace>) {
        // A second fork makes a child that no thread of the test runs in; its
        // pages stay shared until the machine goes.
        let _ = self.children[child].set(space);
    }
}
