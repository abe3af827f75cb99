//! The address spaces as a file has them at the beginning.
//!
//! What a `map` line says of an entry is brought about by using the address
//! space: a page that is shared and read-only is written and then forked, one
//! that is read-only and nobody else's is forked and the child ends, the zero
//! page is read. There is no other way to change an entry.

use std::sync::Arc;

use address_space::{
    AddressSpace, Cpu, Device, Error, Iommu, Memory, Observer, Pfn, Schedule, Vma,
};
use mmu_notifier::Task;
use mmu_protocol::{PageSize, Rights, VirtAddr, VirtRange};
use shootdown_litmus::Program;
use shootdown_litmus::program::{Agent, Backing, GlobalKind, Mapping};
use shootdown_step::Shape;

use crate::policy::Policy;

/// Where the first block of pages lies; each block has a table of its own.
const BASE: u64 = 1 << 30;

/// Every page may be read and written as far as its entry allows.
pub(crate) const RW: Vma = Vma { rights: Rights::ReadWrite, huge: false };

/// Where the pages of a test lie.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    addresses: Vec<VirtAddr>,
    own: VirtAddr,
}

impl Layout {
    /// Pages that share a lock lie in one table, and others do not.
    pub(crate) fn of(shape: &Shape) -> Layout {
        let block = PageSize::Huge.bytes();
        let addresses = shape.pages.iter().map(|page| {
            let base = VirtAddr::new(BASE + page.block as u64 * block);
            base.offset(page.index as u64 * PageSize::Base.bytes())
        });
        let own = VirtAddr::new(BASE + shape.blocks.len() as u64 * block);
        Layout { addresses: addresses.collect(), own }
    }

    /// Where a page begins.
    pub(crate) fn address(&self, page: usize) -> VirtAddr {
        self.addresses[page]
    }

    /// How many there are.
    pub(crate) fn pages(&self) -> usize {
        self.addresses.len()
    }

    /// A word of a page.
    pub(crate) fn word(&self, page: usize, word: usize) -> VirtAddr {
        self.addresses[page].offset(word as u64 * 8)
    }

    /// A page.
    pub(crate) fn range(&self, page: usize) -> VirtRange {
        VirtRange::page(self.addresses[page], PageSize::Base)
    }

    /// A page that no file names: what a thread takes from the allocator is
    /// mapped there.
    pub(crate) fn own(&self) -> VirtRange {
        VirtRange::page(self.own, PageSize::Base)
    }
}

/// What watches and steers the address spaces.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) policy: Policy,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) schedule: Option<Arc<dyn Schedule>>,
    pub(crate) yields: bool,
}

impl Hooks {
    fn space(&self, memory: &Arc<Memory>) -> Result<Arc<AddressSpace>, Error> {
        let mut builder = AddressSpace::builder(memory);
        if let Some(observer) = &self.observer {
            builder = builder.observer(observer.clone());
        }
        if let Some(schedule) = &self.schedule {
            builder = builder.schedule(schedule.clone());
        }
        if self.yields {
            builder = builder.yield_after_unlock();
        }
        Ok(self.policy.build(builder)?)
    }
}

/// The address spaces of a test.
pub(crate) struct Ground {
    /// By number; a child is made when its parent forks.
    pub(crate) spaces: Vec<Option<Arc<AddressSpace>>>,
    /// Others that have some of the pages: what makes them shared.
    sharers: Vec<Arc<AddressSpace>>,
    /// By number of the object.
    pub(crate) devices: Vec<Option<Device>>,
    /// What stands for the frames that the file names.
    pub(crate) frames: Vec<Option<Pfn>>,
}

/// Why a file has no address spaces of this kind: one sentence.
pub(crate) fn refusal(program: &Program, shape: &Shape) -> Option<String> {
    if shape.two_levels || shape.pages.iter().any(|page| page.huge) {
        return Some(
            "upper entries that change have no counterpart in a run on threads; \
                     write the test with pages of the lowest table"
                .to_owned(),
        );
    }
    if !shape.softs.is_empty() {
        return Some(
            "a software TLB belongs to a hypervisor or a driver, which threads do not \
                     have; write the test with a device"
                .to_owned(),
        );
    }
    if let Some(context) = shape.contexts.first() {
        return Some(format!(
            "`{}` is a context, and threads run in one address space each",
            context.name
        ));
    }
    if let Some(cache) = shape.caches.iter().find(|cache| cache.noncoherent) {
        return Some(format!("`{}` is not coherent, and the TLBs of threads are", cache.name));
    }
    for (at, page) in shape.pages.iter().enumerate() {
        let twice = |frame| shape.pages[..at].iter().any(|other| other.frame == Some(frame));
        if page.frame.is_some_and(twice) {
            return Some(format!(
                "`{}` has the frame of another page, and the address space has private memory \
                 only; give it a frame of its own",
                page.name
            ));
        }
    }
    for (global, mapping) in mappings(program) {
        if mapping.frame.is_some() && !mapping.readable && !mapping.writable {
            return Some(format!(
                "`{global}` begins without any right, and the address space knows `ro` and `rw` \
                 only"
            ));
        }
        if mapping.writable && mapping.mapped_by > 1 {
            return Some(format!(
                "`{global}` is writable and shared, and the address space has private memory \
                 only; write `ro ... cow x2`, or `rw` without `x2`"
            ));
        }
    }
    let guest = program.threads.iter().find(|thread| matches!(thread.agent, Agent::Guest(_)));
    guest.map(|thread| format!("{} is a guest's CPU, and threads run no guests", thread.name))
}

