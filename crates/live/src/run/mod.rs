//! A test on real threads, many times: as litmus7 does it.
//!
//! For each iteration the address spaces are made anew, as the file has them at
//! the beginning; they are made in batches, so that the threads go from one
//! iteration to the next without waiting for anybody but each other. A thread
//! of the test is a thread of the system: `P` loads and stores through a
//! processor's TLB and makes calls, `D` through a device's. Words that nobody
//! remaps are atomics. Before an iteration a thread touches some pages, so that
//! TLBs hold old entries, and then waits a little, each time another while.
//!
//! What the threads may do is what user programs may: the kernel is the address
//! space. A file with kernel code of its own is refused.

mod allowed;
mod body;
mod histogram;
mod instance;
mod random;
mod user;
mod window;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use address_space::{Error, Memory};
use mmu_notifier::Task;
use shootdown_litmus::Program;
use shootdown_machine::outcome::{Observable, holds, name, value_name};
use shootdown_machine::setting::{MemoryModel, Setting};
use shootdown_step::{Lowered, Target, lower};

use crate::ground::Layout;
use crate::policy::Policy;

pub use allowed::{Allowed, allowed};
pub use histogram::{Histogram, State, WindowHits};

use body::Code;
use instance::{Instance, Shared};

/// How a test is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Iterations.
    pub iterations: u64,
    /// Made and taken down at a time.
    pub batch: usize,
    /// Ends earlier after this.
    pub limit: Option<Duration>,
    /// Which protocol the address space follows.
    pub policy: Policy,
    /// CPU threads may be ahead of their own stores, as on x86; otherwise a
    /// full barrier follows each store. Devices always wait.
    pub tso: bool,
    /// Dials that are turned for the checker's machine: name, value. Real
    /// threads have the processor that they run on.
    pub params: Vec<(String, String)>,
    /// States that the checker may visit to find what is allowed.
    pub states: u64,
    /// Where the random numbers begin.
    pub seed: u64,
}

impl Config {
    /// The memory model that allows what the threads can do.
    fn model(&self) -> MemoryModel {
        if self.tso { MemoryModel::Tso } else { MemoryModel::Sc }
    }
}

impl Default for Config {
    /// Ten thousand iterations under the right policy, with barriers.
    fn default() -> Self {
        Config {
            iterations: 10_000,
            batch: 50,
            limit: None,
            policy: Policy::Right,
            tso: false,
            params: Vec::new(),
            states: 5_000_000,
            seed: 1,
        }
    }
}

/// Why a test is not run on threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRun {
    /// `file:line:col`, if there is one.
    pub place: Option<String>,
    /// One sentence.
    pub why: String,
    /// It is not the test: the address space gave up.
    pub failed: bool,
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: error: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for NotRun {}

/// Final values of what the test looks at.
type End = Vec<i64>;

/// Runs a test on threads.
///
/// # Errors
///
/// [`NotRun`] if user programs could not do what the test does, or the address
/// space has no counterpart for something in it.
pub fn run(program: &Program, config: &Config) -> Result<Histogram, NotRun> {
    let whole = |why: String| NotRun { place: None, why, failed: false };
    let setting = Setting::of(program, config.model(), &config.params)
        .map_err(|dial| whole(dial.to_string()))?;
    user::check(program)?;
    let lowered =
        lower(program, Target::Machine, setting.dials()).map_err(|unsupported| NotRun {
            place: Some(program.files.locate(unsupported.span)),
            why: unsupported.why,
            failed: false,
        })?;
    let codes = user::compile(program, &lowered.shape)?;
    if let Some(why) = crate::ground::refusal(program, &lowered.shape) {
        return Err(whole(why));
    }
    let looked_at = shootdown_machine::outcome::shown(program, &lowered);
    if looked_at.iter().any(|what| matches!(what, Observable::Frame(..))) {
        return Err(whole(
            "the condition looks at a frame, which user programs cannot; look at the page or at a \
             register"
                .to_owned(),
        ));
    }
    let allowed = allowed(program, &lowered, setting, &looked_at, config.states);
    let started = Instant::now();
    let counted =
        Runner::new(program, &lowered, codes, &looked_at, config).count().map_err(|error| {
            NotRun { failed: true, ..whole(format!("the address space fails: {error}")) }
        })?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(summarize(program, &lowered, &looked_at, &allowed, counted, seconds))
}

/// What came out.
struct Counted {
    ends: BTreeMap<End, u64>,
    iterations: u64,
    window: WindowHits,
}

