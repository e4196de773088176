//! Server-sent events: bytes as they come in, whole events out (WHATWG HTML, section 9.2).

/// The largest event, or answer, that is taken.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SseError {
    /// An event is larger than [`MOST_BYTES`].
    TooLarge,
    /// An event is not UTF-8.
    NotUtf8,
}

/// Puts events together from pieces of any size.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The byte before was a carriage return, which ended a line already.
    after_return: bool,
}

impl SseParser {
    /// Takes bytes, and gives the data of every event that they complete.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), SseError> {
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(events)?,
                _ if self.line.len() + self.data.len() >= MOST_BYTES => return Err(SseError::TooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The stream has ended: an event without its empty line counts too.
    pub(super) fn finish(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        if !self.line.is_empty() {
            self.end_line(events)?;
        }
        self.end_event(events)
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event(events);
        }
        // Comments (`: keep-alive`) and the other fields say nothing here.
        if let Some(value) = line.strip_prefix(b"data:") {
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data
                .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        Ok(())
    }

    fn end_event(&mut self, events: &mut Vec<String>) -> Result<(), SseError> {
        if std::mem::take(&mut self.has_data) {
            let data = std::mem::take(&mut self.data);
            events.push(String::from_utf8(data).map_err(|_| SseError::NotUtf8)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\r\ndata: {\"a\":\"né\"}\r\n\r\nevent: x\nid: 1\ndata:one\ndata: two\n\n\n\ndata: 🦀\r\rdata:\n\ndata: end";

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        for size in 1..STREAM.len() {
            let (mut parser, mut events) = (SseParser::default(), Vec::new());
            for piece in STREAM.as_bytes().chunks(size) {
                parser.push(piece, &mut events).unwrap();
            }
            parser.finish(&mut events).unwrap();
            assert_eq!(events, ["{\"a\":\"né\"}", "one\ntwo", "🦀", "", "end"], "{size}");
        }
    }

    #[test]
    fn endless_events_and_bytes_that_are_no_text_are_refused() {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let piece = vec![b'x'; MOST_BYTES / 2 + 1];
        assert_eq!(parser.push(&piece, &mut events), Ok(()));
        assert_eq!(parser.push(&piece, &mut events), Err(SseError::TooLarge));
        assert_eq!(
            SseParser::default().push(b"data: \xff\n\n", &mut events),
            Err(SseError::NotUtf8)
        );
    }
}
