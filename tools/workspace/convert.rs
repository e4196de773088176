//! The differences that git makes between a blob and its file: line endings and Git LFS pointers.

use sha2::{Digest, Sha256};

/// `\n` turned into `\r\n`, as git's checkout does.
pub(crate) fn with_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    let mut before = 0;
    for &byte in bytes {
        if byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(byte);
        before = byte;
    }
    out
}

/// `\r\n` turned into `\n`, as git does on its way in.
pub(crate) fn without_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\r' || rest.peek() != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}

/// Whether any line ends with `\r\n`.
pub(crate) fn has_carriage_returns(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\r\n")
}

/// Git's own guess whether content is binary: a NUL, a lone carriage return, or too many unprintable bytes.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    let (mut printable, mut unprintable) = (0_usize, 0_usize);
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            0 => return true,
            b'\r' if rest.peek() != Some(&b'\n') => return true,
            b'\r' | b'\n' => {}
            0x08 | b'\t' | 0x1b | 0x0c => printable += 1,
            // A trailing end-of-file mark of old systems does not count.
            0x1a if rest.peek().is_none() => {}
            127 | 0..32 => unprintable += 1,
            _ => printable += 1,
        }
    }
    printable >> 7 < unprintable
}

/// A Git LFS pointer: which content stands behind a small blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LfsPointer {
    /// SHA-256 of the content.
    pub(crate) sha256: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl LfsPointer {
    const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

    /// Reads a blob that may be a pointer.
    pub(crate) fn parse(blob: &[u8]) -> Option<LfsPointer> {
        if blob.len() >= 1024 {
            return None;
        }
        let text = std::str::from_utf8(blob).ok()?;
        let mut lines = text.lines();
        if lines.next()? != Self::VERSION {
            return None;
        }
        let (mut sha256, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => sha256 = value.strip_prefix("sha256:").map(str::to_owned),
                ("size", value) => size = value.parse().ok(),
                _ => {}
            }
        }
        let sha256 = sha256.filter(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some(LfsPointer { sha256, size: size? })
    }

    /// The blob of this pointer.
    pub(crate) fn to_blob(&self) -> Vec<u8> {
        format!(
            "{}\noid sha256:{}\nsize {}\n",
            Self::VERSION,
            self.sha256,
            self.size
        )
        .into_bytes()
    }
}

/// The SHA-256 of what a reader gives, in hexadecimal.
pub(crate) fn sha256(reader: &mut impl std::io::Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
