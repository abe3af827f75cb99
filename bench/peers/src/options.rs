//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::child::Limits;
use crate::family::Size;
use crate::peer::{Mode, Setting};

pub const USAGE: &str = "\
usage: shootdown-peers [OPTIONS]

  --size PAGES,DEVICES  this size; may be given several times
                        (default: 2,1 2,2 2,3 3,1 3,2, about a minute)
  --all                 also 3,3 4,1 4,2 4,3 (several minutes)
  --long                also runs that take minutes and gigabytes: Spin's
                        reduction at 4,3, and whatever else fits the limits
  --only WORD           only modes whose name contains WORD; several times
  --seconds N           limit of a run, by the clock (default 60, --long 600)
  --gigabytes N         limit of a run, of address space (default 8)
  --ours PROGRAM        our checker (default: target/release/shootdown)
  --json                one JSON document instead of the table
  --help                this

Exit status: 0 all verdicts and counts are as known, 1 one is not, 2 bad usage
or a peer that does not work. A peer that is missing is said and fails nothing.
";

const SMALL: [Size; 5] =
    [Size::new(2, 1), Size::new(2, 2), Size::new(2, 3), Size::new(3, 1), Size::new(3, 2)];
const LARGE: [Size; 4] = [Size::new(3, 3), Size::new(4, 1), Size::new(4, 2), Size::new(4, 3)];

pub struct Options {
    pub sizes: Vec<Size>,
    pub modes: Vec<Mode>,
    pub json: bool,
    pub setting: Setting,
}

/// What the program was asked for; nothing if only for help.
///
/// # Errors
///
/// A message about the first argument that is wrong.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let (mut sizes, mut words) = (Vec::new(), Vec::new());
    let (mut all, mut long, mut json) = (false, false, false);
    let (mut seconds, mut gigabytes) = (None, 8);
    let mut ours = default_program();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--size" => sizes.push(value()?.parse()?),
            "--all" => all = true,
            "--long" => long = true,
            "--only" => words.push(value()?),
            "--seconds" => seconds = Some(number(&value()?)?),
            "--gigabytes" => gigabytes = number(&value()?)?,
            "--ours" => ours = PathBuf::from(value()?),
            "--json" => json = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown argument `{argument}`; --help lists them")),
        }
    }
    if sizes.is_empty() {
        sizes.extend(SMALL);
    }
    if all {
        sizes.extend(SMALL.into_iter().chain(LARGE));
    }
    // Small ones first: what is wrong shows before what is slow.
    sizes.sort();
    sizes.dedup();
    let wanted =
        |mode: &Mode| words.is_empty() || words.iter().any(|word| mode.name().contains(word));
    let modes: Vec<Mode> = Mode::ALL.into_iter().filter(wanted).collect();
    if modes.is_empty() {
        let names = Mode::ALL.map(Mode::name).join(", ");
        return Err(format!("--only leaves no mode; there are {names}"));
    }
    let seconds = seconds.unwrap_or(if long { 600 } else { 60 });
    let limits = Limits { time: Duration::from_secs(seconds), bytes: gigabytes << 30 };
    Ok(Some(Options { sizes, modes, json, setting: Setting { limits, long, ours } }))
}

fn number(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| format!("`{text}` is no number from 1 to 100000"))
}

/// Where a release build of the repository leaves the program.
fn default_program() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release/shootdown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Options, String> {
        let words = words.split_whitespace().map(str::to_owned);
        parse(words).map(|options| options.expect("not help"))
    }

    fn refused(words: &str) -> String {
        parsed(words).err().expect("refused")
    }

    #[test]
    fn sizes_are_sorted_and_once() {
        let options = parsed("--size 3,1 --size 2,1 --size 3,1").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(options.sizes, [Size::new(2, 1), Size::new(3, 1)]);
        assert_eq!(options.setting.limits.time, Duration::from_secs(60));
        let options = parsed("--all --long --only spin").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(options.sizes.len(), 9);
        assert_eq!(options.modes, [Mode::SpinDeep, Mode::SpinBroad, Mode::SpinReduced]);
        assert_eq!(options.setting.limits.time, Duration::from_secs(600));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(refused("--size"), "--size needs a value");
        assert_eq!(refused("--sise"), "unknown argument `--sise`; --help lists them");
        assert_eq!(refused("--seconds 0"), "`0` is no number from 1 to 100000");
        assert!(refused("--only tlc").starts_with("--only leaves no mode; there are ours, "));
    }
}