fn mappings(program: &Program) -> impl Iterator<Item = (&str, &Mapping)> {
    program.globals.iter().filter_map(|global| match &global.kind {
        GlobalKind::Page(mapping) => Some((&*global.name, mapping)),
        _ => None,
    })
}

impl Ground {
    /// Makes them. `children`: spaces that begin when somebody forks.
    pub(crate) fn lay(
        program: &Program,
        shape: &Shape,
        layout: &Layout,
        children: &[usize],
        memory: &Arc<Memory>,
        hooks: &Hooks,
        task: &mut Task,
    ) -> Result<Ground, Error> {
        let mut ground = Ground {
            spaces: Vec::new(),
            sharers: Vec::new(),
            devices: program.objects.iter().map(|_| None).collect(),
            frames: vec![None; shape.frames.len()],
        };
        for space in 0..shape.spaces.len() {
            let born = !children.contains(&space);
            let made = if born { Some(hooks.space(memory)?) } else { None };
            ground.spaces.push(made);
        }
        ground.map(program, shape, layout, task)?;
        for (thread, agent) in program.threads.iter().zip(&shape.agents) {
            let Agent::Device(object) = thread.agent else { continue };
            if ground.devices[object.index()].is_none()
                && let Some(space) = &ground.spaces[agent.space]
            {
                ground.devices[object.index()] = Some(Iommu::new(2, 64).attach(space, task)?);
            }
        }
        Ok(ground)
    }

    fn map(
        &mut self,
        program: &Program,
        shape: &Shape,
        layout: &Layout,
        task: &mut Task,
    ) -> Result<(), Error> {
        let Some(space) = self.spaces[0].clone() else { return Ok(()) };
        let mut cpu = Cpu::new(&space)?;
        let write = |cpu: &mut Cpu, page: usize, task: &mut Task| -> Result<(), Error> {
            let Some(frame) = shape.pages[page].frame else { return Ok(()) };
            for (word, value) in shape.frames[frame].words.iter().enumerate() {
                cpu.store(layout.word(page, word), value.unwrap_or(0) as u64, task)?;
            }
            Ok(())
        };
        // What is read-only comes first: a fork protects all that is there.
        let kind = |mapping: &Mapping| match mapping {
            Mapping { frame: None, .. } | Mapping { backing: Backing::Zero, .. } => 3,
            Mapping { writable: true, .. } => 2,
            Mapping { mapped_by: 0 | 1, cow: false, .. } => 1,
            _ => 0,
        };
        let pages: Vec<(usize, &Mapping)> =
            mappings(program).map(|(_, mapping)| mapping).enumerate().collect();
        for wanted in 0..=3 {
            let mut any = false;
            for (page, mapping) in pages.iter().filter(|(_, mapping)| kind(mapping) == wanted) {
                space.mmap(layout.range(*page), RW)?;
                match wanted {
                    3 if mapping.frame.is_some() => {
                        cpu.load(layout.address(*page), task)?;
                    }
                    3 => {}
                    _ => write(&mut cpu, *page, task)?,
                }
                any = true;
            }
            match wanted {
                0 if any => self.sharers.push(space.fork(task)?),
                1 if any => space.fork(task)?.exit(task)?,
                _ => {}
            }
        }
        for (page, _) in &pages {
            if let Some(frame) = shape.pages[*page].frame {
                let found = space.translate(layout.address(*page));
                self.frames[frame] = found.map(|found| found.pfn);
            }
        }
        Ok(())
    }

    /// Ends everything; whoever used it has stopped.
    pub(crate) fn close(mut self, task: &mut Task) -> Result<(), Error> {
        for device in self.devices.iter_mut().filter_map(Option::take) {
            device.detach(task)?;
        }
        for space in self.spaces.iter().flatten().chain(&self.sharers) {
            space.exit(task)?;
        }
        Ok(())
    }
}
