//! The graph: classes of locks, and which is held when which is waited for.

use std::collections::BTreeSet;

use shootdown_step::shape::OrderContext;

use crate::timeline::Place;

/// What a class stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Locks that spin: who has one must not sleep.
    Spin,
    /// Locks that sleep.
    Sleeping,
    /// Sections of readers that somebody waits for.
    Readers,
    /// No lock, and like one.
    Context(OrderContext),
}

impl Kind {
    /// Whether the search knows nothing of it.
    pub fn is_context(self) -> bool {
        matches!(self, Kind::Context(_))
    }
}

/// A class of locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// As the file names it.
    pub name: String,
    /// As a suite names it: a lock in a record by the type of the record.
    pub key: String,
    /// What it is.
    pub kind: Kind,
}

/// A step of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The primitive or the call.
    pub name: String,
    /// The text: `mutex_lock(&m)`.
    pub text: String,
    /// The innermost function that it is in.
    pub function: Option<String>,
    /// Where.
    pub place: Option<Place>,
}

/// Why there is an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A thread does it.
    Taken {
        /// Who.
        thread: String,
        /// Where it took what it holds.
        held: Box<Spot>,
        /// Where it waits.
        waits: Box<Spot>,
    },
    /// Kernels do it, whatever the file says.
    Rule(&'static Rule),
}

/// From what is held to what is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of a class.
    pub from: usize,
    /// Index of a class.
    pub to: usize,
    /// The first reason that was met.
    pub why: Why,
    /// Locks that are held each time, beside the first.
    pub under: BTreeSet<usize>,
}

/// What kernels do in a context.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who runs in this context ...
    pub from: OrderContext,
    /// ... takes this, or enters it.
    pub to: To,
    /// One sentence.
    pub what: &'static str,
    /// Where it was read.
    pub source: &'static str,
}

/// What a rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// A context.
    Context(OrderContext),
    /// The locks of reverse maps.
    Rmap,
}

/// What reclaim does in Linux. An edge of the graph only if the file has both ends.
pub(super) static RULES: [Rule; 3] = [
    Rule {
        from: OrderContext::Reclaim,
        to: To::Context(OrderContext::RangeStart),
        what: "whoever gives memory back tells subscribers",
        source: "mm/page_alloc.c, fs_reclaim_acquire, v6.12.117",
    },
    Rule {
        from: OrderContext::Reclaim,
        to: To::Context(OrderContext::Told),
        what: "whoever gives memory back invalidates secondary TLBs",
        source: "mm/rmap.c, try_to_unmap_one, v6.12.117",
    },
    Rule {
        from: OrderContext::Reclaim,
        to: To::Rmap,
        what: "whoever gives memory back walks the reverse map",
        source: "mm/vmscan.c, shrink_folio_list, v6.12.117",
    },
];

/// What the class of reverse maps is called.
pub(super) const RMAP: &str = "rmap lock";

/// Classes and what is known of their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Each once.
    pub classes: Vec<Class>,
    /// Each pair once.
    pub edges: Vec<Edge>,
    /// Contexts that somebody waits for, whatever is held.
    pub waited: BTreeSet<OrderContext>,
    /// Why it may have fewer edges than there are.
    pub limit: Option<String>,
}

impl Graph {
    /// The number of a class.
    pub(super) fn class(&mut self, class: Class) -> usize {
        let known = self.classes.iter().position(|other| other.name == class.name);
        known.unwrap_or_else(|| {
            self.classes.push(class);
            self.classes.len() - 1
        })
    }

    /// Adds an edge, or what is new of one.
    pub(super) fn add(&mut self, edge: Edge) {
        match self.edges.iter_mut().find(|old| (old.from, old.to) == (edge.from, edge.to)) {
            Some(old) => old.under.retain(|lock| edge.under.contains(lock)),
            None => self.edges.push(edge),
        }
    }

    /// Adds what kernels do.
    pub(super) fn add_rules(&mut self) {
        for rule in &RULES {
            let find = |kind| self.classes.iter().position(|class| class.kind == kind);
            let from = find(Kind::Context(rule.from));
            let to = match rule.to {
                To::Context(context) => find(Kind::Context(context)),
                To::Rmap => self.classes.iter().position(|class| class.name == RMAP),
            };
            if let (Some(from), Some(to)) = (from, to) {
                self.add(Edge { from, to, why: Why::Rule(rule), under: BTreeSet::new() });
            }
        }
    }

    /// Edges that threads have made.
    pub fn taken(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(|edge| matches!(edge.why, Why::Taken { .. }))
    }
}

/// What a context is called.
pub(super) fn context_name(context: OrderContext) -> &'static str {
    match context {
        OrderContext::Reclaim => "direct_reclaim",
        OrderContext::FsReclaim => "fs_reclaim",
        OrderContext::RangeStart => "mmu_notifier_invalidate_range_start",
        OrderContext::Told => "mmu_notifier_invalidate_range",
        OrderContext::Signalling => "dma_fence_map",
        OrderContext::Interrupt => "hardirq",
        OrderContext::NoFs => "memalloc_nofs",
        OrderContext::NoReclaim => "memalloc_noreclaim",
    }
}
