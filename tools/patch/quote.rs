//! Names as git writes them in diffs: plain where it can, else in double quotes with C escapes and octal bytes.

/// Whether git would put this name in quotes.
pub(super) fn needs_quotes(name: &[u8]) -> bool {
    name.iter()
        .any(|byte| !(0x20..0x7f).contains(byte) || matches!(byte, b'"' | b'\\'))
}

/// Writes `prefix` and `name` as one name.
pub(super) fn write(out: &mut Vec<u8>, prefix: &[u8], name: &[u8]) {
    if !needs_quotes(name) {
        out.extend_from_slice(prefix);
        out.extend_from_slice(name);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(prefix);
    for &byte in name {
        match byte {
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..0x7f => out.push(byte),
            _ => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Reads a name that begins with a double quote: the name, and what stands behind its closing quote.
pub(super) fn read(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => return Some((name, rest)),
            b'\\' => {
                let (byte, behind) = escape(rest)?;
                name.push(byte);
                rest = behind;
            }
            _ => name.push(byte),
        }
    }
}

/// What a backslash was followed by.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&byte, rest) = text.split_first()?;
    let plain = match byte {
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        b'"' | b'\\' => byte,
        b'0'..=b'3' => {
            let digits = text.get(..3)?;
            let value = digits.iter().try_fold(0u32, |value, digit| {
                (b'0'..=b'7')
                    .contains(digit)
                    .then(|| value * 8 + u32::from(digit - b'0'))
            })?;
            return Some((u8::try_from(value).ok()?, text.get(3..)?));
        }
        _ => return None,
    };
    Some((plain, rest))
}
