//! A run of the checker, step by step on an address space.

mod accesses;
mod calls;
mod ends;

use std::collections::BTreeSet;
use std::sync::Arc;

use address_space::{AddressSpace, Cpu, Error, EventLog, Memory, Pfn};
use mmu_notifier::Task;
use shootdown_litmus::Program;
use shootdown_litmus::program::Agent;
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{Process, Run};
use shootdown_machine::sets::Sets;
use shootdown_step::Lowered;
use shootdown_step::value::entry;

use crate::conductor::{Conductor, Port, Worker};
use crate::ground::{Ground, Hooks, Layout, RW, refusal};
use crate::plan::{Act, Kind, Plan, Planner, What};
use crate::policy::Policy;
use crate::replayed::{Did, Refused, Replayed, ReplayedStep};

use calls::Open;

/// Frames of the machine: more than any test has.
const FRAMES: usize = 256;

/// Drives an address space through the order of a run.
///
/// The run must be one of this machine, and every value, and the frame behind
/// every translated access, must come out as in the run. Under [`Policy::Right`]
/// a witness of a broken protocol is refused, with the step at which the
/// address space does something else.
///
/// # Errors
///
/// [`Refused`]: the step, and why.
pub fn replay(
    program: &Program,
    lowered: &Lowered,
    machine: &Machine<Sets>,
    run: &Run,
    policy: Policy,
) -> Result<Replayed, Refused> {
    let planner = Planner { program, machine, run, policy };
    is_run(planner)?;
    drive(planner, lowered)
}

/// Whether it is a run of the machine at all.
fn is_run(planner: Planner<'_>) -> Result<(), Refused> {
    let Planner { machine, run, .. } = planner;
    if run.start != machine.begin() {
        return Err(refused(
            planner,
            None,
            "the run does not begin as this machine does; it was \
                            found with another program or setting"
                .to_owned(),
        ));
    }
    for (index, (process, choice, after)) in run.steps.iter().enumerate() {
        let mut possible = false;
        machine.steps(planner.state(index), *process, &mut |known, next| {
            possible |= known == *choice && next == *after;
        });
        if !possible {
            let why = "it is no step of the checker's machine from the state before it; a run \
                       whose steps were reordered is none"
                .to_owned();
            return Err(refused(planner, Some(index), why));
        }
    }
    Ok(())
}

/// Does what a run says, whether or not it is one of the machine.
pub(crate) fn drive(planner: Planner<'_>, lowered: &Lowered) -> Result<Replayed, Refused> {
    let whole = |why: String| refused(planner, None, why);
    let shape = &lowered.shape;
    if let Some(why) = refusal(planner.program, shape) {
        return Err(whole(why));
    }
    if planner.machine.world.setting.drain != shootdown_machine::setting::Drain::Yes {
        return Err(whole(
            "accesses that outlive an invalidation (`drain=no`) cannot be driven: \
                          the TLBs of the address space wait for them"
                .to_owned(),
        ));
    }
    if let Some(index) =
        planner.run.steps.iter().position(|(process, ..)| matches!(process, Process::Buffer(_)))
    {
        let why = "a store buffer cannot be driven; search with the memory model `sc`".to_owned();
        return Err(refused(planner, Some(index), why));
    }
    let plan = planner.plan().map_err(|(step, why)| refused(planner, step, why))?;
    let mut task = Task::current().map_err(|_| {
        whole("this thread has a task already; replay from a thread without one".to_owned())
    })?;
    let failed =
        |error: Error| whole(format!("the address spaces of the test cannot be made: {error}"));
    let mut stage = Stand::new(planner, lowered, &plan, &mut task).map_err(failed)?;
    let played = stage.play();
    let closed = stage.close(&mut task);
    let replayed = played?;
    closed.map_err(|error| whole(format!("the address spaces do not end: {error}")))?;
    Ok(replayed)
}