fn summarize(
    program: &Program,
    lowered: &Lowered,
    looked_at: &[Observable],
    allowed: &Allowed,
    counted: Counted,
    seconds: f64,
) -> Histogram {
    let named = |end: &End| -> State {
        let name = |what: &Observable| name(lowered, program, *what);
        looked_at.iter().map(name).zip(end.iter().map(|value| value_name(*value))).collect()
    };
    let holds_at = |end: &End, prop| {
        holds(prop, lowered, &|what| {
            let at = looked_at.iter().position(|known| *known == what);
            at.map_or(shootdown_step::value::UNDEFINED, |at| end[at])
        })
    };
    let counts = |end: &End| program.filter.as_ref().is_none_or(|filter| holds_at(end, filter));
    let condition = program.condition.as_ref();
    let satisfies = |end: &End| condition.is_none_or(|condition| holds_at(end, &condition.prop));
    let mut histogram = Histogram {
        test: program.header.name.to_string(),
        condition: condition.map_or_else(
            || "forall (true)".to_owned(),
            |condition| one_line(program.files.text(condition.span)),
        ),
        quantifier: condition.map_or(shootdown_litmus::program::Quantifier::Forall, |condition| {
            condition.quantifier
        }),
        states: Vec::new(),
        satisfying: Vec::new(),
        iterations: counted.iterations,
        seconds,
        window: counted.window,
        outside: Vec::new(),
        allowed_not_seen: Vec::new(),
        unchecked: allowed.incomplete.clone(),
    };
    for (end, count) in counted.ends.iter().filter(|(end, _)| counts(end)) {
        histogram.states.push((named(end), *count));
        histogram.satisfying.push(satisfies(end));
        if allowed.incomplete.is_none() && !allowed.ends.contains(end) {
            histogram.outside.push((named(end), *count));
        }
    }
    let missing = allowed.ends.iter().filter(|end| counts(end) && !counted.ends.contains_key(*end));
    histogram.allowed_not_seen = missing.map(named).collect();
    histogram
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything that stays the same from batch to batch.
struct Runner<'r> {
    program: &'r Program,
    lowered: &'r Lowered,
    looked_at: &'r [Observable],
    config: &'r Config,
    layout: Layout,
    codes: Vec<Arc<Code>>,
    children: Vec<usize>,
    memory: Arc<Memory>,
}

type Batch = Arc<Vec<Instance>>;

impl<'r> Runner<'r> {
    fn new(
        program: &'r Program,
        lowered: &'r Lowered,
        codes: Vec<Arc<Code>>,
        looked_at: &'r [Observable],
        config: &'r Config,
    ) -> Self {
        let shape = &lowered.shape;
        let children: Vec<usize> = (0..shape.spaces.len())
            .filter(|space| codes.iter().any(|code| code.forks(*space)))
            .collect();
        // Tables of three levels and a page for each name, in each address
        // space and its sharer, and copies by every thread.
        let spaces = shape.spaces.len() + 2;
        let each = 4 + shape.pages.len() * (3 + program.threads.len());
        let memory = Memory::new(64 + config.batch.max(1) * spaces * each);
        let layout = Layout::of(shape);
        Runner { program, lowered, looked_at, config, layout, codes, children, memory }
    }

    fn count(&self) -> Result<Counted, Error> {
        let task = &mut Task::current().map_err(|_| Error::Nested)?;
        let shared = Arc::new(Shared {
            codes: self.codes.clone(),
            agents: self.lowered.shape.agents.clone(),
            pages: self.lowered.shape.pages.len(),
            tso: self.config.tso,
        });
        let threads: Vec<Thread> = (0..self.codes.len())
            .map(|thread| Thread::new(thread, self.config.seed, &shared))
            .collect();
        let started = Instant::now();
        let in_time = || self.config.limit.is_none_or(|limit| started.elapsed() < limit);
        let mut counted =
            Counted { ends: BTreeMap::new(), iterations: 0, window: WindowHits::default() };
        while counted.iterations < self.config.iterations && in_time() {
            let left = self.config.iterations - counted.iterations;
            let size = (self.config.batch.max(1) as u64).min(left);
            let batch = (0..size).map(|_| self.instance(task)).collect::<Result<Vec<_>, _>>()?;
            let batch: Batch = Arc::new(batch);
            for thread in &threads {
                thread.begin(&batch);
            }
            // All of them: none may still have the batch.
            let results: Vec<_> = threads.iter().map(Thread::wait).collect();
            let failed = results.into_iter().find_map(Result::err);
            let batch = Arc::into_inner(batch).expect("every thread has given it back");
            for instance in batch {
                let end = instance.end(self.looked_at, self.lowered, &self.layout, &self.memory);
                *counted.ends.entry(end).or_default() += 1;
                counted.iterations += 1;
                counted.window.add(instance.hits());
                instance.close(task)?;
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(counted)
    }

    fn instance(&self, task: &mut Task) -> Result<Instance, Error> {
        Instance::new(
            self.program,
            &self.lowered.shape,
            &self.layout,
            &self.children,
            &self.memory,
            self.config,
            task,
        )
    }
}

/// A thread of the system that runs a thread of the test.
struct Thread {
    batches: Option<Sender<Batch>>,
    done: Receiver<Result<(), Error>>,
    handle: Option<std::thread::JoinHandle<()>>,
}

impl Thread {
    fn new(number: usize, seed: u64, shared: &Arc<Shared>) -> Thread {
        let (batches, todo) = channel::<Batch>();
        let (tell, done) = channel();
        let shared = shared.clone();
        let handle = std::thread::spawn(move || {
            let mut random = random::Random::new(seed, number as u64);
            // A device's faults are served in its own thread only if that is
            // no task.
            let mut task = match shared.is_device(number) {
                true => None,
                false => Some(Task::current().expect("a new thread has no task")),
            };
            for batch in todo {
                let mut result = Ok(());
                for instance in batch.iter() {
                    let done = instance.run(number, &shared, &mut random, task.as_mut());
                    result = result.and(done);
                }
                drop(batch);
                if tell.send(result).is_err() {
                    return;
                }
            }
        });
        Thread { batches: Some(batches), done, handle: Some(handle) }
    }

    fn begin(&self, batch: &Batch) {
        let batches = self.batches.as_ref().expect("it works until it is dropped");
        batches.send(batch.clone()).expect("the thread listens until it is dropped");
    }

    fn wait(&self) -> Result<(), Error> {
        self.done.recv().expect("a thread of the test does not panic")
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(handle) = self.handle.take() {
            // A panic was reported where its result was missed.
            let _ = handle.join();
        }
    }
}
