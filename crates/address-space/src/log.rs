//! A log of records, in one order for all threads.

use std::fmt;

use mmu_protocol::{Record, RecordKind};

use crate::platform::Observer;
use crate::sync::{Mutex, lock};

/// Keeps every record it is told.
#[derive(Default)]
pub struct EventLog {
    records: Mutex<Vec<Record>>,
}

impl EventLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The records so far, in the order in which they were told.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.records).clone()
    }

    /// The records so far, and empties the log.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.records))
    }

    /// How many of the records are of this kind.
    pub fn count(&self, kind: impl Fn(&RecordKind) -> bool) -> usize {
        lock(&self.records).iter().filter(|record| kind(&record.kind)).count()
    }
}

impl Observer for EventLog {
    fn record(&self, record: Record) {
        lock(&self.records).push(record);
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("len", &lock(&self.records).len()).finish()
    }
}
