//! A thread of the play: it does what it is told, and may be stopped on the way.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

type Job<H> = Box<dyn FnOnce(&mut H) + Send>;

/// A thread with hands of its own: a CPU and its task, or a device thread.
pub(crate) struct Actor<H> {
    jobs: Option<Sender<Job<H>>>,
    thread: Option<JoinHandle<()>>,
}

/// What an actor was told and has yet to finish.
pub(crate) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the result.
    pub(crate) fn wait(self) -> T {
        self.0.recv().expect("the actor finishes what it was told")
    }
}

impl<H: 'static> Actor<H> {
    /// A thread that makes its hands itself: they may be bound to it.
    pub(crate) fn new(make: impl FnOnce() -> H + Send + 'static) -> Self {
        let (jobs, todo) = channel::<Job<H>>();
        let thread = std::thread::spawn(move || {
            let mut hands = make();
            for job in todo {
                job(&mut hands);
            }
        });
        Actor { jobs: Some(jobs), thread: Some(thread) }
    }

    /// Begins something; the caller goes on.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut H) -> T + Send + 'static,
    ) -> Pending<T> {
        let (tell, result) = channel();
        let job: Job<H> = Box::new(move |hands| {
            // Nobody listens if the play has ended early.
            let _ = tell.send(job(hands));
        });
        let jobs = self.jobs.as_ref().expect("an actor works until it is dropped");
        jobs.send(job).expect("the thread listens until the actor is dropped");
        Pending(result)
    }

    /// Does something and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut H) -> T + Send + 'static,
    ) -> T {
        self.begin(job).wait()
    }
}

impl<H> Drop for Actor<H> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the receiver of its result.
            let _ = thread.join();
        }
    }
}
