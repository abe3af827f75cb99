//! A mirror is filled only with what is still so.
#![cfg(not(any(loom, shuttle)))]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;

use mmu_notifier::protocol::{Event, VirtAddr, VirtRange};
use mmu_notifier::{
    Blockable, Interval, MirrorError, MirrorTable, Notifier, RangeInfo, Retry, Sequenced, Task,
    WouldBlock,
};

/// Page address to frame.
#[derive(Default)]
struct Table(BTreeMap<u64, u64>);

// SAFETY: INV-MIRROR: the map is the only place where entries are, and nobody
// uses one outside its lock.
unsafe impl MirrorTable for Table {
    type Pages = Vec<(u64, u64)>;

    fn install(&mut self, pages: Vec<(u64, u64)>) {
        self.0.extend(pages);
    }

    fn invalidate(&mut self, range: VirtRange) {
        self.0.retain(|addr, _| !range.contains(VirtAddr::new(*addr)));
    }
}

type Mirror = Interval<Mutex<Sequenced<Table>>>;

const PAGES: VirtRange = VirtRange::sized(VirtAddr::new(0x10_000), 0x4000);

fn mirror() -> Mirror {
    Interval::new(PAGES, Mutex::new(Sequenced::new(Table::default())))
}

fn info(start: u64, len: u64) -> RangeInfo {
    RangeInfo::new(VirtRange::sized(VirtAddr::new(start), len), Event::Clear, Blockable::Yes)
}

fn frames(mirror: &Mirror) -> Vec<(u64, u64)> {
    mirror.with_table(|table| table.0.iter().map(|(addr, pfn)| (*addr, *pfn)).collect())
}

#[test]
fn a_range_between_read_and_install_forces_a_retry() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let tries = Cell::new(0);
    let done: Result<(), MirrorError<()>> = mirror.mirror(&mut task, |_| {
        tries.set(tries.get() + 1);
        if tries.get() == 1 {
            // The page changes after it was read.
            mirror.range_start(&info(0x11_000, 0x1000)).unwrap();
            mirror.range_end(&info(0x11_000, 0x1000));
            return Ok(vec![(0x11_000, 7)]);
        }
        Ok(vec![(0x11_000, 8)])
    });
    done.unwrap();
    assert_eq!((tries.get(), frames(&mirror)), (2, vec![(0x11_000, 8)]));
}

#[test]
fn nothing_is_installed_while_a_range_runs() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let sequence = mirror.read_begin(&mut task).unwrap();
    mirror.range_start(&info(0x10_000, 0x1000)).unwrap();
    assert_eq!(sequence.validate().unwrap_err(), Retry);
    mirror.range_end(&info(0x10_000, 0x1000));
    assert!(mirror.read_begin(&mut task).unwrap().validate().is_ok());
}

#[test]
fn a_range_drops_what_it_touches_and_nothing_else() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let valid = mirror.read_begin(&mut task).unwrap().validate().unwrap();
    valid.install(vec![(0x10_000, 1), (0x11_000, 2), (0x13_000, 3)]);
    mirror.range_start(&info(0x11_000, 0x2000)).unwrap();
    assert_eq!(frames(&mirror), [(0x10_000, 1), (0x13_000, 3)]);
    mirror.range_end(&info(0x11_000, 0x2000));
}

#[test]
fn a_range_elsewhere_does_not_disturb_a_fill() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let sequence = mirror.read_begin(&mut task).unwrap();
    let elsewhere = info(0x14_000, 0x1000);
    mirror.range_start(&elsewhere).unwrap();
    assert!(sequence.validate().is_ok(), "the end of the interval is not in it");
    mirror.range_end(&elsewhere);
}

#[test]
fn a_start_that_must_not_sleep_is_refused_while_the_table_is_locked() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let valid = mirror.read_begin(&mut task).unwrap().validate().unwrap();
    let hurried = RangeInfo::new(PAGES, Event::Clear, Blockable::No);
    assert_eq!(mirror.range_start(&hurried), Err(WouldBlock));
    drop(valid);
    assert_eq!(mirror.range_start(&hurried), Ok(()));
    mirror.range_end(&hurried);
}

#[test]
fn after_release_nothing_can_be_filled() {
    let mirror = mirror();
    let mut task = Task::current().unwrap();
    let sequence = mirror.read_begin(&mut task).unwrap();
    mirror.release();
    assert_eq!(sequence.validate().unwrap_err(), Retry);
    assert!(mirror.read_begin(&mut task).is_none());
    let refused = mirror.mirror(&mut task, |_| Ok::<_, ()>(vec![(0x10_000, 1)]));
    assert_eq!(refused, Err(MirrorError::Released));
    assert_eq!(frames(&mirror), []);
}
