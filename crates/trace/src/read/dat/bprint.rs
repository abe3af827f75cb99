//! What `trace_printk` stored: a pointer to its format, and the arguments as words.
//!
//! The arguments are packed as by `vbin_printf` in lib/vsprintf.c (v6.12): an `int` on 4
//! bytes, a `long` or a pointer on 8 bytes at a multiple of 4, smaller ones at a multiple
//! of their size, a string in place with its zero.

use std::fmt::Write;

use super::file::Numbers;

/// The text. What is not known (`%pV`, `%*d`) ends it with `...`: the fields behind it
/// are missing, not wrong.
pub(super) fn text(format: &str, arguments: &[u8], numbers: Numbers, long: usize) -> String {
    let mut out = String::new();
    let mut arguments = Arguments { bytes: arguments, at: 0, numbers };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        match one(&mut out, &mut rest, &mut arguments, long) {
            Some(()) => {}
            None => {
                out.push_str("...");
                return out;
            }
        }
    }
    out.push_str(rest);
    out
}

fn one(
    out: &mut String,
    rest: &mut &str,
    arguments: &mut Arguments<'_>,
    long: usize,
) -> Option<()> {
    let spec_end = rest.find(|c: char| !(c.is_ascii_digit() || "-+ #0.".contains(c)))?;
    let spec = &rest[..spec_end];
    let alternate = spec.contains('#');
    let zeros = spec.trim_start_matches(['#', '-', '+', ' ']).starts_with('0');
    let width: usize =
        spec.split('.').next()?.trim_start_matches(['#', '-', '+', ' ', '0']).parse().unwrap_or(0);
    *rest = &rest[spec_end..];
    let (size, length) = [("ll", 8), ("l", long), ("z", long), ("t", long), ("hh", 1), ("h", 2)]
        .into_iter()
        .find(|(prefix, _)| rest.starts_with(prefix))
        .map_or((4, 0), |(prefix, size)| (size, prefix.len()));
    *rest = &rest[length..];
    let conversion = rest.chars().next()?;
    *rest = &rest[conversion.len_utf8()..];
    let width = width.min(64);
    let mut number = String::new();
    match conversion {
        '%' => number.push('%'),
        'd' | 'i' => {
            let bits = 64 - 8 * u32::try_from(size).ok()?;
            let value = (arguments.take(size)? << bits).cast_signed() >> bits;
            let _ = write!(number, "{value}");
        }
        'u' => {
            let _ = write!(number, "{}", arguments.take(size)?);
        }
        'x' | 'X' => {
            let sign = if alternate { "0x" } else { "" };
            let _ = write!(number, "{sign}{:x}", arguments.take(size)?);
        }
        'c' => number.push(char::from(u8::try_from(arguments.take(1)?).ok()?)),
        's' => number.push_str(&arguments.string()?),
        'p' => {
            // The plain kinds store the pointer; all others are text, or more.
            let kind = rest.chars().next().filter(char::is_ascii_alphanumeric);
            if kind.is_some_and(|kind| !"xKSsBFf".contains(kind)) {
                return None;
            }
            *rest = &rest[usize::from(kind.is_some())..];
            let _ = write!(number, "{:x}", arguments.take(long)?);
        }
        _ => return None,
    }
    let fill = width.saturating_sub(number.len());
    out.extend(std::iter::repeat_n(if zeros { '0' } else { ' ' }, fill));
    out.push_str(&number);
    Some(())
}

struct Arguments<'a> {
    bytes: &'a [u8],
    at: usize,
    numbers: Numbers,
}

impl Arguments<'_> {
    fn take(&mut self, size: usize) -> Option<u64> {
        self.at = self.at.next_multiple_of(size.min(4));
        let bytes = self.bytes.get(self.at..self.at + size)?;
        self.at += size;
        Some(match *bytes {
            [a] => u64::from(a),
            [a, b] => u64::from(self.numbers.u16([a, b])),
            [a, b, c, d] => u64::from(self.numbers.u32([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => self.numbers.u64([a, b, c, d, e, f, g, h]),
            _ => return None,
        })
    }

    fn string(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(0, rest)?;
        self.at += end + 1;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_as_the_kernel_packs_them() {
        let mut words = Vec::new();
        words.extend(0x7f00_0000_1000_u64.to_le_bytes());
        words.extend((-2_i32).to_le_bytes());
        words.extend(b"start\0");
        words.extend([0; 2]);
        words.extend(0xab_u64.to_le_bytes());
        let numbers = Numbers { big_endian: false };
        let shown = |format| text(format, &words, numbers, 8);
        assert_eq!(
            shown("dev_drop va=0x%lx n=%d by=%s p=%08llx%%"),
            "dev_drop va=0x7f0000001000 n=-2 by=start p=000000ab%"
        );
        assert_eq!(shown("va=%#lx %pV end=1"), "va=0x7f0000001000 ...");
        // A wrong format ends when the words end.
        assert_eq!(shown("%lx %lx %lx %lx %lx").matches(' ').count(), 3);
        assert!(shown("%lx %lx %lx %lx %lx").ends_with("..."));
    }
}
