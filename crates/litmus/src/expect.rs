//! The `expect` table: what a file claims for each variant, model, kernel and
//! machine.

use crate::lex::Name;
use crate::source::Span;
use crate::variant::Variant;

/// The lines of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// In the order of the text.
    pub lines: Vec<Expectation>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// For exactly this variant; `None` for `*`.
    pub variant: Option<Variant>,
    /// For one of these memory models; empty for any.
    pub models: Vec<Name>,
    /// For one of these machines; empty for any.
    pub machines: Vec<Name>,
    /// For one of these kernels; empty for any.
    pub kernels: Vec<Name>,
    /// With these parameters.
    pub params: Vec<(Name, Name)>,
    /// What is claimed about the obligations; if several fit, all are listed.
    pub claims: Vec<Claim>,
    /// What is claimed about the condition.
    pub outcome: Option<HowOften>,
    /// The line.
    pub span: Span,
}

/// A claim about the obligations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// No obligation is violated, and at least one was put to the test.
    Clean,
    /// This one is violated.
    Violated {
        /// Which.
        finding: Finding,
        /// The step that breaks it, if the line says so.
        step: Option<Name>,
    },
    /// Nothing was put to the test.
    NotExercised,
    /// The checker cannot answer.
    Uncovered,
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the obligations of the design, by their codes")]
pub enum Finding {
    Free,
    New,
    Copy,
    Table,
    Clean,
    Return,
    Progress,
    Lifetime,
    Reclaim,
    Rest,
    /// An outcome that ideal memory lacks and no obligation names.
    Outcome,
    // Errors of the program.
    Deadlock,
    /// Something that may sleep was called under a spin lock.
    Sleep,
    /// A lock was dropped that was not taken, or kept at the end.
    Unlock,
    /// A range was closed that was not open, or left open.
    Range,
    /// A word was read that nobody wrote.
    Undefined,
    /// A `WARN_ON` held.
    Warning,
    /// A page was used that nobody has.
    Page,
}

/// How often the condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "herd's words")]
pub enum HowOften {
    Never,
    Sometimes,
    Always,
}

/// The words of a verdict.
pub(crate) const VERDICTS: [(&str, Option<Finding>); 18] = [
    ("FREE", Some(Finding::Free)),
    ("NEW", Some(Finding::New)),
    ("COPY", Some(Finding::Copy)),
    ("TABLE", Some(Finding::Table)),
    ("CLEAN", Some(Finding::Clean)),
    ("RETURN", Some(Finding::Return)),
    ("PROGRESS", Some(Finding::Progress)),
    ("LIFETIME", Some(Finding::Lifetime)),
    ("RECLAIM", Some(Finding::Reclaim)),
    ("REST", Some(Finding::Rest)),
    ("outcome", Some(Finding::Outcome)),
    ("deadlock", Some(Finding::Deadlock)),
    ("sleep", Some(Finding::Sleep)),
    ("unlock", Some(Finding::Unlock)),
    ("range", Some(Finding::Range)),
    ("undefined", Some(Finding::Undefined)),
    ("warning", Some(Finding::Warning)),
    ("page", Some(Finding::Page)),
];

/// What a run is done with.
#[derive(Clone, Debug, Default)]
pub struct Setting<'a> {
    /// The variant.
    pub variant: Variant,
    /// The memory model.
    pub model: &'a str,
    /// The machine, if one was chosen.
    pub machine: Option<&'a str>,
    /// The kernel, if one was chosen.
    pub kernel: Option<&'a str>,
    /// The parameters, with the defaults.
    pub params: &'a [(&'a str, &'a str)],
}

impl Expectations {
    /// The line that speaks about a setting: of those that fit the one with
    /// the most constraints, and of equals the last. `None` is *unjudged*.
    pub fn judge(&self, setting: &Setting<'_>) -> Option<&Expectation> {
        let fitting = self.lines.iter().filter(|line| line.fits(setting));
        fitting.max_by_key(|line| line.constraints())
    }

    /// Every variant that a line names.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.lines.iter().filter_map(|line| line.variant.as_ref())
    }
}

impl Expectation {
    /// Whether the line speaks about a setting.
    pub fn fits(&self, setting: &Setting<'_>) -> bool {
        let among = |names: &[Name], value: Option<&str>| {
            names.is_empty() || value.is_some_and(|value| names.iter().any(|name| &**name == value))
        };
        self.variant.as_ref().is_none_or(|variant| *variant == setting.variant)
            && among(&self.models, Some(setting.model))
            && among(&self.machines, setting.machine)
            && among(&self.kernels, setting.kernel)
            && self.params.iter().all(|(name, value)| {
                setting.params.iter().any(|(n, v)| *n == &**name && *v == &**value)
            })
    }

    fn constraints(&self) -> usize {
        usize::from(self.variant.is_some())
            + usize::from(!self.models.is_empty())
            + usize::from(!self.machines.is_empty())
            + usize::from(!self.kernels.is_empty())
            + self.params.len()
    }
}
