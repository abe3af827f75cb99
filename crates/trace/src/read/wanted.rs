//! Which events anybody asked for.

use std::collections::HashSet;

/// The names of the events that are worth parsing; all others are skipped before.
///
/// A name is what the tracer prints before the colon, without its group: `start`,
/// `kvm_page_fault`. What was *printed* (`trace_printk`, a write to the trace marker)
/// has no name of its own in text: there it is known by its first word, as in
/// `SCN begin fill` or `dev_fill va=0x1000 pfn=0x12`, which becomes the event's name.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub(super) all: bool,
    pub(super) events: HashSet<String>,
    pub(super) printed: HashSet<String>,
}

impl Wanted {
    /// Nothing yet.
    #[must_use]
    pub fn nothing() -> Wanted {
        Wanted::default()
    }

    /// Everything, under the names that the tracer gives.
    #[must_use]
    pub fn everything() -> Wanted {
        Wanted { all: true, ..Wanted::default() }
    }

    /// Also the events of these names.
    #[must_use]
    pub fn events<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Wanted {
        self.events.extend(names.into_iter().map(Into::into));
        self
    }

    /// Also what was printed with one of these first words.
    #[must_use]
    pub fn printed<N: Into<String>>(mut self, words: impl IntoIterator<Item = N>) -> Wanted {
        self.printed.extend(words.into_iter().map(Into::into));
        self
    }
}