/// A refusal at a step.
fn refused(planner: Planner<'_>, step: Option<usize>, why: String) -> Refused {
    let (thread, text, place) = step.map_or_else(Default::default, |step| said(planner, step));
    let at = [thread, text].join(" ");
    let at = if place.is_empty() { at } else { format!("{at} ({place})") };
    Refused { step, at: at.trim().to_owned(), why, steps: Vec::new() }
}

/// Thread, text and place of a step.
fn said(planner: Planner<'_>, step: usize) -> (String, String, String) {
    let Some((process, ..)) = planner.run.steps.get(step) else {
        return (String::new(), "after the last step".to_owned(), String::new());
    };
    match (planner.taken(step), process) {
        (Some((thread, taken)), _) => {
            let files = &planner.program.files;
            let text = files.text(taken.site.span).lines().next().unwrap_or_default().trim();
            let thread = planner.program.threads[thread].name.to_string();
            (thread, text.to_owned(), files.locate(taken.site.span))
        }
        (None, Process::Queue(queue)) => {
            let queue = &planner.machine.world.shape().queues[*queue].name;
            (queue.to_string(), "executes an invalidation".to_owned(), String::new())
        }
        (None, process) => (format!("{process:?}"), String::new(), String::new()),
    }
}

/// Everything that a replay is played with.
struct Stand<'r> {
    planner: Planner<'r>,
    lowered: &'r Lowered,
    plan: &'r Plan,
    layout: Layout,
    memory: Arc<Memory>,
    log: Arc<EventLog>,
    conductor: Arc<Conductor>,
    ground: Ground,
    workers: Vec<Option<Worker>>,
    open: Vec<Option<Open>>,
    /// Frames of the run and what stands for them.
    frames: Vec<Option<Pfn>>,
    words: Vec<i64>,
    steps: Vec<ReplayedStep>,
    /// What is not as in the run, and may explain a value that is not.
    differs: Vec<(usize, String)>,
    reached_free: Option<String>,
}

type Done = Result<(), (usize, String)>;

impl<'r> Stand<'r> {
    fn new(
        planner: Planner<'r>,
        lowered: &'r Lowered,
        plan: &'r Plan,
        task: &mut Task,
    ) -> Result<Self, Error> {
        let shape = &lowered.shape;
        let layout = Layout::of(shape);
        let memory = Memory::new(FRAMES);
        let log = Arc::new(EventLog::new());
        let threads = planner.program.threads.len();
        let conductor = Conductor::new(threads);
        let hooks = Hooks {
            policy: planner.policy,
            observer: Some(log.clone()),
            schedule: Some(conductor.clone()),
            yields: false,
        };
        let children: Vec<usize> =
            lowered.contracts.iter().filter_map(|contract| contract.child).collect();
        let ground =
            Ground::lay(planner.program, shape, &layout, &children, &memory, &hooks, task)?;
        let takers = plan.acts.iter().filter(|act| matches!(act.what, What::Take { .. }));
        for act in takers {
            // Every table is made now, so that the next frame that is freed is
            // the next one handed out.
            let space = shape.agents[act.thread].space;
            if let Some(space) = &ground.spaces[space]
                && space.mmap(layout.own(), RW).is_ok()
            {
                Cpu::new(space)?.store(layout.own().start(), 0, task)?;
                space.dontneed(layout.own(), task)?;
            }
        }
        let moves = plan.calls.iter().filter_map(|call| match call.kind {
            Kind::Move { to, .. } => Some((shape.agents[call.thread].space, to)),
            _ => None,
        });
        for (space, to) in moves.collect::<BTreeSet<_>>() {
            // A target has to be free, and `none` only means that it is empty.
            let world = &planner.machine.world;
            let empty = entry::frame(world.walk(&planner.run.start, space, to)).is_none();
            if let Some(space) = ground.spaces[space].as_ref().filter(|_| empty) {
                space.munmap(layout.range(to), task)?;
            }
        }
        let frames = ground.frames.clone();
        let words = shape.words.iter().map(|word| word.value).collect();
        log.take();
        Ok(Stand {
            planner,
            lowered,
            plan,
            layout,
            memory,
            log,
            conductor,
            ground,
            workers: (0..threads).map(|_| None).collect(),
            open: (0..threads).map(|_| None).collect(),
            frames,
            words,
            steps: Vec::new(),
            differs: Vec::new(),
            reached_free: None,
        })
    }

