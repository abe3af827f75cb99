//! Fields of an event that the kernel wrote in binary.

use std::fmt;

use super::layout::{Field, Kind, Layout};

/// One record of a ring buffer, with the layout that the recording brought along.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    layout: &'a Layout,
    data: &'a [u8],
    big_endian: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(layout: &'a Layout, data: &'a [u8], big_endian: bool) -> Record<'a> {
        Record { layout, data, big_endian }
    }

    fn bytes(&self, offset: usize, size: usize) -> Option<&'a [u8]> {
        self.data.get(offset..offset.checked_add(size)?)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.number_of(self.layout.field(name)?)
    }

    fn number_of(&self, field: &Field) -> Option<u64> {
        if field.kind != Kind::Number {
            return None;
        }
        let number = self.number_at(field.offset, field.size)?;
        let unused = 64 - 8 * u32::try_from(field.size).ok()?;
        // A negative number of 4 bytes is one of 8 bytes.
        Some(if field.signed {
            ((number << unused).cast_signed() >> unused).cast_unsigned()
        } else {
            number
        })
    }

    /// A number of 1 to 8 bytes.
    fn number_at(&self, offset: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes(offset, size)?;
        let mut wide = [0; 8];
        Some(if self.big_endian {
            wide.get_mut(8_usize.checked_sub(size)?..)?.copy_from_slice(bytes);
            u64::from_be_bytes(wide)
        } else {
            wide.get_mut(..size)?.copy_from_slice(bytes);
            u64::from_le_bytes(wide)
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.text_of(self.layout.field(name)?)
    }

    /// The bytes from a field to the end of the record, whatever its format says of
    /// their number: that of `print` and `bprint` says none.
    pub(super) fn rest(&self, name: &str) -> Option<&'a [u8]> {
        self.data.get(self.layout.field(name)?.offset..)
    }

    fn text_of(&self, field: &Field) -> Option<&'a str> {
        let bytes = match field.kind {
            Kind::Text if field.size == 0 => self.data.get(field.offset..)?,
            Kind::Text => self.bytes(field.offset, field.size)?,
            Kind::TextAt | Kind::TextBehind => {
                let place = usize::try_from(self.number_at(field.offset, field.size)?).ok()?;
                let from = if field.kind == Kind::TextAt { 0 } else { field.offset + field.size };
                self.bytes(from + (place & 0xffff), place >> 16)?
            }
            Kind::Number | Kind::Other => return None,
        };
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        str::from_utf8(&bytes[..end]).ok()
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for field in self.layout.fields.iter().filter(|field| !field.name.starts_with("common_")) {
            let name = &field.name;
            if let Some(text) = self.text_of(field) {
                write!(f, "{blank}{name}={}", text.trim_end())?;
            } else if let Some(number) = self.number_of(field) {
                if field.signed {
                    write!(f, "{blank}{name}={}", number.cast_signed())?;
                } else {
                    write!(f, "{blank}{name}={number:#x}")?;
                }
            } else {
                continue;
            }
            blank = " ";
        }
        Ok(())
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.layout.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, offset: usize, size: usize, signed: bool, kind: Kind) -> Field {
        Field { name: name.to_owned(), offset, size, signed, kind }
    }

    #[test]
    fn fields_of_every_kind() {
        let layout = Layout {
            id: 1,
            name: "it".to_owned(),
            fields: vec![
                field("ret", 0, 4, true, Kind::Number),
                field("order", 4, 2, false, Kind::Number),
                field("at", 6, 4, false, Kind::TextAt),
                field("behind", 10, 4, false, Kind::TextBehind),
                field("comm", 14, 4, false, Kind::Text),
                field("far", 100, 8, false, Kind::Number),
                field("buf", 18, 0, false, Kind::Text),
            ],
        };
        let mut data = Vec::new();
        data.extend((-11_i32).to_le_bytes());
        data.extend(258_u16.to_le_bytes());
        data.extend((14_u32 | 3 << 16).to_le_bytes());
        data.extend((4_u32 | 9 << 16).to_le_bytes());
        data.extend(b"ab\0d");
        data.extend(b"rest\0");
        let record = Record::new(&layout, &data, false);
        assert_eq!(record.number("ret"), Some(-11_i64 as u64));
        assert_eq!(record.number("order"), Some(258));
        assert_eq!(record.text("at"), Some("ab"));
        assert_eq!(record.text("comm"), Some("ab"));
        assert_eq!(record.text("buf"), Some("rest"));
        // Reaches over the end.
        assert_eq!(record.text("behind"), None);
        assert_eq!(
            (record.number("far"), record.number("comm"), record.text("ret")),
            (None, None, None)
        );
        assert_eq!(record.to_string(), "ret=-11 order=0x102 at=ab comm=ab buf=rest");
        let big = Record::new(&layout, &data, true);
        assert_eq!(big.number("order"), Some(0x0201));
    }
}
