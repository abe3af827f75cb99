//! herd7's block: what scripts made for the kernel's memory model read.
//!
//! The layout is herd7's, line by line, with two lines of our own before the
//! time: the model, which herd7 takes from a file, and the variant. `A` and `B`
//! of the `Observation` line, and the two numbers of the `Positive` line, count
//! **final states**; herd7 counts executions there. Whether either is zero, and
//! so the word between, means the same.
//!
//! A search that stopped at a limit can show that something happens, and not
//! that it never does: where herd7 has no word for that, the word is `Unknown`.

use shootdown_answers::verdict::Checked;

use super::text::one_line;

/// The variant without switches.
const BASE: &str = "base";

/// The block, with the blank line at its end.
pub fn text(checked: &Checked) -> String {
    let block = &checked.block;
    let test = one_line(&checked.test);
    let mut out = format!("Test {test} {}\nStates {}\n", block.kind, block.states.len());
    for state in &block.states {
        out.push_str(&one_line(state));
        out.push('\n');
    }
    out.push_str(match block.validated {
        Some(true) => "Ok\n",
        Some(false) => "No\n",
        None => "Unknown\n",
    });
    let (positive, negative) = if block.kind == "Forbidden" {
        (block.others, block.satisfying)
    } else {
        (block.satisfying, block.others)
    };
    out.push_str(&format!("Witnesses\nPositive: {positive} Negative: {negative}\n"));
    out.push_str(&format!("Condition {}\n", one_line(&block.condition)));
    out.push_str(&format!("Observation {test} {}\n", observation(checked)));
    out.push_str(&format!("Model {}\n", one_line(&checked.model)));
    if checked.variant != BASE {
        out.push_str(&format!("Variant {}\n", one_line(&checked.variant)));
    }
    out.push_str(&format!("Time {test} {:.2}\n", checked.search.time.as_secs_f64()));
    out.push_str(&format!("Hash={}\n\n", block.hash));
    out
}

/// `Never 0 3`: how often the bare proposition holds.
pub(super) fn observation(checked: &Checked) -> String {
    let block = &checked.block;
    format!("{} {} {}", how_often(checked), block.satisfying, block.others)
}

/// `Never`, `Sometimes`, `Always`, or `Unknown`.
pub(super) fn how_often(checked: &Checked) -> &'static str {
    let block = &checked.block;
    let complete = block.validated.is_some() && checked.search.stopped.is_none();
    match (block.satisfying, block.others) {
        (1.., 1..) => "Sometimes",
        _ if !complete => "Unknown",
        (0, _) => "Never",
        _ => "Always",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_layout_of_herd7() {
        let expected = "\
Test doorbell Allowed
States 4
D0:data=0; D0:rung=0;
D0:data=0; D0:rung=1;
D0:data=1; D0:rung=0;
D0:data=1; D0:rung=1;
Ok
Witnesses
Positive: 1 Negative: 3
Condition exists (D0:rung=1 /\\ D0:data=0)
Observation doorbell Sometimes 1 3
Model sc
Variant LATE
Time doorbell 0.00
Hash=00112233445566778899aabbccddeeff

";
        assert_eq!(text(&fixture::late()), expected);
    }

    #[test]
    fn the_base_variant_is_not_named() {
        assert!(!text(&fixture::clean()).contains("Variant"));
    }

    #[test]
    fn what_is_forbidden_and_never_happens() {
        let mut checked = fixture::clean();
        checked.block.kind = "Forbidden";
        checked.block.validated = Some(true);
        checked.block.condition = "~exists (x=1)".to_owned();
        checked.block.others = 1;
        let text = text(&checked);
        assert!(text.contains("\nOk\nWitnesses\nPositive: 1 Negative: 0\n"), "{text}");
        assert!(text.contains("\nObservation doorbell Never 0 1\n"), "{text}");
    }

    #[test]
    fn always_and_the_deadlock_of_the_kernels_scripts() {
        let mut checked = fixture::clean();
        (checked.block.satisfying, checked.block.others) = (2, 0);
        assert_eq!(observation(&checked), "Always 2 0");
        (checked.block.satisfying, checked.block.others) = (0, 0);
        assert_eq!(observation(&checked), "Never 0 0");
    }

    #[test]
    fn a_search_that_stopped_says_never_of_nothing() {
        let mut checked = fixture::stopped();
        let block = text(&checked);
        assert!(block.contains("\nUnknown\nWitnesses\n"), "{block}");
        assert!(block.contains("\nObservation doorbell Unknown 0 3\n"), "{block}");
        assert!(block.contains("\nTime doorbell 61.23\n"), "{block}");
        checked.block.satisfying = 1;
        assert_eq!(how_often(&checked), "Sometimes");
    }
}
