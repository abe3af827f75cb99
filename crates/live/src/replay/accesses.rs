//! What threads read and write, in the order of the run.

use address_space::{Error, POISON, Pfn};
use mmu_protocol::{RecordKind, VirtAddr};
use shootdown_step::value::UNDEFINED;

use super::Stand;
use crate::conductor::{Port, Stuck};
use crate::plan::{Act, PageAccess};
use crate::replayed::Did;

/// What an access read, if it reads, and the frame that it used.
type Reached = (Option<i64>, Option<Pfn>);

impl Stand<'_> {
    /// Whether an access without a fault is possible, and what it reached: the
    /// old value if it reads, and the frame.
    fn reach_memory(
        &mut self,
        act: &Act,
        address: VirtAddr,
        reads: bool,
        writes: Option<i64>,
    ) -> Result<Option<Reached>, String> {
        self.log.take();
        let worker = self.worker(act.thread)?;
        let done = worker.run(move |hands| {
            let read = match (&mut hands.port, reads) {
                (_, false) => None,
                (Port::Cpu(cpu), _) => Some(cpu.try_load(address).ok()?),
                (Port::Device(device), _) => Some(device.try_load(address)?),
            };
            match (&mut hands.port, writes) {
                (_, None) => {}
                (Port::Cpu(cpu), Some(value)) => cpu.try_store(address, value as u64).ok()?,
                (Port::Device(device), Some(value)) => device.try_store(address, value as u64)?,
            }
            Some(read)
        });
        let done = done.map_err(|Stuck| "the access does not end".to_owned())?;
        let records = self.log.take();
        let used = records.iter().rev().find_map(|record| match record.kind {
            RecordKind::Use { addr, pfn, .. } if addr == address => Some(pfn),
            _ => None,
        });
        Ok(done.map(|read| (read.map(|read| read as i64), used)))
    }

    fn page_name(&self, page: usize, word: usize) -> String {
        let name = &self.lowered.shape.pages[page].name;
        if word == 0 { name.to_string() } else { format!("{name}[{word}]") }
    }

    fn frame_name(&self, frame: usize) -> String {
        self.lowered.shape.frames[frame].name.to_string()
    }

    /// What a frame is called in the run, for a frame of the address space.
    fn known_as(&self, pfn: Pfn) -> String {
        match self.frames.iter().position(|known| *known == Some(pfn)) {
            Some(frame) => self.frame_name(frame),
            None => format!("frame {pfn}, which the run does not have"),
        }
    }

    pub(super) fn page(&mut self, act: &Act, access: &PageAccess) -> Result<(), String> {
        let PageAccess { page, word, frame, old, new, reads } = *access;
        let name = self.page_name(page, word);
        let expected = self.frame_name(frame);
        let address = self.layout.word(page, word);
        let Some((read, used)) = self.reach_memory(act, address, reads, new)? else {
            return Err(format!(
                "in the run {name} leads to {expected}, and here the access faults: no TLB has the \
                 entry any more and the table does not grant it{}",
                self.because()
            ));
        };
        if let (Some(used), Some(wanted)) = (used, self.frames[frame])
            && used != wanted
        {
            return Err(format!(
                "in the run {name} leads to {expected}, and here to {}{}",
                self.known_as(used),
                self.because()
            ));
        }
        if let Some(read) = read
            && old != UNDEFINED
            && read != old
        {
            let read = if read == POISON as i64 {
                "what a free page holds".to_owned()
            } else {
                read.to_string()
            };
            return Err(format!(
                "in the run it reads {name} = {old}, and here {read}{}",
                self.because()
            ));
        }
        let (value, write) = (new.or(read).unwrap_or(old), new.is_some());
        self.did(act, Did::Accessed { name, value, frame: used, write });
        Ok(())
    }

    pub(super) fn word(
        &mut self,
        act: &Act,
        word: usize,
        old: i64,
        new: Option<i64>,
    ) -> Result<(), String> {
        let name = self.lowered.shape.words[word].name.to_string();
        if self.words[word] != old {
            let found = self.words[word];
            return Err(format!("in the run {name} = {old}, and here {found}{}", self.because()));
        }
        if let Some(new) = new {
            self.words[word] = new;
        }
        let (value, write) = (new.unwrap_or(old), new.is_some());
        self.did(act, Did::Accessed { name, value, frame: None, write });
        Ok(())
    }

    pub(super) fn fill(&mut self, act: &Act, page: usize, frame: usize) -> Result<(), String> {
        let address = self.layout.address(page);
        let reached = self.reach_memory(act, address, true, None)?;
        let used = reached.and_then(|(_, used)| used);
        let name = self.page_name(page, 0);
        match used {
            Some(used) if self.frames[frame].is_none_or(|wanted| wanted == used) => {
                self.did(act, Did::Filled { page: name, frame: used });
                Ok(())
            }
            Some(used) => Err(format!(
                "{} needs {name} -> {} in its TLB from here on, which still has {name} -> {}: a \
                 TLB of the address space has one entry for each page",
                self.name(act.thread),
                self.frame_name(frame),
                self.known_as(used)
            )),
            None => Err(format!(
                "{} needs {name} -> {} in its TLB from here on, and a walk does not give it{}",
                self.name(act.thread),
                self.frame_name(frame),
                self.because()
            )),
        }
    }

    pub(super) fn take(&mut self, act: &Act, frame: usize) -> Result<(), String> {
        let (space, own) = (self.space(act.thread)?, self.layout.own().start());
        let worker = self.worker(act.thread)?;
        let done = worker.run(move |hands| match &mut hands.port {
            Port::Cpu(cpu) => cpu.store(own, 0, &mut hands.task),
            Port::Device(_) => Err(Error::Device),
        });
        let done = done.map_err(|Stuck| "the allocation does not end".to_owned())?;
        done.map_err(|error| format!("the allocation fails: {error}"))?;
        let Some(found) = space.translate(own) else {
            return Err("the frame is gone again".to_owned());
        };
        if let Some(wanted) = self.frames[frame]
            && wanted != found.pfn
        {
            return Err(format!(
                "in the run it gets {}, which the address space has not freed yet{}",
                self.frame_name(frame),
                self.because()
            ));
        }
        self.frames[frame] = Some(found.pfn);
        self.did(act, Did::Allocated(found.pfn));
        Ok(())
    }

    pub(super) fn own(
        &mut self,
        act: &Act,
        word: usize,
        old: i64,
        new: Option<i64>,
    ) -> Result<(), String> {
        let address = self.layout.own().start().offset(word as u64 * 8);
        let reached = self.reach_memory(act, address, new.is_none(), new)?;
        let Some((read, frame)) = reached else {
            return Err("the page that it took is gone".to_owned());
        };
        if let Some(read) = read
            && read != old
        {
            return Err(format!("in the run it reads {old}, and here {read}{}", self.because()));
        }
        let (value, write) = (new.or(read).unwrap_or(old), new.is_some());
        self.did(act, Did::Accessed { name: "its own page".to_owned(), value, frame, write });
        Ok(())
    }

    /// The device still reaches a page that nobody has.
    pub(super) fn probe(&mut self, act: &Act, page: usize, frame: usize) -> Result<(), String> {
        let address = self.layout.address(page);
        let reached = self.reach_memory(act, address, true, None)?;
        let name = self.page_name(page, 0);
        let Some((Some(value), Some(used))) = reached else {
            return Err(format!(
                "in the run {} can still use {name} -> {}, which is free, and here the access \
                 faults{}",
                self.name(act.thread),
                self.frame_name(frame),
                self.because()
            ));
        };
        if self.frames[frame] == Some(used) && self.memory.references(used) != 0 {
            return Err(format!(
                "in the run {name} leads to {}, which is free, and here somebody still has it{}",
                self.frame_name(frame),
                self.because()
            ));
        }
        if self.frames[frame] != Some(used) {
            return Err(format!(
                "in the run {} can still use {name} -> {}, which is free, and here it reaches {}{}",
                self.name(act.thread),
                self.frame_name(frame),
                self.known_as(used),
                self.because()
            ));
        }
        let value = if value == POISON as i64 { "poison".to_owned() } else { value.to_string() };
        self.reached_free = Some(format!(
            "{} still reaches frame {used} through {name}, and it is free: reads {value}",
            self.name(act.thread)
        ));
        Ok(())
    }
}
