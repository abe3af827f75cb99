//! What one more subscriber costs.

use crate::cases::range::{ACCOUNTANTS, ARC_SWAP, BY_HAND, RWLOCK, TYPED};
use crate::table::{Figures, line};

/// The line through the figures for 1 and for 64 subscribers.
fn slope(names: [(usize, &'static str); 4], figure: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let [_, (few, at_few), _, (many, at_many)] = names;
    Some((figure(at_many)? - figure(at_few)?) / (many - few) as f64)
}

/// As Markdown.
pub fn markdown(figures: &Figures) -> String {
    let mut text = String::from("### What one more subscriber costs\n\n");
    line(&mut text, ["from 1 to 64", "ns each", "instructions each"].map(str::to_owned));
    line(&mut text, ["---", "---:", "---:"].map(str::to_owned));
    let rows = [
        ("typed COW, no-op TLBs", TYPED),
        ("COW by hand, no-op TLBs", BY_HAND),
        ("RwLock around a Vec, no-op calls", RWLOCK),
        ("arc-swap of a Vec, no-op calls", ARC_SWAP),
        ("start and end, mirrors with lock", ACCOUNTANTS),
    ];
    for (what, names) in rows {
        let shown = |slope: Option<f64>| slope.map_or(String::new(), |slope| format!("{slope:.1}"));
        let time = slope(names, |name| figures.times.get(name).map(|time| time.min));
        let count = slope(names, |name| figures.counts.get(name).copied());
        line(&mut text, [what.to_owned(), shown(time), shown(count)]);
    }
    #[cfg(target_os = "linux")]
    for (what, at) in crate::live::FORK_SLOPES {
        let time = |name| figures.times.get(name).map(|time| time.min);
        if let (Some(one), Some(eight)) = (time(at[0]), time(at[1])) {
            let each = format!("{:.0}", (eight - one) / 7.0);
            line(&mut text, [what.to_owned(), each, String::new()]);
        }
    }
    text.push_str(
        "\nKVM finds its memory slots and takes its lock; a no-op does neither. Both are shown, \
         nothing is claimed.\n",
    );
    text
}
