//! Whether a verdict on one program may be given for a tree.

use shootdown_drift::{Citation, Recorded, State, Tree};
use shootdown_litmus::program::{FunctionId, OpKind};
use shootdown_litmus::{Program, Span};

/// The first function that the program runs and that is not, in this tree, what
/// was read: one sentence, and where it is cited.
pub fn withhold(program: &Program, tree: &mut Tree, recorded: &Recorded) -> Option<(String, Span)> {
    for (at, _) in reached(program).iter().enumerate().filter(|(_, reached)| **reached) {
        let function = &program.functions[at];
        for origin in &function.origins {
            let cited = Citation {
                tag: origin.tag.to_string(),
                file: origin.file.to_string(),
                function: origin.function.to_string(),
                line: 0,
            };
            let state = tree.state(&cited, recorded);
            if !state.holds() {
                return Some((sentence(&cited, state, tree), function.span));
            }
        }
    }
    None
}

fn sentence(cited: &Citation, state: State, tree: &Tree) -> String {
    let tree = tree
        .version()
        .map_or_else(|| tree.root().display().to_string(), |version| format!("Linux {version}"));
    let (name, file, tag) = (&cited.function, &cited.file, &cited.tag);
    match state {
        State::NotRecorded => format!(
            "the verdict is withheld: no digest of `{name}` ({file}, {tag}) is recorded to compare {tree} with"
        ),
        state => format!(
            "the verdict is withheld: `{name}` ({file}) was read in {tag} and is {state} in {tree}"
        ),
    }
}

/// Functions that threads, callbacks and handlers may call, and all that stand
/// behind the calls of programs.
fn reached(program: &Program) -> Vec<bool> {
    let mut reached = vec![false; program.functions.len()];
    let mut open: Vec<FunctionId> = Vec::new();
    for thread in &program.threads {
        calls(&thread.body.ops, &mut open);
    }
    open.extend(program.faults.iter().map(|fault| fault.handler));
    open.extend(program.subscriptions.iter().flat_map(|s| s.callbacks.iter().map(|(_, f)| *f)));
    let behind = program.functions.iter().enumerate();
    let behind = behind.filter(|(_, function)| function.name.starts_with("sys_"));
    open.extend(behind.map(|(at, _)| FunctionId(at as u32)));
    while let Some(function) = open.pop() {
        if !std::mem::replace(&mut reached[function.index()], true) {
            calls(&program.functions[function.index()].body.ops, &mut open);
        }
    }
    reached
}

fn calls(ops: &[shootdown_litmus::program::Op], open: &mut Vec<FunctionId>) {
    open.extend(ops.iter().filter_map(|op| match &op.kind {
        OpKind::Call { function, .. } => Some(*function),
        _ => None,
    }));
}
