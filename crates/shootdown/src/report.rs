//! What the program prints, as text or as JSON.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use address_space::Error;
use serde::Serialize;

use crate::computed::Computed;
use crate::count::{Count, Counts, doorbell, early_free};
use crate::play::{Exemption, Play, exemption, scenario};
use crate::table::{self, Decision};

/// Version of the JSON form. Fields may be added without changing it.
pub const SCHEMA: &str = "shootdown.play/1";

/// How long each count may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Everything that was played and counted.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: &'static str,
    /// What exploration says.
    pub computed: Computed,
    /// Case B with the notification between clear and set, and at `range_end`.
    pub case_b: [Play; 2],
    /// Case B from free-running threads.
    pub doorbell: Counts,
    /// Case A from free-running threads.
    pub early_free: Counts,
    /// The exemption.
    pub exemption: [Exemption; 2],
    /// The decision table.
    pub table: Vec<Decision>,
}

/// How it ended; the program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All as the document says.
    AsExpected,
    /// The right policy was caught, or the wrong one was not.
    Differs,
    /// A window was not hit, so nothing was shown there.
    NotExercised,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        ExitCode::from(match verdict {
            Verdict::AsExpected => 0,
            Verdict::Differs => 1,
            Verdict::NotExercised => 3,
        })
    }
}

const CASE_B: &str = "\
Case B of Linux' Documentation/mm/mmu_notifier.rst, played: threads are stopped at
named points. The steps are a script; every value, and whether a page is the old or
the new one, was read. x and y are added: they carry the order that the document
means, and without them six threads with one access each could not tell. So is the
last block.
";

const FREE_RUNNING: &str = "\
Free-running threads: nobody is stopped; each yields once after releasing the page
table lock, under both policies alike. How often the window is hit varies from run
to run.

";

const COUNT_B: &str = "\
case B, one COW page and a doorbell: device reads after the bell and before
range_end returned, and those that found old data
";

const COUNT_A: &str = "\
case A, a page freed under a device that writes: frames that the next owner
got, and those in which the device's write landed
";

const EXEMPTION: &str = "\
The exemption, played: the thread is preempted between releasing the lock and
range_end, nobody has been notified, devices go on.
";

impl Report {
    /// Plays and counts.
    ///
    /// # Errors
    ///
    /// If an operation of the address space fails that should not.
    pub fn make() -> Result<Self, Error> {
        Ok(Report {
            schema: SCHEMA,
            computed: Computed::make(),
            case_b: [scenario(false)?, scenario(true)?],
            doorbell: doorbell(LIMIT)?,
            early_free: early_free(LIMIT)?,
            exemption: exemption()?,
            table: table::decisions(),
        })
    }

    /// Whether all is as the document says.
    pub fn verdict(&self) -> Verdict {
        let [right, late] = &self.case_b;
        let played = right.violates.is_none() && late.violates.is_some();
        let right = [&self.doorbell.right, &self.early_free.right];
        let all = [&self.doorbell.right, &self.doorbell.wrong];
        let counted = right.iter().all(|count| count.wrong == 0)
            && all.iter().all(|count| count.wrong_after == 0);
        let exempt = self.exemption.iter().all(Exemption::holds);
        let computed = self.computed.as_expected();
        if !(computed && played && counted && exempt) {
            Verdict::Differs
        } else if !(self.doorbell.window_hit() && self.early_free.window_hit()) {
            Verdict::NotExercised
        } else {
            Verdict::AsExpected
        }
    }

    /// The form for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "When do you need to notify inside page table lock ?")?;
        writeln!(out)?;
        out.push_str(&self.computed.text());
        writeln!(out)?;
        out.push_str(CASE_B);
        for play in &self.case_b {
            writeln!(out)?;
            writeln!(out, "Notified {}:", play.notified)?;
            writeln!(out)?;
            write!(out, "{}", play.timeline)?;
            let outcome = play.outcome;
            writeln!(
                out,
                " outcome: x={} addrB={} y={} addrA={}: {}",
                outcome.x,
                outcome.b,
                outcome.y,
                outcome.a,
                match play.violates {
                    Some(code) =>
                        format!("{code} violated, new data at addrB and then old at addrA"),
                    None => "in order".to_owned(),
                }
            )?;
        }
        self.write_counts(out)?;
        writeln!(out)?;
        out.push_str(EXEMPTION);
        for exemption in &self.exemption {
            writeln!(out)?;
            let holds = if exemption.holds() { "no wrong value, no lost write" } else { "BROKEN" };
            writeln!(out, "{}: {holds}", exemption.change)?;
            for seen in &exemption.observations {
                let mark = if seen.right { "" } else { "   <- WRONG" };
                writeln!(out, " {}  {{{}}}{mark}", seen.thread, seen.what)?;
            }
        }
        writeln!(out)?;
        writeln!(out, "The decision table:")?;
        writeln!(out)?;
        write!(out, "{}", table::text())
    }

    fn write_counts(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out)?;
        out.push_str(FREE_RUNNING);
        out.push_str(COUNT_B);
        line(out, "between clear and set", "reads", &self.doorbell.right)?;
        line(out, "at range_end", "reads", &self.doorbell.wrong)?;
        out.push_str(COUNT_A);
        line(out, "told, then freed", "frames", &self.early_free.right)?;
        line(out, "freed, then told", "frames", &self.early_free.wrong)
    }
}

fn line(out: &mut String, policy: &str, what: &str, count: &Count) -> std::fmt::Result {
    let policy = format!("{policy}:");
    let Count { rounds, in_window, wrong, wrong_after } = count;
    if *in_window == 0 {
        return writeln!(out, "  {policy:<23} window not hit in {rounds} rounds");
    }
    writeln!(out, "  {policy:<23} {wrong} of {in_window} {what}, {rounds} rounds")?;
    if *wrong_after != 0 {
        writeln!(out, "  {policy:<23} and {wrong_after} AFTER range_end returned")?;
    }
    Ok(())
}
