//! Fields of an event that the kernel wrote in binary.

use std::fmt;

use tracepoint_decode::{PerfByteReader, PerfEventFormat, PerfFieldArray, PerfFieldFormat};

/// One record of a ring buffer, with the layout that the recording brought along.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    format: &'a PerfEventFormat,
    data: &'a [u8],
    big_endian: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(format: &'a PerfEventFormat, data: &'a [u8], big_endian: bool) -> Record<'a> {
        Record { format, data, big_endian }
    }

    fn field(&self, name: &str) -> Option<&'a PerfFieldFormat> {
        self.format.fields().iter().find(|field| field.name() == name)
    }

    fn bytes(&self, field: &PerfFieldFormat) -> Option<&'a [u8]> {
        field.get_field_bytes(self.data, PerfByteReader::new(self.big_endian))
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.number_of(self.field(name)?)
    }

    fn number_of(&self, field: &PerfFieldFormat) -> Option<u64> {
        if field.array() != PerfFieldArray::None {
            return None;
        }
        let (at, size) = (usize::from(field.offset()), usize::from(field.size()));
        let bytes = self.data.get(at..at.checked_add(size)?)?;
        let mut wide = [0; 8];
        let number = if self.big_endian {
            wide.get_mut(8_usize.checked_sub(size)?..)?.copy_from_slice(bytes);
            u64::from_be_bytes(wide)
        } else {
            wide.get_mut(..size)?.copy_from_slice(bytes);
            u64::from_le_bytes(wide)
        };
        // A negative number of 4 bytes is one of 8 bytes.
        let unused = 64 - 8 * u32::from(field.size()).min(8);
        if field.signed() == Some(true) && unused < 64 {
            return Some(((number << unused).cast_signed() >> unused).cast_unsigned());
        }
        Some(number)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.text_of(self.field(name)?)
    }

    /// The bytes from a field to the end of the record, whatever its format says of
    /// their number: that of `print` and `bprint` says none.
    pub(super) fn rest(&self, name: &str) -> Option<&'a [u8]> {
        self.data.get(usize::from(self.field(name)?.offset())..)
    }

    /// The same as text, up to a zero.
    pub(super) fn printed(&self, name: &str) -> Option<&'a str> {
        let bytes = self.rest(name)?;
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        str::from_utf8(&bytes[..end]).ok()
    }

    fn text_of(&self, field: &PerfFieldFormat) -> Option<&'a str> {
        if field.array() == PerfFieldArray::None || field.element_size() != 1 {
            return None;
        }
        let bytes = self.bytes(field)?;
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        str::from_utf8(&bytes[..end]).ok()
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for field in self.format.fields().iter().skip(self.format.common_field_count()) {
            let name = field.name();
            if let Some(text) = self.text_of(field) {
                write!(f, "{blank}{name}={text}")?;
            } else if let Some(number) = self.number_of(field) {
                if field.signed() == Some(true) {
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
        write!(f, "{}: {self}", self.format.name())
    }
}
