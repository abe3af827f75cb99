//! Who runs the threads of a test, and the TLBs that they go through.

use shootdown_litmus::Program;
use shootdown_litmus::program::{Agent, ObjectId, ObjectKind, TlbSource};

use crate::shape::{AgentShape, Cache, Context, ObjectShape, Queue, Shape, Source, space_of};

impl Shape {
    pub(crate) fn objects(&mut self, program: &Program) {
        // Caches may be named before what they fill from.
        for object in &program.objects {
            // Told so by a dial of its own name.
            let ignores = program
                .params
                .iter()
                .any(|param| param.name == object.name && &*param.value == "ignores");
            let shape = match &object.kind {
                ObjectKind::Tlb { source: TlbSource::Contexts(tags), noncoherent, .. } => {
                    let (first, tags) = (self.caches.len(), *tags as usize);
                    for tag in 0..tags {
                        self.caches.push(Cache {
                            name: format!("{}[{tag}]", object.name).into(),
                            source: Source::Roots,
                            space: 0,
                            cpu: false,
                            thread: None,
                            ignores,
                            noncoherent: *noncoherent,
                        });
                    }
                    ObjectShape::Tagged(first, tags)
                }
                ObjectKind::Context { .. } => {
                    self.contexts.push(Context {
                        name: object.name.clone(),
                        cache: 0,
                        tags: 0,
                        space: None,
                        tag: 0,
                        lazy: false,
                    });
                    ObjectShape::Context(self.contexts.len() - 1)
                }
                ObjectKind::Tlb { noncoherent, .. } => {
                    self.caches.push(Cache {
                        name: object.name.clone(),
                        source: Source::Table,
                        space: 0,
                        cpu: false,
                        thread: None,
                        ignores,
                        noncoherent: *noncoherent,
                    });
                    ObjectShape::Cache(self.caches.len() - 1)
                }
                ObjectKind::SoftTlb => {
                    self.softs.push(object.name.clone());
                    ObjectShape::Soft(self.softs.len() - 1)
                }
                ObjectKind::Queue { in_order, .. } => {
                    let dial = program.params.iter().find(|param| param.name == object.name);
                    let in_order = dial.map_or(*in_order, |param| &*param.value == "in_order");
                    self.queues.push(Queue { name: object.name.clone(), in_order });
                    ObjectShape::Queue(self.queues.len() - 1)
                }
                ObjectKind::Device { .. } => ObjectShape::Device(0),
            };
            self.objects.push(shape);
        }
        for (at, object) in program.objects.iter().enumerate() {
            match (&object.kind, self.objects[at]) {
                (ObjectKind::Tlb { source, .. }, ObjectShape::Cache(cache)) => {
                    self.caches[cache].source = match source {
                        TlbSource::Space(_) => Source::Table,
                        TlbSource::Object(other) => match self.objects[other.index()] {
                            ObjectShape::Soft(soft) => Source::Soft(soft),
                            ObjectShape::Cache(other) => Source::Cache(other),
                            ObjectShape::Context(context) => Source::Context(context),
                            _ => Source::Table,
                        },
                        TlbSource::Contexts(_) => unreachable!("it is no single cache"),
                    };
                    self.caches[cache].space = space_of(program, ObjectId(at as u32));
                }
                (ObjectKind::Context { tlb, space, tag, lazy }, ObjectShape::Context(context)) => {
                    let ObjectShape::Tagged(cache, tags) = self.objects[tlb.index()] else {
                        unreachable!("a context has a TLB with tags")
                    };
                    let context = &mut self.contexts[context];
                    (context.cache, context.tags, context.lazy) = (cache, tags, *lazy);
                    context.space = space.map(|space| space.index());
                    context.tag = usize::try_from(*tag).expect("tags were looked at");
                }
                _ => {}
            }
        }
        // Contexts are complete now.
        for (at, object) in program.objects.iter().enumerate() {
            if let ObjectKind::Device { tlb, .. } = &object.kind {
                self.objects[at] = ObjectShape::Device(self.behind(*tlb).0);
            }
        }
    }

    /// The cache that an agent on a TLB or a context uses, and the context.
    pub(crate) fn behind(&self, object: ObjectId) -> (usize, Option<usize>) {
        match self.objects[object.index()] {
            ObjectShape::Cache(cache) => {
                let mut at = cache;
                while let Source::Cache(source) = self.caches[at].source {
                    at = source;
                }
                let context = match self.caches[at].source {
                    Source::Context(context) => Some(context),
                    _ => None,
                };
                (cache, context)
            }
            ObjectShape::Context(context) => (self.contexts[context].cache, Some(context)),
            _ => unreachable!("an agent has a TLB or a context"),
        }
    }

    pub(crate) fn cpu_source(&self, space: usize) -> Source {
        if self.domains[space] { Source::Nothing } else { Source::Table }
    }

    pub(crate) fn threads(&mut self, program: &Program, local_flushes: bool) {
        // Where CPUs have contexts no CPU has a TLB that is not declared.
        let own = program.threads.iter().any(|thread| matches!(thread.agent, Agent::Context(_)));
        self.cpus_have_contexts = own;
        let spaces = if own { 0 } else { self.spaces.len() };
        let sources: Vec<Source> =
            (0..self.spaces.len()).map(|space| self.cpu_source(space)).collect();
        let cpu = |space: usize, name: String, thread: Option<usize>| Cache {
            name: name.into(),
            source: sources[space],
            space,
            cpu: true,
            thread,
            ignores: false,
            noncoherent: false,
        };
        let first = self.caches.len();
        self.caches.extend((0..spaces).map(|space| cpu(space, "cpu".into(), None)));
        for (at, thread) in program.threads.iter().enumerate() {
            let (cache, context) = match thread.agent {
                Agent::Cpu(_) if own => (0, None),
                Agent::Cpu(space) if local_flushes => {
                    let name = format!("cpu{}", thread.number);
                    self.caches.push(cpu(space.index(), name, Some(at)));
                    (self.caches.len() - 1, None)
                }
                Agent::Cpu(space) => (first + space.index(), None),
                Agent::Device(object) => match &program.objects[object.index()].kind {
                    ObjectKind::Device { tlb, .. } => self.behind(*tlb),
                    _ => unreachable!("a device thread runs on a device"),
                },
                Agent::Guest(object) | Agent::Context(object) => self.behind(object),
            };
            let space = match (thread.agent, context) {
                (Agent::Cpu(space), _) => space.index(),
                // Kernel code works on what is loaded at the beginning.
                (_, Some(context)) => self.contexts[context].space.unwrap_or(0),
                _ => self.caches[cache].space,
            };
            let ordered = match thread.agent {
                Agent::Device(object) => match &program.objects[object.index()].kind {
                    ObjectKind::Device { ordered, .. } => *ordered,
                    _ => true,
                },
                _ => true,
            };
            let is_cpu = !matches!(thread.agent, Agent::Device(_));
            self.agents.push(AgentShape {
                agent: thread.agent,
                space,
                cache,
                context,
                cpu: is_cpu,
                ordered,
            });
        }
    }
}
