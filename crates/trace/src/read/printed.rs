//! Fields of an event that was printed as text.
//!
//! Probes print `name=0x12`; so do most static tracepoints. The others have a text
//! of their own, in which a field has another name, none, or no `0x` before its
//! digits. Those that matter are in a table.

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Hexadecimal after `0x`, decimal otherwise.
    Marked,
    /// Hexadecimal with or without `0x`.
    Hex,
}
use Base::{Hex, Marked};

/// A field of an event: its name in the format file, what stands before it in the text,
/// and the base.
type Row = (&'static str, &'static str, Base);

/// Static tracepoints, from their `TP_printk` in v6.1 and v6.12:
/// include/trace/events/{kvm,kmem,migrate,ksm,huge_memory,tlb}.h, arch/x86/kvm/trace.h,
/// arch/x86/kvm/mmu/mmutrace.h.
const PRINTED: [(&str, &[Row]); 20] = [
    ("kvm_unmap_hva_range", &[("start", "range: ", Hex), ("end", "-- ", Hex)]),
    ("kvm_age_hva", &[("start", "hva: ", Hex), ("end", "-- ", Hex)]),
    ("kvm_test_age_hva", &[("hva", "hva: ", Hex)]),
    ("kvm_set_spte_hva", &[("hva", "hva: ", Hex)]),
    (
        "kvm_page_fault",
        &[
            ("vcpu_id", "vcpu ", Marked),
            ("guest_rip", "rip ", Hex),
            ("fault_address", "address ", Hex),
            ("error_code", "error_code ", Hex),
        ],
    ),
    (
        "kvm_tdp_mmu_spte_changed",
        &[
            ("as_id", "as id ", Marked),
            ("gfn", "gfn ", Hex),
            ("level", "level ", Marked),
            ("old_spte", "old_spte ", Hex),
            ("new_spte", "new_spte ", Hex),
        ],
    ),
    (
        "kvm_mmu_set_spte",
        &[
            ("gfn", "gfn ", Hex),
            ("spte", "spte ", Hex),
            ("level", "level ", Marked),
            ("sptep", "at ", Hex),
        ],
    ),
    ("kvm_mmu_prepare_zap_page", &[("gfn", "gfn ", Hex)]),
    ("mm_page_alloc", &[("page", "page=", Hex)]),
    ("mm_page_free", &[("page", "page=", Hex)]),
    ("mm_page_free_batched", &[("page", "page=", Hex)]),
    ("tlb_flush", &[("pages", "pages:", Marked), ("reason", "(", Marked)]),
    ("set_migration_pte", &[("addr", "addr=", Hex), ("pte", "pte=", Hex)]),
    ("remove_migration_pte", &[("addr", "addr=", Hex), ("pte", "pte=", Hex)]),
    ("ksm_enter", &[("mm", "mm ", Hex)]),
    ("ksm_exit", &[("mm", "mm ", Hex)]),
    ("ksm_merge_with_ksm_page", &[("pfn", "pfn ", Marked), ("mm", "mm ", Hex)]),
    ("mm_collapse_huge_page", &[("mm", "mm=", Hex)]),
    ("mm_khugepaged_scan_pmd", &[("mm", "mm=", Hex), ("scan_pfn", "scan_pfn=", Hex)]),
    ("mm_khugepaged_scan", &[("mm", "mm=", Hex)]),
];

/// See [`RawEvent::number`](super::RawEvent::number).
pub(super) fn number(event: &str, text: &str, field: &str) -> Option<u64> {
    let (rest, base) = find(event, text, field)?;
    parse(rest, base)
}

/// See [`RawEvent::hex`](super::RawEvent::hex).
pub(super) fn hex(event: &str, text: &str, field: &str) -> Option<u64> {
    parse(find(event, text, field)?.0, Hex)
}

/// See [`RawEvent::text`](super::RawEvent::text).
pub(super) fn text<'a>(event: &str, text: &'a str, field: &str) -> Option<&'a str> {
    let rest = find(event, text, field)?.0;
    Some(&rest[..rest.find([' ', ',']).unwrap_or(rest.len())])
}

/// What follows a field's name, and how a number there is written.
fn find<'a>(event: &str, text: &'a str, field: &str) -> Option<(&'a str, Base)> {
    if let Some((_, rows)) = PRINTED.iter().find(|(name, _)| *name == event)
        && let Some((_, before, base)) = rows.iter().find(|row| row.0 == field)
    {
        return behind(text, before).map(|rest| (rest, *base));
    }
    // A probe prints its address first; no field is in these brackets.
    let mut text = text;
    if text.starts_with('(')
        && let Some(end) = memchr::memchr(b')', text.as_bytes())
    {
        text = &text[end + 1..];
    }
    Some((value(text, field)?, Marked))
}

fn is_inside_a_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What follows words, where the first begins.
fn behind<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find(words)?;
        let end = start + words.len();
        if start == 0 || !is_inside_a_word(text.as_bytes()[start - 1]) {
            return Some(text[end..].trim_start_matches(' '));
        }
        from = end;
    }
}

