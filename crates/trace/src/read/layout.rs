//! How the kernel lays out the record of an event: its `format` file.
//!
//! ```text
//! name: start
//! ID: 1637
//! format:
//!     field:int common_pid;    offset:4;    size:4;    signed:1;
//!
//!     field:u64 mm;    offset:16;    size:8;    signed:0;
//! ```
//!
//! Written here because these files come with a recording, which can be damaged: the
//! crates that parse them trust them.

/// The layout of one event's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) id: u16,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) size: usize,
    pub(super) signed: bool,
    pub(super) kind: Kind,
}

/// What is in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// Characters in place, up to a zero.
    Text,
    /// Where the characters are and how many, from the record's start.
    TextAt,
    /// The same, from the field's end.
    TextBehind,
    /// Numbers in a row, and what is not known.
    Other,
}

/// Every record begins with these.
const COMMON: [(&str, usize, usize); 4] = [
    ("common_type", 0, 2),
    ("common_flags", 2, 1),
    ("common_preempt_count", 3, 1),
    ("common_pid", 4, 4),
];

impl Layout {
    /// Reads a format file. The reason, if it is none or has no common fields where
    /// they always are.
    pub(super) fn parse(text: &str) -> Result<Layout, &'static str> {
        let (mut id, mut name) = (None, None);
        let mut fields = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("name:") {
                name = Some(rest.trim().to_owned());
            } else if let Some(rest) = line.strip_prefix("ID:") {
                id = rest.trim().parse().ok();
            } else if line.starts_with("field:") {
                fields.push(Field::parse(line).ok_or("a field without place or size")?);
            }
        }
        let name = name.filter(|name| !name.is_empty()).ok_or("no name")?;
        let layout = Layout { id: id.ok_or("no number")?, name, fields };
        for (name, offset, size) in COMMON {
            let field = layout.field(name).ok_or("a common field is missing")?;
            if (field.offset, field.size) != (offset, size) {
                return Err("a common field is not at its place");
            }
        }
        Ok(layout)
    }

    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    fn parse(line: &str) -> Option<Field> {
        let (mut declared, mut offset, mut size, mut signed) = (None, None, None, false);
        for part in line.split(';') {
            match part.trim().split_once(':') {
                Some(("field", rest)) => declared = Some(rest.trim()),
                Some(("offset", rest)) => offset = rest.trim().parse().ok(),
                Some(("size", rest)) => size = rest.trim().parse().ok(),
                Some(("signed", rest)) => signed = rest.trim() == "1",
                _ => {}
            }
        }
        let (declared, offset, size): (&str, u16, u16) = (declared?, offset?, size?);
        // `char comm[16]`, `__data_loc char[] name`.
        let in_row = declared.ends_with(']');
        let bare = declared.split_once('[').filter(|_| in_row).map_or(declared, |(bare, _)| bare);
        let (kind, name) = bare.rsplit_once([' ', '*'])?;
        let chars = kind.split([' ', '[']).any(|word| word == "char");
        let kind = match size {
            _ if kind.starts_with("__data_loc") && chars && size == 4 => Kind::TextAt,
            _ if kind.starts_with("__rel_loc") && chars && size == 4 => Kind::TextBehind,
            _ if kind.starts_with("__") && kind.contains("_loc ") => Kind::Other,
            _ if (in_row || size == 0) && chars => Kind::Text,
            _ if in_row => Kind::Other,
            1 | 2 | 4 | 8 => Kind::Number,
            _ => Kind::Other,
        };
        let (offset, size) = (usize::from(offset), usize::from(size));
        Some(Field { name: name.to_owned(), offset, size, signed, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = "name: it\nID: 12\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";

    #[test]
    fn kinds_of_fields() {
        for (declared, size, name, kind) in [
            ("unsigned long start", 8, "start", Kind::Number),
            ("u8 level", 1, "level", Kind::Number),
            ("const char * fmt", 8, "fmt", Kind::Number),
            ("void *page", 8, "page", Kind::Number),
            ("char comm[16]", 16, "comm", Kind::Text),
            ("char buf", 0, "buf", Kind::Text),
            ("u32 buf", 0, "buf", Kind::Other),
            ("__data_loc char[] name", 4, "name", Kind::TextAt),
            ("__rel_loc char[] name", 4, "name", Kind::TextBehind),
            ("__data_loc u64[] list", 4, "list", Kind::Other),
            ("unsigned long args[6]", 48, "args", Kind::Other),
        ] {
            let text = format!("{COMMON}\tfield:{declared};\toffset:8;\tsize:{size};\tsigned:0;\n");
            let layout = Layout::parse(&text).expect(declared);
            let field = layout.fields.last().expect("five");
            assert_eq!(
                (layout.id, field.name.as_str(), field.kind),
                (12, name, kind),
                "{declared}"
            );
        }
    }

    #[test]
    fn what_is_no_format() {
        assert!(Layout::parse(COMMON).is_ok());
        for (from, to) in [
            ("name: it", "name:"),
            ("ID: 12", "ID: 70000"),
            ("offset:2", "offset:x"),
            ("offset:4;\tsize:4", "offset:8;\tsize:4"),
            ("common_pid", "common_tid"),
        ] {
            let text = COMMON.replace(from, to);
            assert_ne!(text, COMMON);
            assert!(Layout::parse(&text).is_err(), "{text}");
        }
    }
}
