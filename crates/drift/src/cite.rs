//! Where a function of a litmus file was read.

/// `__from("tag", "file", function)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Citation {
    /// The kernel that was read, such as `v6.1.192`.
    pub tag: String,
    /// The file in it, such as `mm/memory.c`.
    pub file: String,
    /// The function in that.
    pub function: String,
    /// The line of the citation, from 1.
    pub line: usize,
}

/// All citations of a litmus file or of a part of one, in their order, whatever
/// variant they are in.
pub fn citations(text: &str) -> Vec<Citation> {
    let mut list = Vec::new();
    let text = without_comments(text);
    let mut rest = text.as_str();
    while let Some(at) = rest.find("__from") {
        let before = text.len() - rest.len() + at;
        rest = &rest[at + "__from".len()..];
        let line = text[..before].matches('\n').count() + 1;
        let Some(inside) =
            rest.trim_start().strip_prefix('(').and_then(|inside| inside.split_once(')'))
        else {
            continue;
        };
        let parts: Vec<&str> = inside.0.split(',').map(str::trim).collect();
        if let [tag, file, function] = parts.as_slice()
            && let (Some(tag), Some(file)) = (quoted(tag), quoted(file))
        {
            let function = (*function).to_owned();
            list.push(Citation { tag: tag.to_owned(), file: file.to_owned(), function, line });
        }
    }
    list
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

/// The text with every character of a comment but its line ends made a blank.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let (mut line, mut block, mut string) = (false, false, false);
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        if line || block {
            if block && c == '*' && next == Some('/') {
                chars.next();
                block = false;
                out.push_str("  ");
                continue;
            }
            line &= c != '\n';
            out.push(if c == '\n' { c } else { ' ' });
            continue;
        }
        match (c, next) {
            ('/', Some('/')) if !string => line = true,
            ('/', Some('*')) if !string => {
                chars.next();
                block = true;
                out.push(' ');
            }
            _ => string ^= c == '"',
        }
        out.push(if line || block { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_have_lines_and_comments_have_none() {
        let text = "// __from(\"v1\", \"a.c\", no)\n/* __from(\"v1\", \"a.c\", no)\n */\n\
                    __from(\"v6.1.192\",\n       \"mm/ksm.c\", replace_page)\n__from(bad)\n\
                    __from(\"v1\", \"a.c\", yes)";
        let list = citations(text);
        let found: Vec<(&str, usize)> =
            list.iter().map(|cited| (&*cited.function, cited.line)).collect();
        assert_eq!(found, [("replace_page", 4), ("yes", 7)]);
        assert_eq!(list[0].file, "mm/ksm.c");
    }
}
