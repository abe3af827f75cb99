//! Accesses to words under `ra`, in every way in which they may go.

use shootdown_litmus::primitives::{Fence, Order, RmwResult};
use shootdown_step::value::UNDEFINED;
use shootdown_step::{Access, Expr, Reg};

use super::AGE;
use crate::machine::Machine;
use crate::mmu::Mmu;
use crate::run::{Each, changed};
use crate::state::{Slot, State};
use crate::views::{Memory, Store};
use crate::world::{Failed, Seen};

impl<M: Mmu> Machine<M> {
    /// The next word of a copy: what was read, with what came along with it.
    pub(super) fn weak_copy(
        &self,
        state: &State,
        thread: usize,
        to: &Expr,
        from: &Expr,
        each: Each<'_>,
    ) {
        let world = &self.world;
        let weak = world.weak();
        let frames = self
            .live(state, self.value(state, thread, to))
            .and_then(|to| Ok((to, self.live(state, self.value(state, thread, from))?)));
        let (to, from) = match frames {
            Ok(frames) => frames,
            Err(why) => return self.failed(state, why, each),
        };
        Seen::note(&world.seen.copied, 1 << from);
        let progress = world.threads[thread].progress;
        let word = state.get(progress) as usize;
        let last = word + 1 >= world.shape().words_per_frame;
        let [to, from] = [to, from].map(|frame| weak.location(world.contents[frame][word]));
        let before = weak.memory(state);
        if !before.is_ordered(thread, to) {
            return self.failed(state, Failed::Unordered, each);
        }
        for at in before.readable(thread, from) {
            let mut memory = before.clone();
            memory.read(thread, from, at, false, false);
            let mut view = memory.messages[from][at].view.clone();
            view.raise(from, at);
            let value = memory.messages[from][at].value;
            let end = memory.last(to);
            let store = Store { value, with: Some(&view), ..Store::default() };
            memory.store(thread, to, end, store);
            let mut next = state.clone();
            if last {
                // As `__SetPageUptodate` has it, before anybody maps the page.
                memory.fence(thread, Fence::Write);
                next.set(progress, 0);
                self.advance(&mut next, thread);
            } else {
                next.set(progress, word as i64 + 1);
            }
            self.close(&mut next, memory);
            each((before.last(from) - at) as u32 * AGE, next);
        }
    }

    pub(super) fn word_of_page(
        &self,
        state: &State,
        thread: usize,
        page: &Expr,
        index: &Expr,
    ) -> Result<Slot, Failed> {
        let frame = self.live(state, self.value(state, thread, page))?;
        let index = usize::try_from(self.value(state, thread, index)).map_err(|_| Failed::Page)?;
        self.world.contents[frame].get(index).copied().ok_or(Failed::Page)
    }

    pub(super) fn weak_word(
        &self,
        state: &State,
        thread: usize,
        at: Result<Slot, Failed>,
        access: &Access,
        into: Option<Reg>,
        each: Each<'_>,
    ) {
        match at {
            Ok(slot) => {
                let memory = self.world.weak().memory(state);
                self.weak_access(state, thread, memory, (slot, 0), access, into, each);
            }
            Err(why) => self.failed(state, why, each),
        }
    }

    /// An access to a word, in every way in which it may go; to a word of a
    /// frame if the second is not 0, through a translation.
    #[expect(clippy::too_many_arguments, reason = "they are what an access is")]
    pub(super) fn weak_access(
        &self,
        state: &State,
        thread: usize,
        mut before: Memory,
        (slot, frame): (Slot, u32),
        access: &Access,
        into: Option<Reg>,
        each: Each<'_>,
    ) {
        let weak = self.world.weak();
        let location = weak.location(slot);
        let last = before.last(location);
        let translated = frame != 0;
        // Devices and guests wait for each access of their own.
        let (_, site) = match self.world.next_step(state, thread) {
            Some((number, _)) => self.world.code(thread).step(number).expect("it is there"),
            None => return,
        };
        let waits = !self.world.shape().agents[thread].cpu && site.functions.is_empty();
        if waits {
            before.fence(thread, Fence::Full);
        }
        let mut went = |age: usize, mut memory: Memory, result: Result<i64, Failed>| {
            let mut next = state.clone();
            let result = match result {
                Ok(result) => result,
                Err(why) => {
                    self.fail(&mut next, why);
                    return each(frame + age as u32 * AGE, next);
                }
            };
            if waits {
                memory.fence(thread, Fence::Full);
            }
            self.keep(&mut next, thread, into, result);
            self.advance(&mut next, thread);
            self.close(&mut next, memory);
            each(frame + age as u32 * AGE, next);
        };
        let number = |value: &shootdown_step::Expr| self.value(state, thread, value);
        let undefined = |value: i64| value == UNDEFINED && !self.is_free_word(state, slot);
        let loads = |memory: &Memory, at: usize, order: Order, forgets: bool| {
            let mut memory = memory.clone();
            memory.read(thread, location, at, order == Order::Acquire, forgets);
            memory
        };
        match access {
            Access::Load(order) => {
                for at in before.readable(thread, location) {
                    let value = before.messages[location][at].value;
                    let result = if undefined(value) { Err(Failed::Undefined) } else { Ok(value) };
                    went(last - at, loads(&before, at, *order, false), result);
                }
            }
            Access::Store(order, value) => {
                let value = number(value);
                let places: Vec<usize> = before.places(thread, location).collect();
                for behind in places {
                    let mut memory = before.clone();
                    let release = *order == Order::Release;
                    let store = Store { value, release, translated, ..Store::default() };
                    memory.store(thread, location, behind, store);
                    went(last - behind, memory, Ok(0));
                }
            }
            _ => {
                // A fully ordered operation is one between two full fences; one
                // that changes nothing is a plain load.
                let order = order_of(access);
                let mut fenced = before.clone();
                if order == Order::Full {
                    fenced.fence(thread, Fence::Full);
                }
                let forgets = matches!(access, Access::Rmw(.., RmwResult::Nothing, _));
                // What no `smp_rmb` orders may read what is older.
                let first = match forgets {
                    true => before.threads[thread].write.at(location),
                    false => before.readable(thread, location).start,
                };
                for at in first..=last {
                    let old = before.messages[location][at].value;
                    if undefined(old) {
                        went(last - at, before.clone(), Err(Failed::Undefined));
                        continue;
                    }
                    let (new, result) = changed(access, old, &number);
                    let Some(new) = new else {
                        went(last - at, loads(&before, at, Order::Once, false), Ok(result));
                        continue;
                    };
                    let hidden =
                        order == Order::Full && !fenced.readable(thread, location).contains(&at);
                    if hidden || !fenced.places(thread, location).any(|open| open == at) {
                        continue;
                    }
                    let mut memory = loads(&fenced, at, order, forgets);
                    let release = order == Order::Release;
                    let store = Store { value: new, release, reads: true, translated, with: None };
                    memory.store(thread, location, at, store);
                    if order == Order::Full {
                        memory.fence(thread, Fence::Full);
                    }
                    went(last - at, memory, Ok(result));
                }
            }
        }
    }
}

fn order_of(access: &Access) -> Order {
    match access {
        Access::Load(order)
        | Access::Store(order, _)
        | Access::Rmw(.., order)
        | Access::Exchange(_, order)
        | Access::CompareExchange(.., order) => *order,
        Access::AddUnless(..) => Order::Full,
    }
}
