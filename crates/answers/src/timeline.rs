//! A run of the machine, told step by step.

/// A run, from the beginning on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Who takes steps: every thread of the test, and hardware that moved.
    pub columns: Vec<Column>,
    /// The state at the beginning: `a -> Fa ro`, one line for each entry.
    pub start: Vec<String>,
    /// One row for each step, in the order in which they happen.
    pub rows: Vec<Row>,
    /// What is wrong at the end, in one sentence.
    pub end: String,
}

/// Somebody who takes steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As in the file: `P0`, `D2`, `V0`, or the name of a queue.
    pub name: String,
    /// What it is.
    pub kind: ColumnKind,
    /// Its number among its kind.
    pub number: u32,
}

/// What a column stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// A CPU thread: `CPU0` in a change log, `CPU-thread-0` in the document's
    /// form.
    Cpu,
    /// A device thread: `DEV0`, `DEV-thread-0`.
    Device,
    /// A guest's CPU: `VCPU0`, `VCPU-thread-0`.
    Guest,
    /// An invalidation queue that executes what was posted.
    Queue,
    /// A store buffer that reaches memory; the number is its thread's column.
    Buffer,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Index into [`Timeline::columns`].
    pub column: usize,
    /// The text of the step as the file has it: `ptep_clear_flush(vmf->pte)`.
    pub what: String,
    /// What came of it: `r0 = 1`, `blocked until here`, `faults`.
    pub result: Option<String>,
    /// The function of the file that it is in, if any: `wp_page_copy`.
    pub function: Option<String>,
    /// Where it stands.
    pub place: Option<Place>,
    /// What is different after it.
    pub changes: Vec<Change>,
    /// What a reader has to know of it.
    pub marks: Vec<Mark>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The whole line, without indentation and comment.
    pub text: String,
}

/// Something that a step changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of what kind.
    pub kind: ChangeKind,
    /// `a: Fa ro -> none`, `ptl(a): P0`, `T forgets a`, `[x] = 1`.
    pub text: String,
}

/// What can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// An entry of a page table.
    Table,
    /// A lock.
    Lock,
    /// What a TLB may hold.
    Tlb,
    /// What is posted and not yet done.
    Queue,
    /// The words of a page, or whether somebody has it.
    Frame,
    /// A word.
    Word,
    /// A notifier range is open or closed.
    Range,
}

/// What a reader has to know of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Here at the latest the hardware reads an entry that is used later.
    Fill {
        /// Who fills: the name of a TLB.
        tlb: String,
        /// The entry: `a -> Fa ro`.
        entry: String,
        /// The row that uses it.
        used_by: usize,
    },
    /// The access goes through an entry that the table does not have (any
    /// more).
    Stale {
        /// The TLB.
        tlb: String,
        /// The entry that was used: `a -> Fa ro`.
        entry: String,
    },
    /// Here the obligation is broken.
    Breaks {
        /// Its code.
        obligation: &'static str,
    },
    /// From here on no run of ideal memory ends like this one.
    Impossible,
}
