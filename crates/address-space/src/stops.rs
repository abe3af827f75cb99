//! A schedule by hand: threads stop where they are told and go on when told.

use std::collections::HashMap;
use std::fmt;

use crate::point::{Operation, Point, Schedule, Stage};
use crate::sync::{Condvar, Mutex, lock};
use mmu_protocol::VirtAddr;

/// Where a thread can be stopped: a point in any address space.
type Place = (Operation, Stage, VirtAddr);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Whoever comes here stops.
    Armed,
    /// Somebody stands here.
    Reached,
    /// Whoever stands here goes on.
    Passed,
}

/// Stops threads at points, each once.
///
/// Unless a point was armed, threads pass it without noticing.
#[derive(Default)]
pub struct Stops {
    stops: Mutex<HashMap<Place, Stop>>,
    changed: Condvar,
}

impl Stops {
    /// Nobody is stopped anywhere.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next thread that comes to this point stops there.
    pub fn arm(&self, operation: Operation, stage: Stage, addr: VirtAddr) {
        lock(&self.stops).insert((operation, stage, addr), Stop::Armed);
    }

    /// Waits until a thread stands at an armed point.
    pub fn wait(&self, operation: Operation, stage: Stage, addr: VirtAddr) {
        let place = (operation, stage, addr);
        let mut stops = lock(&self.stops);
        while stops.get(&place) == Some(&Stop::Armed) {
            stops = self.changed.wait(stops).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Lets the thread that stands at this point, or will, go on.
    pub fn pass(&self, operation: Operation, stage: Stage, addr: VirtAddr) {
        lock(&self.stops).insert((operation, stage, addr), Stop::Passed);
        self.changed.notify_all();
    }

    /// Lets everybody go on, now and from now on.
    pub fn pass_all(&self) {
        lock(&self.stops).values_mut().for_each(|stop| *stop = Stop::Passed);
        self.changed.notify_all();
    }
}

impl Schedule for Stops {
    fn reach(&self, point: Point) {
        let place = (point.operation, point.stage, point.addr);
        let mut stops = lock(&self.stops);
        match stops.get_mut(&place) {
            Some(stop @ Stop::Armed) => *stop = Stop::Reached,
            _ => return,
        }
        self.changed.notify_all();
        while stops.get(&place) == Some(&Stop::Reached) {
            stops = self.changed.wait(stops).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        // It may have been armed again already, for the next thread.
        if stops.get(&place) == Some(&Stop::Passed) {
            stops.remove(&place);
        }
    }
}

impl fmt::Debug for Stops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stops").field("armed", &lock(&self.stops).len()).finish()
    }
}
