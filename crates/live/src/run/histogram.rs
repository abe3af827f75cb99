//! What came out, and how litmus7 writes it.

use std::fmt;

use shootdown_litmus::program::Quantifier;

/// A final state: names and values.
pub type State = Vec<(String, String)>;

/// What a test came to on threads.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// The test.
    pub test: String,
    /// `exists (0:r0=1 /\ 0:r1=0)`.
    pub condition: String,
    /// What is asked.
    pub quantifier: Quantifier,
    /// Every final state, and how often it came out.
    pub states: Vec<(State, u64)>,
    /// Whether each of them fulfils the proposition of the condition.
    pub satisfying: Vec<bool>,
    /// How many there were.
    pub iterations: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether the threads met.
    pub window: WindowHits,
    /// Final states that the checker does not allow: a finding.
    pub outside: Vec<(State, u64)>,
    /// Final states that the checker allows and that did not come out.
    pub allowed_not_seen: Vec<State>,
    /// Why `outside` is empty without having been looked at.
    pub unchecked: Option<String>,
}

/// Iterations in which an access began while another thread was changing the
/// tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowHits {
    /// Between `range_start` and the return of `range_end`.
    pub in_range: u64,
    /// Between the beginning and the return of a call.
    pub in_call: u64,
}

impl WindowHits {
    pub(crate) fn add(&mut self, (in_range, in_call): (bool, bool)) {
        self.in_range += u64::from(in_range);
        self.in_call += u64::from(in_call);
    }
}

impl Histogram {
    /// Iterations whose end fulfils the proposition, and those whose end does
    /// not.
    pub fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for ((_, count), satisfies) in self.states.iter().zip(&self.satisfying) {
            if *satisfies { counts.0 += count } else { counts.1 += count }
        }
        counts
    }

    /// Whether the quantified condition holds of what came out.
    pub fn validated(&self) -> bool {
        let (yes, no) = self.counts();
        match self.quantifier {
            Quantifier::Exists | Quantifier::Final => yes != 0,
            Quantifier::NotExists => yes == 0,
            Quantifier::Forall => no == 0,
        }
    }

    /// Iterations in a second.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.iterations as f64 / self.seconds } else { 0.0 }
    }
}

fn state(state: &State) -> String {
    state.iter().map(|(name, value)| format!("{name}={value};")).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (yes, no) = self.counts();
        let kind = match self.quantifier {
            Quantifier::Exists | Quantifier::Final => "Allowed",
            Quantifier::NotExists => "Forbidden",
            Quantifier::Forall => "Required",
        };
        writeln!(f, "Test {} {kind}", self.test)?;
        writeln!(f, "Histogram ({} states)", self.states.len())?;
        for ((end, count), satisfies) in self.states.iter().zip(&self.satisfying) {
            // A star marks what the condition is about.
            let mark =
                if *satisfies == (self.quantifier != Quantifier::Forall) { '*' } else { ':' };
            writeln!(f, "{count:<6}{mark}>{}", state(end))?;
        }
        writeln!(f, "{}", if self.validated() { "Ok" } else { "No" })?;
        writeln!(f)?;
        // For and against the condition as it is quantified.
        let (positive, negative) = match self.quantifier {
            Quantifier::NotExists => (no, yes),
            _ => (yes, no),
        };
        writeln!(f, "Witnesses")?;
        writeln!(f, "Positive: {positive}, Negative: {negative}")?;
        let verdict = if self.validated() { "is validated" } else { "is NOT validated" };
        writeln!(f, "Condition {} {verdict}", self.condition)?;
        let often = match (yes, no) {
            (0, _) => "Never",
            (_, 0) => "Always",
            _ => "Sometimes",
        };
        writeln!(f, "Observation {} {often} {yes} {no}", self.test)?;
        writeln!(f, "Time {} {:.2}", self.test, self.seconds)?;
        writeln!(
            f,
            "Window {} ranges {} calls {} of {}",
            self.test, self.window.in_range, self.window.in_call, self.iterations
        )?;
        for (end, count) in &self.outside {
            writeln!(f, "Outside {} {count} {}", self.test, state(end))?;
        }
        match &self.unchecked {
            Some(why) => writeln!(f, "Unchecked {} {why}", self.test),
            None => {
                writeln!(f, "Not seen {} {}", self.test, self.allowed_not_seen.len())
            }
        }
    }
}
