//! A test without its clients, and with others.

use std::fmt::Write;
use std::sync::Arc;

use shootdown_litmus::Program;
use shootdown_litmus::primitives::{Action, Tag};
use shootdown_litmus::program::{
    Agent, FunctionId, GlobalKind, ObjectKind, OpKind, SpaceId, Thread, TlbSource,
};
use shootdown_litmus::{Span, TlbKind};

use crate::bound::Bound;
use crate::enumerate::clients;
use crate::shape::{Client, Step};

/// What runs a thread of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A device, or a guest: translations of its own.
    Device,
    /// A CPU.
    Cpu,
}

/// An agent that a client may use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Runner {
    role: Role,
    /// `P`, `D`, `V`.
    class: char,
    /// `@dev`, or nothing.
    at: String,
}

/// A test without its clients: what runs the path, and who could be there.
///
/// A thread is a client if all that it does is to access memory, or if it only
/// stands for whoever gets a page that was freed: FREE is asked of every state and
/// needs nobody. Whatever else calls the kernel belongs to the path.
#[derive(Clone, Debug)]
pub struct Skeleton {
    /// The text; where clients stood are blanks, so that lines keep their
    /// numbers.
    text: Arc<str>,
    /// The test's name in the header.
    name: Option<std::ops::Range<usize>>,
    runners: Vec<Runner>,
    pages: Vec<String>,
    /// Numbers of the threads that stay, by class.
    taken: Vec<(char, u32)>,
    /// The path's own thread: where a parameter can be put in, whether one is
    /// there already, which names it has, and where its body ends.
    /// `None` if only faults bring the path about.
    own: Option<Own>,
    /// A name for messages, and one for values, that nobody else has.
    message: String,
    value: String,
}

#[derive(Clone, Debug)]
struct Own {
    parameters: std::ops::Range<usize>,
    names: Vec<String>,
    end: usize,
}

/// Why a test has no clients to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPath {
    /// Every thread only accesses memory.
    OnlyClients,
    /// Nothing is mapped that a client could access.
    NoPages,
}

impl std::fmt::Display for NoPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NoPath::OnlyClients => {
                "no thread calls a function of the kernel, so there is no path to put clients \
                 around; write one as `P0(int *a) { munmap(a); }`"
            }
            NoPath::NoPages => {
                "the test maps no page that a client could access; declare one with \
                 `map a -> Fa {7} : rw;`"
            }
        })
    }
}

impl std::error::Error for NoPath {}

impl Skeleton {
    /// Takes the clients out of a test.
    ///
    /// # Errors
    ///
    /// There is no path in it, or nothing to access.
    pub fn of(program: &Program) -> Result<Skeleton, NoPath> {
        Skeleton::keeping(program, &[])
    }

    /// The same, where these threads belong to the path whatever they do: an
    /// access may be what brings a path about.
    ///
    /// # Errors
    ///
    /// As of [`of`](Skeleton::of).
    pub fn keeping(program: &Program, threads: &[&str]) -> Result<Skeleton, NoPath> {
        let is_client =
            |thread: &Thread| !threads.contains(&&*thread.name) && is_client(program, thread);
        let root = program.header.span.file;
        let text = program.files.file(root).map_or("", |file| &file.text);
        let stays = |thread: &&Thread| !is_client(thread) && thread.extent.file == root;
        let own = program.threads.iter().find(stays);
        if own.is_none() && !faults_change_tables(program) {
            return Err(NoPath::OnlyClients);
        }
        let pages = pages(program, own);
        if pages.is_empty() {
            return Err(NoPath::NoPages);
        }
        let mut bytes = text.as_bytes().to_vec();
        let clients = program.threads.iter().filter(|thread| is_client(thread));
        let gone = clients.map(|thread| thread.extent).chain(program.endings.iter().copied());
        for span in gone.filter(|span| span.file == root) {
            blank(&mut bytes, span);
        }
        // Whole definitions were blanked, so what is left is text still.
        let text: Arc<str> = String::from_utf8_lossy(&bytes).into();
        let staying = program.threads.iter().filter(|thread| !is_client(thread));
        let taken: Vec<(char, u32)> =
            staying.map(|thread| (class(thread), thread.number)).collect();
        Ok(Skeleton {
            name: name(program),
            runners: runners(program),
            pages,
            taken,
            own: own.map(|own| Own::of(own, &text, program)),
            message: unused(program, "told"),
            value: unused(program, "seen"),
            text,
        })
    }

