//! Memory models: in which orders agents may see what others wrote.

use std::fmt;

use shootdown_litmus::primitives::Fence;

/// A memory model. What each means is in `docs/semantics.md`, section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MemoryModel {
    /// Steps take effect in the order of one interleaving.
    #[default]
    Sc,
    /// Each CPU has a store buffer, first in first out.
    Tso,
    /// Release and acquire: a view of each agent on each location.
    Ra,
}

impl MemoryModel {
    /// All of them, the strongest first.
    pub const ALL: [MemoryModel; 3] = [MemoryModel::Sc, MemoryModel::Tso, MemoryModel::Ra];

    /// As a `model` line and `--model` name it.
    pub fn name(self) -> &'static str {
        match self {
            MemoryModel::Sc => "sc",
            MemoryModel::Tso => "tso",
            MemoryModel::Ra => "ra",
        }
    }

    /// The model of a name.
    pub fn of_name(name: &str) -> Option<MemoryModel> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// Whether a fence orders what the model would reorder otherwise.
    pub fn orders(self, fence: Fence) -> bool {
        match self {
            MemoryModel::Sc => false,
            MemoryModel::Tso => fence == Fence::Full,
            MemoryModel::Ra => fence != Fence::Compiler,
        }
    }

    /// Whether CPUs have store buffers.
    pub fn has_buffers(self) -> bool {
        self == MemoryModel::Tso
    }
}

impl fmt::Display for MemoryModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
