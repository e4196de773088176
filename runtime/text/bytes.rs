//! The two ways in which vocabularies write bytes as text: GPT-2's alphabet, and SentencePiece's `<0xNN>`.

/// The character that stands for a byte in byte-level vocabularies: printable Latin-1 stands for itself, the others for U+0100 on.
pub(super) fn byte_to_char(byte: u8) -> char {
    if stands_for_itself(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !stands_for_itself(other)).count();
    // At most 67 others, so always a character.
    u32::try_from(before)
        .ok()
        .and_then(|before| char::from_u32(0x100 + before))
        .unwrap_or('\u{100}')
}

/// The byte that a character stands for, if it is of the alphabet.
pub(super) fn char_to_byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    if let Ok(byte) = u8::try_from(code) {
        return stands_for_itself(byte).then_some(byte);
    }
    let place = usize::try_from(code.checked_sub(0x100)?).ok()?;
    (0..=u8::MAX).filter(|&byte| !stands_for_itself(byte)).nth(place)
}

fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// GPT-2's alphabet, both ways.
pub(super) struct Alphabet {
    bytes: Vec<Option<u8>>,
}

impl Alphabet {
    pub(super) fn new() -> Alphabet {
        let bytes = (0..0x200u32)
            .map(|code| char::from_u32(code).and_then(char_to_byte))
            .collect();
        Alphabet { bytes }
    }

    /// The bytes that a token of a byte-level vocabulary stands for; a token with other characters stands for itself.
    pub(super) fn bytes_of(&self, token: &str) -> Vec<u8> {
        let byte = |character: char| self.bytes.get(character as usize).copied().flatten();
        token
            .chars()
            .map(byte)
            .collect::<Option<Vec<u8>>>()
            .unwrap_or_else(|| token.as_bytes().to_vec())
    }
}

/// The byte that a SentencePiece token such as `<0x0A>` stands for.
pub(super) fn byte_token(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

/// The mark that SentencePiece writes for a space.
pub(super) const SPACE_MARK: char = '\u{2581}';

/// The bytes that a SentencePiece token stands for.
pub(super) fn piece_bytes(token: &str) -> Vec<u8> {
    token.replace(SPACE_MARK, " ").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character_of_the_alphabet() {
        let alphabet = Alphabet::new();
        let all: String = (0..=u8::MAX).map(byte_to_char).collect();
        assert_eq!(alphabet.bytes_of(&all), (0..=u8::MAX).collect::<Vec<u8>>());
        // The characters that every byte-level vocabulary shows for a space, a newline and a soft hyphen.
        assert_eq!(
            [byte_to_char(b' '), byte_to_char(b'\n'), byte_to_char(0xAD)],
            ['Ġ', 'Ċ', 'Ń']
        );
    }

    #[test]
    fn only_whole_byte_tokens_are_bytes() {
        assert_eq!(byte_token("<0x0A>"), Some(10));
        for other in ["<0x0A", "0x0A", "<0xA>", "<0x00A>", "<0xGG>", "<0x+1>"] {
            assert_eq!(byte_token(other), None, "{other}");
        }
    }
}
