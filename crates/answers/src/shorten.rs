//! The part of a run that shows what is wrong.
//!
//! A run to a wrong end goes on until every thread is done. A reader wants what
//! leads to the access that makes it wrong, and no more: the steps after it are
//! cut, and then, thread by thread, the last steps without which the same access
//! still has no run on ideal memory.

use shootdown_machine::machine::Machine;
use shootdown_machine::model::{Process, Run};
use shootdown_machine::outcome::comparable;
use shootdown_machine::sets::Sets;

use crate::check::Subject;
use crate::classify::{Ends, culprit};
use crate::story::Story;

/// The shortest part that still has no run on ideal memory; the whole run if no
/// single access makes it so.
pub(crate) fn shorten(subject: &Subject, machine: &Machine<Sets>, run: &Run, ends: &Ends) -> Run {
    let story = Story { subject, machine, run };
    let Some(last) = culprit(&story, ends) else { return run.clone() };
    let finally = match run.steps.last() {
        Some((.., state)) => comparable(machine, state, &ends.compared),
        None => return run.clone(),
    };
    // What a thread knows must be what it knows in the end, or a later step
    // could still mend it.
    let shows = |part: &Run| {
        let story = Story { subject, machine, run: part };
        culprit(&story, ends) == Some(part.steps.len() - 1) && {
            let Some((.., state)) = part.steps.last() else { return false };
            let now = comparable(machine, state, &ends.compared);
            crate::classify::known(&story, ends).iter().all(|(at, _)| now[*at] == finally[*at])
        }
    };
    let cut = Run { start: run.start.clone(), steps: run.steps[..=last].to_vec() };
    if !shows(&cut) {
        return run.clone();
    }
    let mut best = cut;
    loop {
        let before = best.steps.len();
        let processes: Vec<Process> = best.steps.iter().map(|(process, ..)| *process).collect();
        let mut tried = Vec::new();
        for process in processes {
            if tried.contains(&process) {
                continue;
            }
            tried.push(process);
            while let Some(shorter) =
                without_last(machine, &best, process).filter(|part| shows(part))
            {
                best = shorter;
            }
        }
        if best.steps.len() == before {
            return best;
        }
    }
}

/// The run without the last step of a process, if the others can go on.
fn without_last(machine: &Machine<Sets>, run: &Run, process: Process) -> Option<Run> {
    let last = run.steps.iter().rposition(|(own, ..)| *own == process)?;
    // The access itself stays.
    if last + 1 == run.steps.len() {
        return None;
    }
    let choices =
        run.steps.iter().enumerate().filter(|(at, _)| *at != last).map(|(_, (p, c, _))| (*p, *c));
    replay(machine, run, choices)
}

/// The run with these choices.
pub(crate) fn replay(
    machine: &Machine<Sets>,
    run: &Run,
    choices: impl Iterator<Item = (Process, u32)>,
) -> Option<Run> {
    let mut state = run.start.clone();
    let mut steps = Vec::new();
    for (process, choice) in choices {
        let mut next = None;
        machine.steps(&state, process, &mut |own, to| {
            if own == choice && next.is_none() {
                next = Some(to);
            }
        });
        state = next?;
        steps.push((process, choice, state.clone()));
    }
    Some(Run { start: run.start.clone(), steps })
}
