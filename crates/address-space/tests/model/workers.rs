//! Threads that wait for work: each keeps what belongs to a thread.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use address_space::{Cpu, DeviceThread};
use mmu_notifier::Task;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread with a state of its own.
pub(crate) struct Worker<S: 'static> {
    jobs: Option<Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

/// A thread of the operating system that runs on a CPU.
pub(crate) struct CpuState {
    pub(crate) task: Task,
    /// By the number of the address space.
    pub(crate) cpus: HashMap<usize, Cpu>,
}

/// A thread of a device. It has no task: its page requests are served by
/// whoever runs it.
#[derive(Default)]
pub(crate) struct DeviceState {
    pub(crate) threads: HashMap<usize, DeviceThread>,
}

impl<S: 'static> Worker<S> {
    /// Starts it; the state is made in the thread.
    pub(crate) fn new(state: fn() -> S) -> Self {
        let (jobs, work) = channel::<Job<S>>();
        let thread = std::thread::spawn(move || {
            let mut state = state();
            for job in work {
                job(&mut state);
            }
        });
        Worker { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Begins some work; the answer comes later, or never if it panics.
    pub(crate) fn begin<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Receiver<R> {
        let (answer, result) = channel();
        let job: Job<S> = Box::new(move |state| {
            if let Ok(done) = catch_unwind(AssertUnwindSafe(|| work(state))) {
                // Nobody waits any more if the test has failed.
                let _ = answer.send(done);
            }
        });
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job).is_ok());
        assert_eq!(sent, Some(true), "the thread waits for work");
        result
    }

    /// Does some work and waits for it.
    pub(crate) fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, String> {
        self.begin(work).recv().map_err(|_| "a thread panicked".to_string())
    }

    /// Ends it and waits until it has.
    pub(crate) fn join(mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("jobs catch their panics");
        }
    }
}

impl CpuState {
    pub(crate) fn new() -> Self {
        let task = Task::current().expect("a new thread has no task");
        CpuState { task, cpus: HashMap::new() }
    }
}