/// What follows a word and `=`; where it has none, the word and `:`, or a number.
fn value<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (bytes, word) = (text.as_bytes(), word.as_bytes());
    let rest = |at: usize| text.get(at..).map(|rest| rest.trim_start_matches(' '));
    let (mut colon, mut number) = (None, None);
    for start in memchr::memchr_iter(*word.first()?, bytes) {
        if !bytes[start..].starts_with(word) || start > 0 && is_inside_a_word(bytes[start - 1]) {
            continue;
        }
        let end = start + word.len();
        match bytes.get(end) {
            Some(b'=') => return rest(end + 1),
            Some(b':') if colon.is_none() => colon = rest(end + 1),
            Some(b' ') if number.is_none() => {
                number = rest(end)
                    .filter(|rest| rest.as_bytes().first().is_some_and(u8::is_ascii_digit));
            }
            _ => {}
        }
    }
    colon.or(number)
}

/// The number that a text begins with. It ends where something else begins that is
/// no letter: `12abc` and `0xfoo` are no numbers.
fn parse(text: &str, base: Base) -> Option<u64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, if base == Hex { 16 } else { 10 }),
    };
    let end = digits.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(digits.len());
    let digits = &digits[..end];
    // `size=65536B` has a unit.
    let digits = if radix == 10 { digits.trim_end_matches('B') } else { digits };
    let number = u64::from_str_radix(digits, radix).ok()?;
    if !negative {
        return Some(number);
    }
    (number <= i64::MIN.unsigned_abs()).then(|| number.wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_kernels_print_them() {
        let rows: [(&str, &str, &str, Option<u64>); 18] = [
            (
                "start",
                "(__mmu_notifier_invalidate_range_start+0x0/0x190) mm=0xff1100007e7c4000 \
                 start=0x7f485a200000 end=0x7f485a297000 flags=1 event=2",
                "start",
                Some(0x7f48_5a20_0000),
            ),
            ("start", "(f+0x0/0x190) flags=1 event=2", "event", Some(2)),
            ("start", "(f+0x0/0x190) flags=1 event=2", "ent", None),
            (
                "start_ret",
                "(change_protection+0xccb/0x15d0 <- ret) ret=-11",
                "ret",
                Some(-11i64 as u64),
            ),
            (
                "kvm_unmap_hva_range",
                "mmu notifier unmap range: 0x007f485a200000 -- 0x007f485a297000",
                "end",
                Some(0x7f48_5a29_7000),
            ),
            (
                "kvm_tdp_mmu_spte_changed",
                "as id 1 gfn 10 level 5 old_spte 0 new_spte 41a39827",
                "gfn",
                Some(0x10),
            ),
            (
                "kvm_tdp_mmu_spte_changed",
                "as id 1 gfn 10 level 5 old_spte 0 new_spte 41a39827",
                "as_id",
                Some(1),
            ),
            (
                "kvm_page_fault",
                "vcpu 3 rip 0x1000 address 0x10 error_code 0x14",
                "vcpu_id",
                Some(3),
            ),
            (
                "kvm_page_fault",
                "vcpu 3 rip 0x1000 address 0x10 error_code 0x14",
                "fault_address",
                Some(16),
            ),
            (
                "mm_page_free",
                "page=ffd4000001057f00 pfn=0x41c64 order=1",
                "page",
                Some(0xffd4_0000_0105_7f00),
            ),
            ("mm_page_free", "page=ffd4000001057f00 pfn=0x41c64 order=1", "pfn", Some(0x41c64)),
            ("tlb_flush", "pages:-1 reason:local mm shootdown (3)", "pages", Some(u64::MAX)),
            ("tlb_flush", "pages:1 reason: (3)", "reason", Some(3)),
            (
                "remove_migration_pte",
                "addr=7efe27400000, pte=800000003ffcb867 order=0",
                "addr",
                Some(0x7efe_2740_0000),
            ),
            (
                "rss_stat",
                "mm_id=1344211513 curr=1 type=MM_FILEPAGES size=65536B",
                "size",
                Some(65536),
            ),
            ("x", "a=0x1ffffffffffffffff", "a", None),
            ("x", "a=12abc b=0x b=7", "a", None),
            ("x", "start_time=5 start=6", "start", Some(6)),
        ];
        for (event, text, field, expected) in rows {
            assert_eq!(number(event, text, field), expected, "{event}: {text}: {field}");
        }
        assert_eq!(hex("SCN", "map region=7f485a400000 len=10", "region"), Some(0x7f48_5a40_0000));
        assert_eq!(text("dev_drop", "va=0x1 pfn=0x2 by=start", "by"), Some("start"));
        assert_eq!(text("dev_drop", "va=0x1 by=start", "why"), None);
    }

    #[test]
    fn no_row_twice() {
        for (at, (event, rows)) in PRINTED.iter().enumerate() {
            assert!(PRINTED[..at].iter().all(|(other, _)| other != event), "{event}");
            for (at, row) in rows.iter().enumerate() {
                assert!(rows[..at].iter().all(|other| other.0 != row.0), "{event} {}", row.0);
            }
        }
    }
}
