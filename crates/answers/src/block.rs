//! Final states, and how often the condition holds in them.

use shootdown_litmus::Program;
use shootdown_litmus::program::Quantifier;
use shootdown_machine::outcome::{holds, name, value_name};

use crate::check::Subject;
use crate::explored::Explored;
use crate::verdict::Block;

/// The block of a test that was explored.
pub(crate) fn block(subject: &Subject, explored: &Explored) -> Block {
    let program = &subject.program;
    let lowered = &subject.lowered;
    let mut block = empty(program);
    let shown = &explored.shown;
    let mut satisfying = std::collections::BTreeSet::new();
    let mut others = std::collections::BTreeSet::new();
    for end in &explored.found.ends {
        let end = &end[..shown.len()];
        let value = |what| shown.iter().position(|known| *known == what).map_or(0, |at| end[at]);
        if program.filter.as_ref().is_some_and(|filter| !holds(filter, lowered, &value)) {
            continue;
        }
        let condition = program.condition.as_ref();
        let fits = condition.is_none_or(|condition| holds(&condition.prop, lowered, &value));
        if fits {
            satisfying.insert(end.to_vec())
        } else {
            others.insert(end.to_vec())
        };
    }
    let line = |end: &Vec<i64>| {
        let parts = shown.iter().zip(end);
        let parts: Vec<String> = parts
            .map(|(what, value)| {
                format!("{}={};", name(lowered, program, *what), value_name(*value))
            })
            .collect();
        parts.join(" ")
    };
    block.states = satisfying.iter().chain(&others).map(line).collect();
    block.states.sort();
    block.satisfying = satisfying.len() as u64;
    block.others = others.len() as u64;
    let quantifier =
        program.condition.as_ref().map_or(Quantifier::Forall, |condition| condition.quantifier);
    let complete =
        crate::explored::incomplete(&explored.found).is_none() && !subject.setting.is_too_strong();
    block.validated = match quantifier {
        Quantifier::Exists | Quantifier::Final if block.satisfying > 0 => Some(true),
        Quantifier::NotExists if block.satisfying > 0 => Some(false),
        Quantifier::Forall if block.others > 0 => Some(false),
        Quantifier::Exists | Quantifier::Final if complete => Some(false),
        _ if complete => Some(true),
        _ => None,
    };
    block
}

/// The block of a test that was not explored.
pub(crate) fn empty(program: &Program) -> Block {
    let (kind, condition) = match &program.condition {
        Some(condition) => {
            let kind = match condition.quantifier {
                Quantifier::Exists | Quantifier::Final => "Allowed",
                Quantifier::NotExists => "Forbidden",
                Quantifier::Forall => "Required",
            };
            let text: Vec<&str> = program.files.text(condition.span).split_whitespace().collect();
            (kind, text.join(" "))
        }
        None => ("Required", "forall (true)".to_owned()),
    };
    Block {
        kind,
        states: Vec::new(),
        validated: None,
        satisfying: 0,
        others: 0,
        condition,
        hash: hash(program),
    }
}

/// Tells texts apart: two halves of FNV-1a, over every text that was read and
/// the variant.
fn hash(program: &Program) -> String {
    let mut halves = [0xcbf2_9ce4_8422_2325u64, 0x84222325_cbf29ce4];
    let mut add = |bytes: &[u8]| {
        for half in &mut halves {
            for byte in bytes {
                *half = (*half ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
            *half = half.rotate_left(29);
        }
    };
    for file in program.files.iter() {
        add(file.text.as_bytes());
    }
    add(program.variant.to_string().as_bytes());
    format!("{:016x}{:016x}", halves[0], halves[1])
}