    /// Who could run a thread of a client.
    pub fn roles(&self) -> Vec<Role> {
        self.runners.iter().map(|runner| runner.role).collect()
    }

    /// All clients of the path up to a bound, the smallest first.
    pub fn clients(&self, bound: &Bound) -> Vec<Client> {
        // Behind a path that only faults bring about nobody is the one to go on.
        let after = if self.own.is_some() { bound.after } else { 0 };
        clients(&Bound { after, ..*bound }, &self.roles(), self.pages.len())
    }

    /// The names of the pages, those of the path's own thread first.
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    /// The path alone.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The test of a client, with this behind it: a condition, expectations. With
    /// a name, that is the test's.
    pub fn test(&self, client: &Client, name: Option<&str>, ending: &str) -> String {
        let mut values = 0;
        let mut text = String::with_capacity(self.text.len() + 256);
        let own = self.own.as_ref();
        let mut from = 0;
        if let (Some(range), Some(name)) = (&self.name, name) {
            text.push_str(&self.text[..range.start]);
            text.push_str(name);
            from = range.end;
        }
        // The steps of the path's own thread stand on its last line.
        let mut after = String::new();
        let bodies: Vec<String> =
            client.threads.iter().map(|thread| self.body(&thread.steps, &mut values)).collect();
        after.push_str(&self.body(&client.after, &mut values));
        match own {
            Some(own) if !after.is_empty() => self.with_after(own, client, &after, from, &mut text),
            _ => text.push_str(&self.text[from..]),
        }
        let text_end = text.trim_end().len();
        text.truncate(text_end);
        text.push_str("\n\n");
        self.threads(client, &bodies, &mut text);
        text.push_str(ending);
        text
    }

    /// The text from a place on, in which the path's own thread goes on.
    fn with_after(&self, own: &Own, client: &Client, after: &str, from: usize, text: &mut String) {
        let missing: Vec<String> = self
            .used(&client.after)
            .into_iter()
            .filter(|name| !own.names.contains(name))
            .map(|name| format!("int *{name}"))
            .collect();
        text.push_str(&self.text[from..own.parameters.start]);
        if !own.names.is_empty() {
            text.push_str(&self.text[own.parameters.clone()]);
            text.push_str(if missing.is_empty() { "" } else { ", " });
        }
        text.push_str(&missing.join(", "));
        // A comment or an `#endif` may be all that stands on the line before.
        let body = &self.text[own.parameters.end..own.end];
        text.push_str(body.trim_end_matches(' '));
        text.push_str(after);
        text.push(' ');
        text.push_str(&self.text[own.end..]);
    }

    /// The threads of a client, a line each, as they stand in the test; and what
    /// follows the path.
    pub fn lines(&self, client: &Client) -> String {
        let mut values = 0;
        let threads = client.threads.iter();
        let bodies: Vec<String> =
            threads.map(|thread| self.body(&thread.steps, &mut values)).collect();
        let mut text = String::new();
        self.threads(client, &bodies, &mut text);
        // The words and those who do nothing say nothing here.
        let mut lines: Vec<&str> =
            text.lines().filter(|l| !l.starts_with("int ") && !l.ends_with("{ }")).collect();
        let after = self.body(&client.after, &mut values);
        let after = format!("then{after}");
        if !client.after.is_empty() {
            lines.push(&after);
        }
        lines.join("\n")
    }

