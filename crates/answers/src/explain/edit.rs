//! Bodies with a step less or a step more. Jumps go on leading where they led.

use shootdown_litmus::program::{Body, Op, OpId, OpKind};

/// Takes a step out; no other step changes its number.
pub(super) fn take_out(body: &mut Body, at: usize) {
    body.ops[at].kind = OpKind::Jump(OpId(at as u32 + 1));
}

/// Puts a step before the one with this number. With `jumps`, who jumps there
/// runs it as well; without, only who comes from the step before.
pub(super) fn put_in(body: &mut Body, at: usize, op: Op, jumps: bool) {
    let fix = |target: &mut OpId| {
        if target.index() > at || target.index() == at && !jumps {
            target.0 += 1;
        }
    };
    for op in &mut body.ops {
        match &mut op.kind {
            OpKind::Jump(target) => fix(target),
            OpKind::Branch { yes, no, .. } => {
                fix(yes);
                fix(no);
            }
            _ => {}
        }
    }
    body.ops.insert(at, op);
}

#[cfg(test)]
mod tests {
    use super::*;
    use shootdown_litmus::{NoSources, Variant, check_source};

    fn body() -> Body {
        let text = "C t\n\n{ int x = 0; }\n\nP0(int *x) { if (READ_ONCE(*x)) goto end; WRITE_ONCE(*x, 1); \
                    end: WRITE_ONCE(*x, 2); }\n\nexists (true)\n";
        let program = check_source("t", text, &NoSources, &Variant::base()).expect("a right text");
        program.threads[0].body.clone()
    }

    /// What is run from a step on, if every branch is taken or none.
    fn run(body: &Body, taken: bool) -> Vec<String> {
        let (mut at, mut list) = (0, Vec::new());
        loop {
            at = match &body.ops[at].kind {
                OpKind::Jump(to) => to.index(),
                OpKind::Branch { yes, no, .. } => (if taken { yes } else { no }).index(),
                OpKind::Return(_) => return list,
                OpKind::Primitive { primitive, .. } => {
                    list.push(primitive.name.to_owned());
                    at + 1
                }
                _ => at + 1,
            };
        }
    }

    #[test]
    fn jumps_lead_where_they_led() {
        let before = body();
        let fence = Op {
            kind: OpKind::Primitive {
                into: None,
                primitive: shootdown_litmus::primitives::primitive("smp_mb").expect("a row"),
                args: Vec::new(),
            },
            span: before.ops[0].span,
        };
        for at in 0..before.ops.len() {
            for jumps in [false, true] {
                let mut after = before.clone();
                put_in(&mut after, at, fence.clone(), jumps);
                for taken in [false, true] {
                    let mut ran = run(&after, taken);
                    assert!(ran.iter().filter(|name| *name == "smp_mb").count() <= 1);
                    ran.retain(|name| name != "smp_mb");
                    assert_eq!(ran, run(&before, taken), "at {at}");
                }
            }
        }
    }

    #[test]
    fn a_step_is_gone() {
        let mut body = body();
        let write = |op: &Op| matches!(&op.kind, OpKind::Primitive { primitive, .. } if primitive.name == "WRITE_ONCE");
        let at = body.ops.iter().position(write).expect("a write");
        take_out(&mut body, at);
        assert_eq!(run(&body, true), run(&body, false));
    }
}
