//! A run of the machine as a timeline.

use shootdown_litmus::primitives::LifeOp;
use shootdown_litmus::program::{Agent, FunctionId};
use shootdown_machine::machine::Machine;
use shootdown_machine::model::{Process, Run};
use shootdown_machine::outcome::value_name;
use shootdown_machine::run::{FAULT, frame_of_choice, marks};
use shootdown_machine::sets::Sets;
use shootdown_machine::setting::HwDirty;
use shootdown_machine::state::State;
use shootdown_machine::weak::age_of;
use shootdown_step::shape::Kept;
use shootdown_step::value::frame_of_page;
use shootdown_step::value::{entry, page_of_address};
use shootdown_step::{Access, DirtyAct, Expr, Op, Site, WALK};

use crate::check::{Subject, place};
use crate::classify::{Named, Use, use_of};
use crate::timeline::{Column, ColumnKind, Mark, Place, Row, Timeline};
use crate::verdict::{BreakingStep, Violation};

/// A run, with what is needed to tell it.
pub struct Story<'s> {
    pub(crate) subject: &'s Subject,
    pub(crate) machine: &'s Machine<Sets>,
    pub(crate) run: &'s Run,
}

impl Story<'_> {
    /// The state before a step.
    pub(crate) fn state(&self, row: usize) -> &State {
        match row {
            0 => &self.run.start,
            row => &self.run.steps[row - 1].2,
        }
    }

    pub(crate) fn value(&self, state: &State, thread: usize, expr: &Expr) -> i64 {
        let registers = &self.machine.world.threads[thread].registers;
        expr.value(&|reg| state.get(registers[reg.0 as usize]))
    }

    /// The step that a row takes.
    fn step(&self, row: usize) -> Option<(usize, &Op, &Site)> {
        let (Process::Thread(thread), ..) = self.run.steps[row] else { return None };
        let number = self.state(row).get(self.machine.world.threads[thread].pc) as usize;
        self.machine.world.code(thread).step(number).map(|(op, site)| (thread, op, site))
    }

    /// The place of a row.
    pub(crate) fn place_of(&self, row: usize) -> Option<Place> {
        self.step(row).and_then(|(_, _, site)| place(&self.subject.program, site.span))
    }

    /// What a row is called in an `expect` line: the primitive, or the function
    /// that returns.
    pub(crate) fn name_of(&self, row: usize) -> String {
        self.step(row).map_or_else(|| "queue".to_owned(), |(_, _, site)| site.name.to_string())
    }

    /// Every access through a translation.
    pub(crate) fn uses(&self) -> Vec<Use> {
        let rows = self.run.steps.iter().enumerate();
        rows.filter_map(|(row, (process, choice, _))| {
            use_of(self.machine, self.state(row), *process, *choice, row)
        })
        .collect()
    }

    /// The row in which a variable of a thread got its last value.
    pub(crate) fn last_write(&self, thread: usize, variable: usize) -> Option<usize> {
        let code = self.machine.world.code(thread);
        let register = code.variables[variable].register?;
        let slot = self.machine.world.threads[thread].registers[register.0 as usize];
        (0..self.run.steps.len()).rev().find(|row| {
            let Some((own, op, _)) = self.step(*row) else { return false };
            let direct = match op {
                Op::Access { into, .. } | Op::PageRead { into, .. } => *into == Some(register),
                _ => false,
            };
            let changed = self.state(*row).get(slot) != self.state(*row + 1).get(slot);
            own == thread && (direct || changed)
        })
    }

    /// The row in which a thread ended with a fault.
    pub(crate) fn fault_of(&self, thread: usize) -> Option<usize> {
        let slot = self.machine.world.threads[thread].fault;
        (0..self.run.steps.len())
            .find(|row| self.state(*row + 1).get(slot) != self.state(*row).get(slot))
    }

    pub(crate) fn agent_name(&self, thread: usize) -> String {
        self.subject.program.threads[thread].name.to_string()
    }

    /// What a thread's accesses went through at a step.
    fn cache_name(&self, thread: usize, row: usize) -> String {
        let shape = self.machine.world.shape();
        let used = self.machine.world.translation(self.state(row), thread);
        let at = used.map_or(shape.agents[thread].cache, |(cache, _)| cache);
        let cache = &shape.caches[at];
        if cache.cpu {
            format!("the TLB of {}", self.agent_name(thread))
        } else {
            cache.name.to_string()
        }
    }

    /// A violation that a state shows: the last step of the run broke it.
    pub(crate) fn violation(&self, code: &'static str, why: &str) -> Violation {
        let why = format!("{why}{}", self.detail(code));
        // What is wrong at rest was not made wrong by the step that came last.
        if self.run.steps.is_empty() || code == "REST" {
            let timeline = self.timeline(None, None, &why);
            return Violation { steps: Vec::new(), why, timeline };
        }
        let last = self.run.steps.len() - 1;
        let row = match code {
            "CLEAN" => self.taken_as_clean(),
            _ => self.breaking_row(code),
        };
        let row = row.unwrap_or(last);
        let steps = vec![BreakingStep { name: self.name_of(row), place: self.place_of(row) }];
        let timeline = self.timeline(Some((code, row)), None, &why);
        Violation { steps, why, timeline }
    }

    /// The step to name: a free or a return, also if hardware came after it.
    fn breaking_row(&self, code: &str) -> Option<usize> {
        let rows = (0..self.run.steps.len()).rev();
        let fits = |op: &Op| match code {
            // Or a load of a tag that still has the page.
            "FREE" => matches!(
                op,
                Op::PutPage { .. } | Op::GatherFree | Op::LoadRoot { .. } | Op::Lazy { .. }
            ),
            "RETURN" => matches!(op, Op::Return { .. }),
            "TABLE" => matches!(op, Op::FreeTable { .. }),
            "LIFETIME" => matches!(op, Op::Life { op: LifeOp::Free, .. }),
            _ => true,
        };
        rows.into_iter().find(|row| self.step(*row).is_some_and(|(_, op, _)| fits(op)))
    }

    /// The frame whose contents are lost in the end.
    fn lost(&self) -> Option<usize> {
        let world = &self.machine.world;
        let last = self.state(self.run.steps.len());
        let older =
            |state: &State, frame: usize| state.get(world.kept[frame]) == Kept::Older as i64;
        world.unsaid(last).or_else(|| {
            // It was freed just now.
            let before = self.state(self.run.steps.len().checked_sub(1)?);
            (0..world.frames.len()).find(|frame| older(before, *frame) && !older(last, *frame))
        })
    }

    /// The step from which on nobody knew that a page was dirty: the one that
    /// took its last mark, that took it as clean before it was written again,
    /// or that freed it.
    fn taken_as_clean(&self) -> Option<usize> {
        let world = &self.machine.world;
        let frame = self.lost()?;
        let rows = self.run.steps.len();
        let older = |row: usize| self.state(row).get(world.kept[frame]) == Kept::Older as i64;
        if !older(rows) {
            return rows.checked_sub(1);
        }
        let written = (0..rows).rev().find(|row| !older(*row)).unwrap_or(0);
        let says = |row: usize| world.says_dirty(self.state(row), frame);
        let unsaid = |row: &usize| says(*row) && !says(*row + 1);
        // A mark that was there after the write was taken too late.
        (written..rows).rev().find(unsaid).or_else(|| {
            (0..written).rev().find(|row| {
                let out = self.step(*row).is_some_and(|(thread, op, _)| match op {
                    Op::Dirty { page, act: DirtyAct::WriteOut | DirtyAct::GiveUp(_), .. } => {
                        let page = self.value(self.state(*row), thread, page);
                        frame_of_page(page) == Some(frame)
                    }
                    _ => false,
                });
                out || unsaid(row)
            })
        })
    }

    /// Which page, and who still reaches it.
    fn detail(&self, code: &str) -> String {
        let world = &self.machine.world;
        let state = self.state(self.run.steps.len());
        let shape = world.shape();
        if code == "CLEAN" {
            return self.lost().map_or_else(String::new, |frame| {
                format!(
                    ": {}, which was written last by {}",
                    shape.frames[frame].name,
                    self.writer(frame)
                )
            });
        }
        let mut list = Vec::new();
        if code == "LIFETIME" {
            let gone = shape.lives.iter().enumerate().filter(|(at, _)| world.is_gone(state, *at));
            list.extend(gone.map(|(_, life)| format!("{} is gone", life.name)));
        }
        for (at, space) in self.machine.mmu.used(world, state) {
            let cache = &shape.caches[at];
            for page in 0..shape.pages.len() {
                for value in self.machine.mmu.entries(world, state, at, page) {
                    let Some(frame) = entry::frame(value) else { continue };
                    let now = world.walk(state, space, page);
                    let beyond = entry::frame(now) != Some(frame)
                        || value & entry::WRITE != 0 && now & entry::WRITE == 0;
                    let fits = match code {
                        "FREE" => state.get(world.frames[frame]) == shootdown_machine::pages::FREE,
                        "RETURN" | "REST" => beyond,
                        _ => false,
                    };
                    if fits {
                        let who =
                            if cache.cpu { "a CPU TLB".to_owned() } else { cache.name.to_string() };
                        list.push(format!(
                            "{who} may hold {} -> {}",
                            shape.pages[page].name,
                            world.entry_name(value)
                        ));
                    }
                }
            }
        }
        list.dedup();
        match list.len() {
            0 => String::new(),
            1..=3 => format!(": {}", list.join(", ")),
            more => format!(": {}, and {} more", list[..3].join(", "), more - 3),
        }
    }

    /// Who wrote a frame last.
    fn writer(&self, frame: usize) -> String {
        let words = &self.machine.world.contents[frame];
        let wrote = |row: &usize| {
            let (before, after) = (self.state(*row), self.state(*row + 1));
            words.iter().any(|word| before.get(*word) != after.get(*word))
                && after.get(self.machine.world.frames[frame]) == shootdown_machine::pages::LIVE
        };
        let row = (0..self.run.steps.len()).rev().find(wrote);
        match row.map(|row| self.run.steps[row].0) {
            Some(Process::Thread(thread) | Process::Buffer(thread)) => self.agent_name(thread),
            _ => "somebody".to_owned(),
        }
    }

    /// One sentence about a wrong end.
    pub(crate) fn why(
        &self,
        code: &str,
        row: usize,
        culprit: Option<usize>,
        named: &Named,
    ) -> String {
        let world = &self.machine.world;
        let shape = world.shape();
        let broken = match code {
            "NEW" => "the new entry was set while an old translation could still be used",
            "COPY" => "the page was copied or compared while it could still be written",
            "RETURN" => "the call returned while what it revoked could still be used",
            _ => "the page was given back while it could still be reached",
        };
        let used = named.uses.iter().find(|used| used.row > row).map(|used| {
            let verb = if used.write { "writes" } else { "reads" };
            format!(
                "{} {verb} {} in {} through {}",
                self.agent_name(used.thread),
                shape.pages[used.page].name,
                shape.frames[used.frame].name,
                self.cache_name(used.thread, used.row),
            )
        });
        let pinned = named.pinned.iter().find(|(at, ..)| *at > row).map(|(_, thread, frame)| {
            let who = self.agent_name(*thread);
            format!("{who} writes to {} through a pin", shape.frames[*frame].name)
        });
        let seen = culprit.and_then(|row| {
            let (thread, _, _) = self.step(row)?;
            Some(format!("what {} then knows has no run on ideal memory", self.agent_name(thread)))
        });
        let parts: Vec<String> =
            [Some(broken.to_owned()), used.or(pinned), seen].into_iter().flatten().collect();
        parts.join("; ")
    }

    /// The run as a timeline.
    pub(crate) fn timeline(
        &self,
        breaks: Option<(&'static str, usize)>,
        named: Option<&Named>,
        end: &str,
    ) -> Timeline {
        let (columns, column_of) = self.columns();
        let mut timeline =
            Timeline { columns, start: self.start(), rows: Vec::new(), end: end.to_owned() };
        for (row, (process, choice, _)) in self.run.steps.iter().enumerate() {
            let mut told = self.row(row, *process, *choice);
            told.column = column_of(*process);
            timeline.rows.push(told);
        }
        for used in self.uses().iter().filter(|used| used.stale) {
            self.mark_use(&mut timeline, used);
        }
        if let Some((code, row)) = breaks
            && let Some(row) = timeline.rows.get_mut(row)
        {
            row.marks.push(Mark::Breaks { obligation: code });
        }
        if let Some(culprit) = named.and_then(|named| named.culprit)
            && let Some(row) = timeline.rows.get_mut(culprit)
        {
            row.marks.push(Mark::Impossible);
        }
        timeline
    }

    fn columns(&self) -> (Vec<Column>, impl Fn(Process) -> usize + use<>) {
        let program = &self.subject.program;
        let mut columns: Vec<Column> = program
            .threads
            .iter()
            .map(|thread| Column {
                name: thread.name.to_string(),
                kind: match thread.agent {
                    Agent::Cpu(_) | Agent::Context(_) => ColumnKind::Cpu,
                    Agent::Device(_) => ColumnKind::Device,
                    Agent::Guest(_) => ColumnKind::Guest,
                },
                number: thread.number,
            })
            .collect();
        let mut extra: Vec<Process> = Vec::new();
        for (process, ..) in &self.run.steps {
            if !matches!(process, Process::Thread(_)) && !extra.contains(process) {
                extra.push(*process);
            }
        }
        let threads = columns.len();
        for (number, process) in extra.iter().enumerate() {
            let (name, kind) = match process {
                Process::Queue(queue) => {
                    (self.machine.world.shape().queues[*queue].name.to_string(), ColumnKind::Queue)
                }
                Process::Buffer(thread) => {
                    (format!("{}'s stores", self.agent_name(*thread)), ColumnKind::Buffer)
                }
                _ => ("CPU cache".to_owned(), ColumnKind::Queue),
            };
            let number = match process {
                Process::Buffer(thread) => *thread as u32,
                _ => number as u32,
            };
            columns.push(Column { name, kind, number });
        }
        let column_of = move |process: Process| match process {
            Process::Thread(thread) => thread,
            other => threads + extra.iter().position(|known| *known == other).unwrap_or(0),
        };
        (columns, column_of)
    }

    fn start(&self) -> Vec<String> {
        let world = &self.machine.world;
        let shape = world.shape();
        let mut lines = Vec::new();
        for (page, is) in shape.pages.iter().enumerate() {
            let value = world.walk(&self.run.start, 0, page);
            lines.push(format!("{} -> {}", is.name, world.entry_name(value)));
        }
        lines
    }

    fn row(&self, row: usize, process: Process, choice: u32) -> Row {
        let changes = self.changes(row);
        let blank = |what: String| Row {
            column: 0,
            what,
            result: None,
            function: None,
            place: None,
            changes: Vec::new(),
            marks: Vec::new(),
        };
        let mut told = match process {
            Process::Queue(_) => blank("executes a descriptor".to_owned()),
            Process::Buffer(_) => blank("a store reaches memory".to_owned()),
            Process::Hardware(_) => blank(self.written_back(choice)),
            Process::Thread(thread) => self.thread_row(row, thread, choice, blank(String::new())),
        };
        told.changes = changes;
        told
    }

    /// A line of a table reaches memory by itself.
    fn written_back(&self, choice: u32) -> String {
        let world = &self.machine.world;
        let slot = world.tables().start + choice as usize;
        let table = world.entries.iter().enumerate().find_map(|(table, entries)| {
            let page = entries.iter().position(|entry| entry.index() == slot)?;
            Some((table, page))
        });
        match table {
            Some((_, page)) => {
                format!("writes the entry of {} back", world.shape().pages[page].name)
            }
            None => "writes an upper entry back".to_owned(),
        }
    }

    fn thread_row(&self, row: usize, thread: usize, choice: u32, mut told: Row) -> Row {
        let Some((_, op, site)) = self.step(row) else { return told };
        let program = &self.subject.program;
        let text: Vec<&str> = program.files.text(site.span).split_whitespace().collect();
        let text = text.join(" ");
        let (before, after) = (self.state(row), self.state(row + 1));
        let page_name = |address: &Expr| {
            let page = page_of_address(self.value(before, thread, address));
            let pages = &self.machine.world.shape().pages;
            page.and_then(|page| pages.get(page)).map_or("?", |page| &page.name).to_owned()
        };
        let of = |write: bool| if write { "write" } else { "read" };
        let called = |id: Option<&FunctionId>| {
            id.map_or("", |id| &program.functions[id.index()].name).to_owned()
        };
        told.what = match op {
            Op::EnterFault { address, write, .. } => {
                format!("fault: {} {}", of(*write), page_name(address))
            }
            Op::FlushCpu { .. } if !text.contains("flush_tlb") => {
                format!("{text}: flush the CPU TLBs")
            }
            Op::ClearEntry { .. } if text.contains("flush") => format!("{text}: clear"),
            Op::Begin { .. } => format!("call {}", site.name),
            Op::Return { .. } => format!("return from {}", site.name),
            Op::Moment { .. } => format!("{} takes effect", site.name),
            Op::Born { .. } => "the child runs".to_owned(),
            Op::Life { op: LifeOp::Use, .. } => format!("{text}: calls {}", site.name),
            Op::Enter { .. } if *site.name == *WALK => format!("{text}: a section begins"),
            Op::Leave { .. } if *site.name == *WALK => format!("{text}: the section ends"),
            Op::Access { .. } if *site.name == *WALK => format!("{text}: who is on the list"),
            Op::GraceStart { .. } => format!("{text}: notes who is inside"),
            Op::GraceWait { .. } => format!("{text}: all of them have left"),
            _ => text,
        };
        told.function = site.functions.last().map(|id| called(Some(id)));
        told.place = place(program, site.span);
        let shape = self.machine.world.shape();
        let (choice, age) = age_of(choice);
        told.result = match op {
            Op::Access { .. } if choice == FAULT => Some("faults".to_owned()),
            Op::Access { into, access, .. } => {
                let world = &self.machine.world;
                let code = world.code(thread);
                let mut parts = Vec::new();
                // A register that nobody reads any more is forgotten at once, and
                // a step that failed has no result.
                let number = after.get(world.threads[thread].pc) as usize;
                let failed = before.get(world.error) != after.get(world.error);
                let shown = into.filter(|into| !failed && !code.dead[number].contains(into));
                if let Some(into) = shown {
                    let slot = world.threads[thread].registers[into.0 as usize];
                    let name = code.variables.iter().find(|v| v.register == Some(into));
                    let value = value_name(after.get(slot));
                    match name {
                        Some(variable) => parts.push(format!("{} = {value}", variable.name)),
                        None => parts.push(format!("= {value}")),
                    }
                }
                if let Some(frame) = frame_of_choice(choice) {
                    parts.push(format!("in {}", shape.frames[frame].name));
                    // Where hardware sets dirty bits it matters who does not.
                    let hardware = self.machine.world.setting.hw_dirty != HwDirty::No;
                    if hardware && access.writes() && !marks(choice) {
                        parts.push("no mark".to_owned());
                    }
                }
                let stores = if age == 1 { "store" } else { "stores" };
                match access {
                    Access::Load(_) if age > 0 => {
                        parts.push(format!("{age} newer {stores} not seen yet"));
                    }
                    _ if age > 0 => parts.push(format!("before {age} {stores} that are there")),
                    _ => {}
                }
                (!parts.is_empty()).then(|| parts.join(", "))
            }
            // A step that failed did nothing.
            _ if before.get(self.machine.world.error) != after.get(self.machine.world.error) => {
                None
            }
            Op::Choose { .. } => Some(format!("= {choice}")),
            Op::Alloc { .. } => Some(format!("takes {}", shape.frames[choice as usize].name)),
            Op::PageBehind { .. } if choice != FAULT && choice > 0 => {
                Some(format!("finds {}", shape.frames[choice as usize - 1].name))
            }
            Op::EnterFault { .. } | Op::Probe { .. } | Op::PageBehind { .. } => None,
            Op::PageRead { into: Some(into), .. } => {
                let slot = self.machine.world.threads[thread].registers[into.0 as usize];
                Some(format!("= {}", value_name(after.get(slot))))
            }
            _ => None,
        };
        told
    }

    /// Marks the use of an old translation, and where it was filled at the
    /// latest.
    fn mark_use(&self, timeline: &mut Timeline, used: &Use) {
        let world = &self.machine.world;
        let shape = world.shape();
        let cache = self.cache_name(used.thread, used.row);
        // What a context had loaded when the entry was filled may be another
        // address space than now.
        let spaces = match shape.agents[used.thread].context {
            Some(_) => 0..shape.spaces.len(),
            None => {
                let space = shape.agents[used.thread].space;
                space..space + 1
            }
        };
        let grants = |row: usize| {
            spaces.clone().find_map(|space| {
                let mmu = &self.machine.mmu;
                let value = mmu.walked(world, self.state(row), used.thread, space, used.page);
                (entry::frame(value) == Some(used.frame) && entry::grants(value, used.write))
                    .then_some(value)
            })
        };
        let filled = (0..=used.row).rev().find_map(|row| grants(row).map(|value| (row, value)));
        let rights = if used.write { "rw" } else { "ro" };
        let text = match filled {
            Some((_, value)) => {
                format!("{} -> {}", shape.pages[used.page].name, world.entry_name(value))
            }
            None => format!(
                "{} -> {} {rights}",
                shape.pages[used.page].name, shape.frames[used.frame].name
            ),
        };
        if let Some((row, _)) = filled {
            let mark = Mark::Fill { tlb: cache.clone(), entry: text.clone(), used_by: used.row };
            match row {
                0 => timeline.start.push(format!("{cache} has read {text}")),
                row => {
                    if let Some(told) = timeline.rows.get_mut(row - 1)
                        && !told.marks.contains(&mark)
                    {
                        told.marks.push(mark);
                    }
                }
            }
        }
        if let Some(told) = timeline.rows.get_mut(used.row) {
            told.marks.push(Mark::Stale { tlb: cache, entry: text });
        }
    }
}