    fn play(&mut self) -> Result<Replayed, Refused> {
        let plan = self.plan;
        for act in &plan.acts {
            if let Err((step, why)) = self.act(act) {
                return Err(self.refuse(Some(step), why));
            }
        }
        if let Some((step, why)) = self.differs.first().cloned() {
            // Every value is the same, and yet it is another order.
            return Err(self.refuse(Some(step), why));
        }
        let values = self.values()?;
        Ok(Replayed {
            steps: std::mem::take(&mut self.steps),
            values,
            reached_free: self.reached_free.take(),
        })
    }

    fn refuse(&mut self, step: Option<usize>, why: String) -> Refused {
        let mut refused = refused(self.planner, step, why);
        refused.steps = std::mem::take(&mut self.steps);
        refused
    }

    fn did(&mut self, act: &Act, did: Did) {
        let (_, text, _) = said(self.planner, act.step);
        let thread = self.planner.program.threads[act.thread].name.to_string();
        self.steps.push(ReplayedStep { step: act.step, thread, text, did });
    }

    /// What explains that something is not as in the run.
    fn because(&self) -> String {
        let reasons = self.differs.iter().map(|(step, why)| format!("at step {step} {why}"));
        let reasons: Vec<String> = reasons.collect();
        if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
    }

    fn act(&mut self, act: &Act) -> Done {
        let result = match &act.what {
            What::Differs(why) => {
                self.differs.push((act.step, why.clone()));
                Ok(())
            }
            What::Fill { page, frame } => self.fill(act, *page, *frame),
            What::Reach { call, stage, early } => self.reach(act, *call, *stage, *early),
            What::Return { call } => self.finish(act, *call),
            What::Page(access) => self.page(act, access),
            What::Word { word, old, new } => self.word(act, *word, *old, *new),
            What::Take { frame } => self.take(act, *frame),
            What::Own { word, old, new } => self.own(act, *word, *old, *new),
            What::Probe { page, frame } => self.probe(act, *page, *frame),
        };
        result.map_err(|why| (act.step, why))
    }

    fn space(&self, thread: usize) -> Result<Arc<AddressSpace>, String> {
        let space = self.lowered.shape.agents[thread].space;
        let name = &self.lowered.shape.spaces[space];
        self.ground.spaces[space]
            .clone()
            .ok_or_else(|| format!("the address space `{name}` does not exist yet"))
    }

    fn worker(&mut self, thread: usize) -> Result<&Worker, String> {
        if self.workers[thread].is_none() {
            let port = match self.planner.program.threads[thread].agent {
                Agent::Device(object) => {
                    let device = self.ground.devices[object.index()].as_ref();
                    let device = device.ok_or("the device has no address space")?;
                    Port::Device(device.thread().map_err(|error| error.to_string())?)
                }
                _ => {
                    let space = self.space(thread)?;
                    Port::Cpu(Cpu::new(&space).map_err(|error| error.to_string())?)
                }
            };
            self.workers[thread] = Some(Worker::new(thread, &self.conductor, port));
        }
        Ok(self.workers[thread].as_ref().expect("made just now"))
    }

    fn name(&self, thread: usize) -> String {
        self.planner.program.threads[thread].name.to_string()
    }

    fn close(self, task: &mut Task) -> Result<(), Error> {
        let Stand { workers, ground, conductor, .. } = self;
        conductor.free();
        drop(workers);
        ground.close(task)
    }
}
