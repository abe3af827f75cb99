//! The file under a `trace.dat`: numbers, strings and sections at given places.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::read::frames::Frames;
use crate::read::{Cause, Place};

/// Largest piece that is unpacked at once. The formats of all events are a few
/// megabytes, a chunk of trace data is ten pages.
const LARGEST: usize = 256 << 20;

/// What is wrong, and where.
pub(super) type Error = (Place, Cause);

pub(super) fn damaged(at: u64, what: impl Into<String>) -> Error {
    (Place::Byte(at), Cause::Damaged { what: what.into() })
}

/// How pieces of the file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Zlib,
    Zstd,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) big_endian: bool,
}

impl Numbers {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
    }
}

/// The file.
pub(super) struct Storage {
    file: File,
    pub(super) length: u64,
    pub(super) numbers: Numbers,
    pub(super) packing: Packing,
}

impl Storage {
    pub(super) fn new(mut file: File) -> std::io::Result<Storage> {
        let length = file.seek(SeekFrom::End(0))?;
        let numbers = Numbers { big_endian: false };
        Ok(Storage { file, length, numbers, packing: Packing::None })
    }

    /// Fills a buffer from a place of the file.
    pub(super) fn fill(
        &mut self,
        at: u64,
        buffer: &mut [u8],
        what: &'static str,
    ) -> Result<(), Error> {
        let cut = (Place::Byte(at), Cause::Cut { what });
        if at.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Err(cut);
        }
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_exact(buffer));
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => cut,
            _ => (Place::Byte(at), Cause::Io(error)),
        })
    }

    pub(super) fn bytes(
        &mut self,
        at: u64,
        count: u64,
        what: &'static str,
    ) -> Result<Vec<u8>, Error> {
        // Asked before anything is allocated.
        if at.checked_add(count).is_none_or(|end| end > self.length) {
            return Err((Place::Byte(at), Cause::Cut { what }));
        }
        let Ok(count) = usize::try_from(count) else {
            return Err(damaged(at, "a piece is larger than memory"));
        };
        if count > LARGEST {
            return Err(damaged(at, format!("a piece of {count} bytes, {LARGEST} at most")));
        }
        let mut bytes = vec![0; count];
        self.fill(at, &mut bytes, what)?;
        Ok(bytes)
    }

    /// Unpacks a piece: its packed size, its size, and the data. Returns where the
    /// next one begins too.
    pub(super) fn packed(&mut self, at: u64, what: &'static str) -> Result<(Vec<u8>, u64), Error> {
        let numbers = self.numbers;
        let head = self.bytes(at, 8, what)?;
        let number =
            |from: usize| numbers.u32([head[from], head[from + 1], head[from + 2], head[from + 3]]);
        let (packed, size) = (number(0), number(4) as usize);
        if size > LARGEST {
            return Err(damaged(at, format!("a piece of {size} bytes, {LARGEST} at most")));
        }
        let data = self.bytes(at + 8, u64::from(packed), what)?;
        let mut unpacked = Vec::new();
        let most = size as u64 + 1;
        let read = match self.packing {
            Packing::None => {
                return Err(damaged(at, "a compressed piece in a file without compression"));
            }
            Packing::Zlib => {
                flate2::bufread::ZlibDecoder::new(&data[..]).take(most).read_to_end(&mut unpacked)
            }
            Packing::Zstd => Frames::new(&data[..]).take(most).read_to_end(&mut unpacked),
        };
        if let Err(error) = read {
            return Err((Place::Byte(at), Cause::Compression { reason: error.to_string() }));
        }
        if unpacked.len() != size {
            return Err(damaged(at, format!("a piece that should have {size} bytes has others")));
        }
        Ok((unpacked, at + 8 + u64::from(packed)))
    }
}

/// Reads one thing after the other: out of the file, or out of a piece of it.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Where these bytes are, for messages.
    base: u64,
    at: usize,
    numbers: Numbers,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64, numbers: Numbers) -> Cursor<'a> {
        Cursor { bytes, base, at: 0, numbers }
    }

    pub(super) fn place(&self) -> u64 {
        self.base + self.at as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], Error> {
        let cut = (Place::Byte(self.place()), Cause::Cut { what });
        let Some(end) = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count))
        else {
            return Err(cut);
        };
        let Some(bytes) = self.bytes.get(self.at..end) else { return Err(cut) };
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        Ok(self.numbers.u16(self.array(what)?))
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        Ok(self.numbers.u32(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        Ok(self.numbers.u64(self.array(what)?))
    }

    /// A string that ends with a zero.
    pub(super) fn string(&mut self, what: &'static str) -> Result<String, Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = memchr::memchr(0, rest) else {
            return Err((Place::Byte(self.place()), Cause::Cut { what }));
        };
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// What is there word for word.
    pub(super) fn literal(&mut self, word: &[u8], what: &'static str) -> Result<(), Error> {
        let at = self.place();
        if self.take(word.len() as u64, what)? == word {
            return Ok(());
        }
        Err(damaged(
            at,
            format!("`{}` is not where it should be", word.trim_ascii_end().escape_ascii()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file with one piece in it.
    fn piece(packing: Packing, size: u32, data: &[u8]) -> Storage {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let packed = u32::try_from(data.len()).expect("small");
        file.write_all(&packed.to_le_bytes()).expect("room");
        file.write_all(&size.to_le_bytes()).expect("room");
        file.write_all(data).expect("room");
        let mut storage = Storage::new(file).expect("a file");
        storage.packing = packing;
        storage
    }

    #[test]
    fn zlib_is_unpacked_and_its_size_is_believed_only_if_it_is_right() {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&[7; 1000]).expect("room");
        let packed = packed.finish().expect("room");
        let (bytes, next) = piece(Packing::Zlib, 1000, &packed).packed(0, "it").expect("right");
        assert_eq!((bytes, next), (vec![7; 1000], 8 + packed.len() as u64));
        for size in [999, 1001, u32::MAX] {
            let error = piece(Packing::Zlib, size, &packed).packed(0, "it").expect_err("wrong");
            assert!(matches!(error.1, Cause::Damaged { .. }), "{size}: {}", error.1);
        }
        let cut = &packed[..packed.len() - 9];
        let error = piece(Packing::Zlib, 1000, cut).packed(0, "it").expect_err("cut");
        assert!(matches!(error.1, Cause::Compression { .. }), "{}", error.1);
        let error = piece(Packing::None, 1000, &packed).packed(0, "it").expect_err("not packed");
        assert!(matches!(error.1, Cause::Damaged { .. }), "{}", error.1);
    }
}
