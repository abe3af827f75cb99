//! Words and numbers: what every form needs of them.

/// One line of printable ASCII: runs of blanks become one blank, other
/// characters a question mark. So its length is its width on every terminal.
pub(super) fn ascii(text: &str) -> String {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(|word| word.chars().map(printable).collect()).collect();
    words.join(" ")
}

/// One line, for a place where the width does not matter: nothing in it can
/// move a terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// `1,234,567`
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 state`, `1,234 states`
pub(super) fn count(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", thousands(number))
}

/// `640 B`, `12 KB`, `1.5 MB`
pub(super) fn bytes(number: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    let mut tenths = u128::from(number) * 10;
    // Rounded to what is shown, so that nothing shows as 1024 KB.
    while unit + 1 < units.len() && tenths + 5 >= 10240 {
        tenths = tenths.div_ceil(1024).max(10);
        unit += 1;
    }
    let (whole, rest) = (tenths / 10, tenths % 10);
    if unit == 0 || whole >= 10 {
        format!("{} {}", whole + u128::from(rest >= 5), units[unit])
    } else {
        format!("{whole}.{rest} {}", units[unit])
    }
}

/// `a`, `a and b`, `a, b and c`
pub(super) fn and(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Cuts what is longer than `width`, and says so with two dots.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.len() <= width || !text.is_ascii() {
        return text.to_owned();
    }
    if width <= 2 { text[..width].to_owned() } else { format!("{}..", &text[..width - 2]) }
}

/// Breaks a line of [`ascii`] into lines of at most `width`, after blanks where
/// there are any, after punctuation otherwise, and in a word only if it must.
/// All lines but the first begin with `hang` blanks.
pub(super) fn wrap(text: &str, width: usize, hang: usize) -> Vec<String> {
    debug_assert!(text.is_ascii());
    let width = width.max(1);
    let hang = if hang * 2 < width { hang } else { 0 };
    let mut lines = Vec::new();
    let mut rest = text;
    let mut room = width;
    while rest.len() > room {
        let (line, after) = rest.split_at(break_at(rest.as_bytes(), room));
        lines.push(line.trim_end());
        rest = after.trim_start();
        room = width - hang;
    }
    // Only the last may be empty, if it is the only one.
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest.trim_end());
    }
    let hanging = |(index, line): (usize, &str)| match index {
        0 => line.to_owned(),
        _ => format!("{:hang$}{line}", ""),
    };
    lines.into_iter().enumerate().map(hanging).collect()
}

/// As many pieces on each line as fit, with blanks between; only a piece that
/// is too long for a line is broken. All lines but the first begin with `indent`
/// blanks.
pub(super) fn pack(pieces: &[String], width: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        if !line.trim().is_empty() {
            if line.len() + 1 + piece.len() > width {
                lines.extend(wrap(&line, width, indent + 2));
                line = " ".repeat(indent);
            } else {
                line.push(' ');
            }
        }
        line.push_str(piece);
    }
    if !line.is_empty() {
        lines.extend(wrap(&line, width, indent + 2));
    }
    lines
}

/// Where to break: at most `room`, at least 1.
fn break_at(text: &[u8], room: usize) -> usize {
    let at_least = (room / 3).max(1);
    let last = |fits: &dyn Fn(usize) -> bool| (at_least..=room).rev().find(|at| fits(*at));
    // A comment's slashes stay with the comment.
    let comment = |at: usize| text[..at].trim_ascii_end().ends_with(b"//");
    let blank = last(&|at| (text[at] == b' ' || text[at - 1] == b' ') && !comment(at));
    let after = || last(&|at| b",;:(".contains(&text[at - 1]));
    let arrow = || last(&|at| text[..at].ends_with(b"->"));
    blank.or_else(after).or_else(arrow).unwrap_or(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "state"), "1 state");
        assert_eq!(count(1234, "state"), "1,234 states");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(640), "640 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KB");
        assert_eq!(bytes(12 * 1024), "12 KB");
        assert_eq!(bytes(3 << 19), "1.5 MB");
        assert_eq!(bytes(u64::MAX), "16 EB");
    }

    #[test]
    fn lists() {
        assert_eq!(and(&[]), "");
        assert_eq!(and(&["FREE"]), "FREE");
        assert_eq!(and(&["FREE", "NEW", "REST"]), "FREE, NEW and REST");
    }

    #[test]
    fn only_ascii_on_one_line() {
        assert_eq!(ascii(" a\t \n b\u{e9}\x1b[1m "), "a b? [1m");
        assert_eq!(one_line("a\r\nb \x1b[2J\u{e9}"), "a b [2J\u{e9}");
    }

    #[test]
    fn breaks_at_blanks_then_after_punctuation() {
        assert_eq!(wrap("one two three", 7, 0), ["one two", "three"]);
        assert_eq!(wrap("range_start(vmf->address)", 15, 2), ["range_start(", "  vmf->address)"]);
        assert_eq!(wrap("abcdefgh", 3, 0), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 3, 0), [""]);
    }

    #[test]
    fn no_line_is_too_long_and_nothing_is_lost() {
        let text = "mmu_notifier_invalidate_range(vmf->address, PAGE_SIZE)  // told -> T, U == x";
        for width in 1..90 {
            for hang in 0..5 {
                let lines = wrap(&ascii(text), width, hang);
                assert!(lines.iter().all(|line| line.len() <= width), "{width} {lines:?}");
                let joined: String = lines.concat().replace(' ', "");
                assert_eq!(joined, text.replace(' ', ""));
            }
        }
    }

    #[test]
    fn a_comment_is_not_separated_from_its_slashes() {
        assert_eq!(wrap("r = READ(*a)  // r = 0", 16, 2), ["r = READ(*a)", "  // r = 0"]);
    }

    #[test]
    fn pieces_stay_whole() {
        let pieces = ["a = 1;", "bb(c, d);", "e"].map(str::to_owned);
        assert_eq!(pack(&pieces, 12, 1), ["a = 1;", " bb(c, d); e"]);
        assert_eq!(pack(&pieces, 7, 1), ["a = 1;", " bb(c,", "   d);", " e"]);
        assert_eq!(pack(&[], 7, 1), [""; 0]);
    }

    #[test]
    fn cut_says_that_it_cut() {
        assert_eq!(cut("wp_page_copy", 12), "wp_page_copy");
        assert_eq!(cut("wp_page_copy", 8), "wp_pag..");
        assert_eq!(cut("wp_page_copy", 1), "w");
    }
}
