//! The scaled family: P pages that are copied on write, D devices that read.
//!
//! For each page a thread: 0 range_start, 1 lock, 2 clear, 3 flush the CPU TLB,
//! 4 notify (under the lock only), 5 set, 6 unlock, 7 range_end (and notify if
//! that was put off), 8 done. A writer writes page 0, 1, ... as soon as its new
//! entry is there. A device may fill an entry from the table at any time and
//! reads the pages from the last to the first. Wrong is a new value followed by
//! an old one.
//!
//! Fills are explicit steps, so that the counts can be compared with those that
//! other checkers gave for the same model.

use shootdown_explore::{Field, Layout, Model, Packed};

/// When the devices are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Never,
    UnderLock,
    AtRangeEnd,
}

#[derive(Clone)]
struct Device {
    tlb: Vec<Field>,
    /// Pages still to be read.
    left: Field,
    seen: Field,
    bad: Field,
}

impl Device {
    /// All that tells it from another one.
    fn key(&self, state: &u64) -> u64 {
        let mut key = state.get(self.left) << 2 | state.get(self.seen) << 1;
        key |= state.get(self.bad);
        self.tlb.iter().fold(key, |key, field| key << 2 | state.get(*field))
    }
}

pub(crate) struct Family {
    pages: usize,
    policy: Policy,
    per_page_locks: bool,
    pc: Vec<Field>,
    written: Vec<Field>,
    devices: Vec<Device>,
}

const OLD: u64 = 1;
const NEW: u64 = 2;

impl Family {
    pub(crate) fn new(pages: usize, writers: usize, devices: usize, policy: Policy) -> Self {
        let mut layout = Layout::new();
        let values = pages as u64 + 1;
        let device = |layout: &mut Layout| Device {
            tlb: (0..pages).map(|_| layout.field(3)).collect(),
            left: layout.field(values),
            seen: layout.field(2),
            bad: layout.field(2),
        };
        let pc = (0..pages).map(|_| layout.field(9)).collect();
        let written = (0..writers).map(|_| layout.field(values)).collect();
        let devices = (0..devices).map(|_| device(&mut layout)).collect();
        assert_eq!(layout.words(), 1);
        Family { pages, policy, per_page_locks: false, pc, written, devices }
    }

    pub(crate) fn per_page_locks(mut self) -> Self {
        self.per_page_locks = true;
        self
    }

    /// How many states differ from this one only by which device is which.
    pub(crate) fn orbit(&self, state: &u64) -> u64 {
        let mut keys: Vec<u64> = self.devices.iter().map(|device| device.key(state)).collect();
        keys.sort_unstable();
        let factorial = |n: usize| (1..=n as u64).product::<u64>();
        let equal = keys.chunk_by(|a, b| a == b).map(|equal| factorial(equal.len()));
        factorial(keys.len()) / equal.product::<u64>()
    }

    fn entry(&self, state: &u64, page: usize) -> u64 {
        match state.get(self.pc[page]) {
            0..=2 => OLD,
            3..=5 => 0,
            _ => NEW,
        }
    }

    fn is_written(&self, state: &u64, page: usize) -> bool {
        self.written.iter().any(|written| (page as u64) < state.get(*written))
    }

    fn page_thread(&self, state: &u64, page: usize) -> Option<u64> {
        let pc = state.get(self.pc[page]);
        let held = || self.pc.iter().any(|pc| (2..=6).contains(&state.get(*pc)));
        if pc == 8 || (pc == 1 && !self.per_page_locks && held()) {
            return None;
        }
        let mut next = *state;
        if pc == 4 || (pc == 7 && self.policy == Policy::AtRangeEnd) {
            for device in &self.devices {
                next.set(device.tlb[page], 0);
            }
        }
        let skip = pc == 3 && self.policy != Policy::UnderLock;
        next.set(self.pc[page], if skip { 5 } else { pc + 1 });
        Some(next)
    }

    fn device(&self, state: &u64, device: &Device, each: &mut dyn FnMut(u32, u64)) {
        let left = state.get(device.left);
        if left > 0 {
            let page = left as usize - 1;
            let translation = state.get(device.tlb[page]);
            if translation != 0 {
                let value = translation == NEW && self.is_written(state, page);
                let seen = state.get(device.seen) == 1;
                let mut next = *state;
                next.set(device.left, left - 1);
                next.set(device.seen, u64::from(seen || value));
                if seen && !value {
                    next.set(device.bad, 1);
                }
                each(0, next);
            }
        }
        for page in 0..self.pages {
            let entry = self.entry(state, page);
            if state.get(device.tlb[page]) == 0 && entry != 0 {
                let mut next = *state;
                next.set(device.tlb[page], entry);
                each(1 + page as u32, next);
            }
        }
    }
}

impl Model for Family {
    type State = u64;
    type Open = u64;

    fn open(&self, state: &u64) -> u64 {
        *state
    }

    fn close(&self, open: &u64) -> u64 {
        *open
    }

    fn initial(&self) -> Vec<u64> {
        let mut state = 0;
        for device in &self.devices {
            state.set(device.left, self.pages as u64);
        }
        vec![state]
    }

    fn processes(&self) -> usize {
        self.pages + self.written.len() + self.devices.len()
    }

    fn steps(&self, state: &u64, process: usize, each: &mut dyn FnMut(u32, u64)) {
        if process < self.pages {
            if let Some(next) = self.page_thread(state, process) {
                each(0, next);
            }
            return;
        }
        let process = process - self.pages;
        if let Some(written) = self.written.get(process) {
            let page = state.get(*written) as usize;
            if page < self.pages && self.entry(state, page) == NEW {
                let mut next = *state;
                next.set(*written, page as u64 + 1);
                each(0, next);
            }
            return;
        }
        self.device(state, &self.devices[process - self.written.len()], each);
    }

    fn broken(&self, state: &u64) -> u64 {
        u64::from(self.devices.iter().any(|device| state.get(device.bad) == 1))
    }

    fn is_end(&self, state: &u64) -> bool {
        self.pc.iter().all(|pc| state.get(*pc) == 8)
    }

    /// Steps of a page thread that nobody can tell from not having been taken:
    /// range_start, flush and unlock, and range_end unless it notifies.
    ///
    /// Releasing the lock enables other threads and disables nobody, so it may
    /// be taken at once as well; taking the lock may not.
    fn may_fuse(&self, state: &u64, process: usize) -> bool {
        if process >= self.pages {
            return false;
        }
        match state.get(self.pc[process]) {
            0 | 3 | 6 => true,
            7 => self.policy != Policy::AtRangeEnd,
            _ => false,
        }
    }

    fn canonical(&self, state: u64) -> u64 {
        let mut order: Vec<usize> = (0..self.devices.len()).collect();
        order.sort_by_key(|device| self.devices[*device].key(&state));
        let mut sorted = state;
        for (to, from) in self.devices.iter().zip(order.iter().map(|from| &self.devices[*from])) {
            let pairs = to.tlb.iter().zip(&from.tlb);
            let rest = [(&to.left, &from.left), (&to.seen, &from.seen), (&to.bad, &from.bad)];
            for (to, from) in pairs.chain(rest) {
                sorted.set(*to, state.get(*from));
            }
        }
        sorted
    }
}
