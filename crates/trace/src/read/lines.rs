//! Lines out of a stream, without holding more than a buffer of it.

use std::io::Read;

use super::Cause;

/// The buffer at the start. It grows for a line that is longer.
const BUFFER: usize = 256 << 10;
/// No tracer prints such a line; a file without newlines must not fill the memory.
const LONGEST: usize = 1 << 20;

/// A line that was found.
#[derive(Clone, Copy)]
pub(super) struct Line {
    start: usize,
    end: usize,
    /// Whether its newline was there.
    pub(super) complete: bool,
}

/// The lines of a stream.
pub(super) struct Lines {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// What ended the input before its end; told after all that came before.
    broken: Option<Cause>,
    /// Lines so far.
    pub(super) number: u64,
}

impl Lines {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Lines {
        Lines {
            input,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            at_end: false,
            broken: None,
            number: 0,
        }
    }

    /// What the stream begins with, up to `most` bytes of it; nothing is consumed.
    pub(super) fn peek(&mut self, most: usize) -> &[u8] {
        while self.end - self.start < most.min(BUFFER) && !self.at_end {
            self.fill();
        }
        &self.buffer[self.start..self.end.min(self.start + most)]
    }

    /// Everything that was not consumed, as a stream.
    pub(super) fn into_stream(self) -> impl Read {
        let mut buffer = self.buffer;
        buffer.truncate(self.end);
        buffer.drain(..self.start);
        std::io::Cursor::new(buffer).chain(self.input)
    }

    /// Why the stream ended before its end, if it did.
    pub(super) fn take_broken(&mut self) -> Option<Cause> {
        self.broken.take()
    }

    /// The next line. `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line>, Cause> {
        let mut searched = self.start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                let line = Line { start: self.start, end: searched + at, complete: true };
                self.start = line.end + 1;
                self.number += 1;
                return Ok(Some(line));
            }
            let length = self.end - self.start;
            if length > LONGEST {
                self.number += 1;
                return Err(Cause::LongLine);
            }
            if self.at_end {
                if let Some(cause) = self.broken.take() {
                    self.number += 1;
                    return Err(cause);
                }
                if length == 0 {
                    return Ok(None);
                }
                let line = Line { start: self.start, end: self.end, complete: false };
                self.start = self.end;
                self.number += 1;
                return Ok(Some(line));
            }
            self.fill();
            searched = self.start + length;
        }
    }

    /// The bytes of the line that [`Lines::next`] returned last.
    pub(super) fn bytes(&self, line: Line) -> &[u8] {
        &self.buffer[line.start..line.end]
    }

    /// Makes the line text: what is no UTF-8 in it becomes question marks. Names of
    /// threads can have any bytes.
    pub(super) fn make_text(&mut self, line: Line) {
        let bytes = &mut self.buffer[line.start..line.end];
        let mut from = 0;
        while let Err(error) = str::from_utf8(&bytes[from..]) {
            let bad = from + error.valid_up_to();
            let end = error.error_len().map_or(bytes.len(), |length| bad + length);
            bytes[bad..end].fill(b'?');
            from = end;
        }
    }

    /// More bytes, behind those that are not consumed.
    fn fill(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.broken = Some(Cause::of_stream(error));
                    self.at_end = true;
                }
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drops(Vec<u8>, usize);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let Some(&byte) = self.0.get(self.1) else { return Ok(0) };
            self.1 += 1;
            buffer[0] = byte;
            Ok(1)
        }
    }

    #[test]
    fn lines_that_arrive_in_drops() {
        let mut lines = Lines::new(Box::new(Drops(b"a\n\nbc\xff\xfed\nend".to_vec(), 0)));
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("readable") {
            lines.make_text(line);
            let text = str::from_utf8(lines.bytes(line)).expect("text").to_owned();
            found.push((text, line.complete, lines.number));
        }
        let expected = [("a", true, 1), ("", true, 2), ("bc??d", true, 3), ("end", false, 4)];
        assert_eq!(found, expected.map(|(text, whole, number)| (text.to_owned(), whole, number)));
    }

    #[test]
    fn a_line_without_end_is_no_text() {
        let mut lines = Lines::new(Box::new(std::io::repeat(b'x')));
        assert!(matches!(lines.next(), Err(Cause::LongLine)));
        assert!(lines.buffer.len() <= 4 * LONGEST, "{}", lines.buffer.len());
    }
}
