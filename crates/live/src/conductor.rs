//! Threads that do one thing at a time, and stop wherever they can be stopped.
//!
//! [`Stops`](address_space::Stops) stops a thread where a script says. A run of
//! the checker is not known in advance, so here every worker stops at every
//! point, and whoever conducts says how far it goes on.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use address_space::{Cpu, DeviceThread, Point, Schedule};
use mmu_notifier::Task;

/// After this a worker is taken to wait for a lock that nobody will release.
/// It only bounds how long a mistake takes to be told.
const STUCK: Duration = Duration::from_secs(20);

thread_local! {
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// It has nothing to do.
    Idle,
    /// On its way.
    Running,
    /// It stands at a point.
    Stopped(Point),
}

/// A worker did not come to a point, nor to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stuck;

/// Stops every worker at every point.
pub(crate) struct Conductor {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    at: Vec<At>,
    /// Nobody is stopped any more.
    free: bool,
}

impl Conductor {
    pub(crate) fn new(workers: usize) -> Arc<Conductor> {
        let state = State { at: vec![At::Idle; workers], free: false };
        Arc::new(Conductor { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn set(&self, worker: usize, at: At) {
        self.state().at[worker] = at;
        self.changed.notify_all();
    }

    pub(crate) fn at(&self, worker: usize) -> At {
        self.state().at[worker]
    }

    /// Lets a worker that stands at a point go on to the next one, or to the
    /// end of what it does.
    pub(crate) fn go_on(&self, worker: usize) -> Result<At, Stuck> {
        self.set(worker, At::Running);
        self.wait(worker)
    }

    /// Waits until a worker stands at a point or has nothing to do.
    pub(crate) fn wait(&self, worker: usize) -> Result<At, Stuck> {
        let (state, timeout) = self
            .changed
            .wait_timeout_while(self.state(), STUCK, |state| state.at[worker] == At::Running)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if timeout.timed_out() && state.at[worker] == At::Running {
            return Err(Stuck);
        }
        Ok(state.at[worker])
    }

    /// Everybody goes on, now and from now on.
    pub(crate) fn free(&self) {
        self.state().free = true;
        self.changed.notify_all();
    }
}

impl Schedule for Conductor {
    fn reach(&self, point: Point) {
        // Threads that prepare and tidy up are nobody's workers.
        let Some(worker) = WORKER.get() else { return };
        let mut state = self.state();
        if state.free {
            return;
        }
        state.at[worker] = At::Stopped(point);
        self.changed.notify_all();
        while state.at[worker] == At::Stopped(point) && !state.free {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

/// What a worker works with.
pub(crate) struct Hands {
    pub(crate) task: Task,
    pub(crate) port: Port,
}

/// How a worker reaches memory.
pub(crate) enum Port {
    /// A processor.
    Cpu(Cpu),
    /// A thread of a device.
    Device(DeviceThread),
}

type Job = Box<dyn FnOnce(&mut Hands) + Send>;

/// A thread of the test.
pub(crate) struct Worker {
    number: usize,
    conductor: Arc<Conductor>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker was told and has yet to finish.
pub(crate) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// The result, if it has finished.
    pub(crate) fn result(&self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl Worker {
    /// A thread with this port.
    pub(crate) fn new(number: usize, conductor: &Arc<Conductor>, port: Port) -> Worker {
        let (jobs, todo) = channel::<Job>();
        let thread = std::thread::spawn(move || {
            WORKER.set(Some(number));
            let task = Task::current().expect("a new thread has no task");
            let mut hands = Hands { task, port };
            for job in todo {
                job(&mut hands);
            }
        });
        let conductor = conductor.clone();
        Worker { number, conductor, jobs: Some(jobs), thread: Some(thread) }
    }

    /// Begins something; it stops at its first point.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Hands) -> T + Send + 'static,
    ) -> Result<Pending<T>, Stuck> {
        let (tell, result) = channel();
        self.conductor.set(self.number, At::Running);
        let (conductor, number) = (self.conductor.clone(), self.number);
        let job: Job = Box::new(move |hands| {
            // Nobody listens if the replay has ended early.
            let _ = tell.send(job(hands));
            conductor.set(number, At::Idle);
        });
        let jobs = self.jobs.as_ref().expect("a worker works until it is dropped");
        jobs.send(job).expect("the thread listens until the worker is dropped");
        self.conductor.wait(self.number)?;
        Ok(Pending(result))
    }

    /// Does something that has no points.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Hands) -> T + Send + 'static,
    ) -> Result<T, Stuck> {
        self.begin(job)?.result().ok_or(Stuck)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic was reported where its result was missed.
            let _ = thread.join();
        }
    }
}
