//! An address space that is really used while its tables change.
//!
//! Everything the founding document speaks of runs here: radix page tables with
//! split locks, frames with counts and owners, CPU threads and device threads
//! that load and store through translations they have cached. The page-table
//! changes go through [`mmu_notifier`], so the compiler has checked their
//! order; the TLBs are those of [`secondary_tlb`].
//!
//! - [`Memory`] is the machine: frames, most of them free.
//! - [`AddressSpace`] has the operations: `mmap`, `munmap`, `dontneed`,
//!   `mprotect`, `mremap`, `fork`, `replace_page`, `ksm_scan`, `split_huge`,
//!   `collapse`, `exit`, and the page fault behind them.
//! - [`Cpu`] and [`Device`] load and store.
//! - [`Point`]s are places at which a [`Schedule`] can stop a thread.
//! - An [`Observer`] is told each step; [`EventLog`] keeps them.
//! - [`WrongPolicy`] breaks the protocol by name, for showing what happens.
//!
//! # Example
//!
//! ```
//! use address_space::{AddressSpace, Cpu, Memory, Vma};
//! use mmu_notifier::Task;
//! use mmu_protocol::{Rights, VirtAddr, VirtRange};
//!
//! let memory = Memory::new(64);
//! let parent = AddressSpace::new(&memory)?;
//! let mut task = Task::current()?;
//! let mut cpu = Cpu::new(&parent)?;
//!
//! let page = VirtRange::sized(VirtAddr::new(0x1000), 0x1000);
//! parent.mmap(page, Vma { rights: Rights::ReadWrite, huge: false })?;
//! cpu.store(page.start(), 7, &mut task)?;
//!
//! let child = parent.fork(&mut task)?;
//! cpu.store(page.start(), 8, &mut task)?;      // COW: the child keeps the 7
//! assert_eq!(Cpu::new(&child)?.load(page.start(), &mut task)?, 7);
//!
//! drop(cpu);
//! parent.exit(&mut task)?;
//! child.exit(&mut task)?;
//! drop((parent, child));
//! assert_eq!(memory.free_frames(), 63);         // all but the zero page
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buddy;
mod cow;
mod cpu;
mod device;
mod entry;
mod error;
mod exit;
mod fault;
mod fork;
mod huge;
mod ksm;
mod log;
mod memory;
mod platform;
mod point;
mod policy;
mod protect;
mod remap;
mod replace;
mod space;
mod stops;
mod sync;
mod table;
mod verify;
mod vma;
mod walk;
mod zap;

pub use cpu::Cpu;
pub use device::{Device, DeviceThread, Iommu};
pub use entry::{Attr, Pte};
pub use error::Error;
pub use ksm::{Ksm, Merge};
pub use log::EventLog;
pub use memory::{Frame, Mapping, Memory, OutOfFrames, POISON, Pfn, WORDS};
pub use platform::Observer;
pub use point::{Operation, Point, Schedule, Stage};
pub use policy::WrongPolicy;
pub use space::{AddressSpace, Builder};
pub use stops::Stops;
pub use table::END_OF_ADDRESSES;
pub use verify::{Imbalance, verify};
pub use vma::Vma;
pub use walk::Walker;
