//! What changed between two outputs, for a reader.

/// The lines that differ, `-` before the old and `+` before the new. What both
/// have in common at the start and at the end is left out.
pub(super) fn lines(old: &[String], new: &[String]) -> String {
    let same_start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[same_start..], &new[same_start..]);
    let same_end = old.iter().rev().zip(new.iter().rev()).take_while(|(o, n)| o == n).count();
    let (old, new) = (&old[..old.len() - same_end], &new[..new.len() - same_end]);
    let mut text = Vec::new();
    text.extend(old.iter().map(|line| format!("-{line}")));
    text.extend(new.iter().map(|line| format!("+{line}")));
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&split("a b c d"), &split("a x y d")), "-b\n-c\n+x\n+y");
        assert_eq!(lines(&split("a a"), &split("a a a")), "+a");
        assert_eq!(lines(&split("a"), &split("a")), "");
    }
}