    fn threads(&self, client: &Client, bodies: &[String], text: &mut String) {
        let words = client.steps().filter_map(|(_, step)| match step {
            Step::Tell(word) | Step::Hear(word) => Some(word + 1),
            _ => None,
        });
        for word in 0..words.max().unwrap_or(0) {
            let _ = writeln!(text, "int {} = 0;", self.word(word));
        }
        let mut taken = self.taken.clone();
        let mut next = |class: char| {
            let number = (0..).find(|number| !taken.contains(&(class, *number))).unwrap_or(0);
            taken.push((class, number));
            number
        };
        for (thread, body) in client.threads.iter().zip(bodies) {
            let runner = &self.runners[thread.agent];
            let parameters: Vec<String> =
                self.used(&thread.steps).into_iter().map(|name| format!("int *{name}")).collect();
            let _ = writeln!(
                text,
                "{}{}{}({}) {{{body} }}",
                runner.class,
                next(runner.class),
                runner.at,
                parameters.join(", ")
            );
        }
        if taken.is_empty() {
            text.push_str("P0() { }\n");
        }
        // P threads are numbered without gaps.
        let most = taken.iter().filter(|(class, _)| *class == 'P').map(|(_, number)| *number).max();
        for number in (0..most.unwrap_or(0)).filter(|number| !taken.contains(&('P', *number))) {
            let _ = writeln!(text, "P{number}() {{ }}");
        }
    }

    fn word(&self, word: usize) -> String {
        format!("{}{word}", self.message)
    }

    /// The names that some steps use, each once.
    fn used(&self, steps: &[Step]) -> Vec<String> {
        let mut list = Vec::new();
        for step in steps {
            let name = match *step {
                Step::Load(page) | Step::Store(page) => self.pages[page].clone(),
                Step::Hear(word) | Step::Tell(word) => self.word(word),
            };
            if !list.contains(&name) {
                list.push(name);
            }
        }
        list
    }

    /// Statements; values of stores are counted over all threads.
    fn body(&self, steps: &[Step], values: &mut usize) -> String {
        let mut text = String::new();
        for (at, step) in steps.iter().enumerate() {
            let value = format!("{}{at}", self.value);
            let _ = match *step {
                Step::Load(page) => {
                    write!(text, " int {value} = READ_ONCE(*{});", self.pages[page])
                }
                Step::Store(page) => {
                    *values += 1;
                    // Not what a page of a test holds at the beginning.
                    write!(text, " WRITE_ONCE(*{}, {});", self.pages[page], 20 + *values)
                }
                Step::Hear(word) => {
                    write!(text, " int {value} = smp_load_acquire({});", self.word(word))
                }
                Step::Tell(word) => write!(text, " smp_store_release({}, 1);", self.word(word)),
            };
        }
        text
    }
}

impl Own {
    fn of(thread: &Thread, text: &str, program: &Program) -> Own {
        let open = text[thread.span.end as usize..].find('(');
        let open = thread.span.end as usize + open.map_or(0, |at| at + 1);
        let close = open + text[open..].find(')').unwrap_or(0);
        let names: Vec<String> = thread
            .parameters
            .iter()
            .map(|id| program.globals[id.index()].name.to_string())
            .collect();
        Own { parameters: open..close, names, end: thread.extent.end as usize - 1 }
    }
}

fn blank(bytes: &mut [u8], span: Span) {
    for byte in &mut bytes[span.start as usize..span.end as usize] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Where the name stands in the header, `C name`.
fn name(program: &Program) -> Option<std::ops::Range<usize>> {
    let span = program.header.span;
    let line = program.files.text(span);
    let name = line.strip_prefix("C ")?.trim();
    let start = span.start as usize + line.find(name)?;
    Some(start..start + name.len())
}

fn class(thread: &Thread) -> char {
    thread.name.chars().next().unwrap_or('P')
}

fn is_client(program: &Program, thread: &Thread) -> bool {
    only_accesses(thread) || gets_free_pages(program, thread)
}

/// Whether a thread is in another address space that pages go to when they are
/// free.
fn gets_free_pages(program: &Program, thread: &Thread) -> bool {
    let Agent::Cpu(space) = thread.agent else { return false };
    space != SpaceId(0) && program.frames.iter().any(|frame| frame.owner == Some(space))
}

/// Whether a fault handler that the test brings along changes a table: then a
/// client brings the path about.
fn faults_change_tables(program: &Program) -> bool {
    let root = program.header.span.file;
    let changes = |id: FunctionId| {
        let function = &program.functions[id.index()];
        function.span.file == root
            && function.body.ops.iter().any(|op| match &op.kind {
                OpKind::Primitive { primitive, .. } => primitive.has(Tag::Table),
                OpKind::Call { .. } => true,
                _ => false,
            })
    };
    program.faults.iter().any(|fault| changes(fault.handler))
}

/// Whether a thread does nothing but access memory.
fn only_accesses(thread: &Thread) -> bool {
    thread.body.ops.iter().all(|op| match &op.kind {
        OpKind::Call { .. } => false,
        OpKind::Primitive { primitive, .. } => matches!(
            primitive.action,
            Action::Load(_)
                | Action::Store(_)
                | Action::Rmw(..)
                | Action::Exchange(_)
                | Action::CompareExchange(_)
                | Action::AddUnless
                | Action::Fence(_)
                | Action::Nothing
        ),
        _ => true,
    })
}

fn pages(program: &Program, own: Option<&Thread>) -> Vec<String> {
    let all = 0..program.globals.len();
    let first = own.into_iter().flat_map(|own| &own.parameters).map(|id| id.index());
    let mut list: Vec<String> = Vec::new();
    for at in first.chain(all) {
        let global = &program.globals[at];
        if matches!(global.kind, GlobalKind::Page(_)) && !list.iter().any(|n| **n == *global.name) {
            list.push(global.name.to_string());
        }
    }
    list
}

/// A name that begins like this and that nothing in the test has.
fn unused(program: &Program, wanted: &str) -> String {
    let mut name = wanted.to_owned();
    let taken = |name: &str| {
        program.globals.iter().any(|global| global.name.starts_with(name))
            || program.objects.iter().any(|object| object.name.starts_with(name))
            || program.functions.iter().any(|function| function.name.starts_with(name))
            || program.threads.iter().any(|thread| {
                let mut locals = thread.body.locals.iter();
                locals.any(|local| local.name.as_ref().is_some_and(|n| n.starts_with(name)))
            })
    };
    while taken(&name) {
        name.push('_');
    }
    name
}

fn runners(program: &Program) -> Vec<Runner> {
    let mut list = Vec::new();
    let behind_device = |id: usize| {
        program.objects.iter().any(
            |object| matches!(&object.kind, ObjectKind::Device { tlb, .. } if tlb.index() == id),
        )
    };
    let runs =
        |agent: Agent| program.threads.iter().any(|t| t.agent == agent && !is_client(program, t));
    let contexts = program.threads.iter().any(|thread| matches!(thread.agent, Agent::Context(_)));
    for (at, object) in program.objects.iter().enumerate() {
        let at_name = format!("@{}", object.name);
        let id = shootdown_litmus::program::ObjectId(at as u32);
        match &object.kind {
            ObjectKind::Device { .. } => {
                list.push(Runner { role: Role::Device, class: 'D', at: at_name });
            }
            ObjectKind::Tlb { kind: TlbKind::Tlb, source, .. }
                if !matches!(source, TlbSource::Contexts(_)) && !behind_device(at) =>
            {
                list.push(Runner { role: Role::Device, class: 'V', at: at_name });
            }
            // A CPU of its own beside those of the path.
            ObjectKind::Context { .. } if contexts && !runs(Agent::Context(id)) => {
                list.push(Runner { role: Role::Cpu, class: 'P', at: at_name });
            }
            _ => {}
        }
    }
    for (at, space) in program.spaces.iter().enumerate() {
        // Who gets the page that is free accesses it without a translation.
        let owner = program.frames.iter().any(|frame| frame.owner == Some(SpaceId(at as u32)));
        let mapped = at == 0 || *space.name == *"child";
        if !contexts && !space.domain && mapped && !owner {
            let at_name = if at == 0 { String::new() } else { format!("@{}", space.name) };
            list.push(Runner { role: Role::Cpu, class: 'P', at: at_name });
        }
    }
    list
}
