//! Llama 3's `tokenizer.model`: a line of base64 and rank for each token, and the special tokens that its makers number behind them.

use super::TextError;
use super::byte_pairs::BytePairs;
use super::error::quoted;
use super::vocabulary::{Token, TokenKind, Vocabulary};
use crate::model::TokenId;

/// How many special tokens follow the ranks.
const SPECIAL: usize = 256;

/// The special tokens with names of their own, by their place behind the ranks. Those of execution traces and of the reasoning mode
/// are CWM's; Llama 3 leaves these places reserved.
const NAMED: [(usize, &str); 22] = [
    (0, "<|begin_of_text|>"),
    (1, "<|end_of_text|>"),
    (4, "<|finetune_right_pad_id|>"),
    (5, "<|step_id|>"),
    (6, "<|start_header_id|>"),
    (7, "<|end_header_id|>"),
    (8, "<|eom_id|>"),
    (9, "<|eot_id|>"),
    (10, "<|python_tag|>"),
    (11, "<|image|>"),
    (100, "<|frame_sep|>"),
    (101, "<|action_sep|>"),
    (102, "<|return_sep|>"),
    (103, "<|call_sep|>"),
    (104, "<|line_sep|>"),
    (105, "<|exception_sep|>"),
    (106, "<|arg_sep|>"),
    (107, "<|trace_context_start|>"),
    (120, "<|reasoning_thinking_start|>"),
    (121, "<|reasoning_thinking_end|>"),
    (2, "<|reserved_special_token_0|>"),
    (3, "<|reserved_special_token_1|>"),
];

/// CWM's name for the padding token.
const PAD: (usize, &str) = (4, "<|pad|>");

/// Reads the file. The begin of text is the first special token.
pub(super) fn read(file: &[u8]) -> Result<(BytePairs, Vocabulary, TokenId), TextError> {
    let mut tokens: Vec<Token> = Vec::with_capacity(file.len() / 16);
    for (number, line) in (1usize..).zip(file.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let bytes = read_line(line, tokens.len()).map_err(|message| {
                let text = String::from_utf8_lossy(line);
                TextError::File {
                    file: "tokenizer.model",
                    message: format!("line {number} ({}): {message}", quoted(&text)),
                }
            })?;
            tokens.push(Token {
                bytes,
                kind: TokenKind::Normal,
            });
        }
    }
    let ranks = tokens.len();
    let encoder = BytePairs::ranked(&tokens)?;
    for place in 0..SPECIAL {
        let named = NAMED.iter().find(|(at, _)| *at == place);
        // The reserved ones are numbered on from the first two, over the ten places that Llama 3 has names for.
        let name = named.map_or_else(
            || format!("<|reserved_special_token_{}|>", place.saturating_sub(10)),
            |(_, name)| (*name).to_owned(),
        );
        tokens.push(Token {
            bytes: name.into_bytes().into_boxed_slice(),
            kind: TokenKind::Control,
        });
    }
    let mut vocabulary = Vocabulary::new(tokens, false)?;
    let id = |place: usize| {
        TokenId::try_from(ranks + place).map_err(|_| TextError::damaged("it has too many tokens"))
    };
    vocabulary.alias(PAD.1, id(PAD.0)?);
    for place in 12..SPECIAL {
        vocabulary.alias(&format!("<|reserved_special_token_{}|>", place - 10), id(place)?);
    }
    Ok((encoder, vocabulary, id(0)?))
}

/// The bytes of a line's token; ranks must be the places in the file, as the special tokens' ids follow from their number.
fn read_line(line: &[u8], expected_rank: usize) -> Result<Box<[u8]>, String> {
    let divide = line
        .iter()
        .position(|&byte| byte == b' ')
        .ok_or("it is not a token and a rank with a space between")?;
    let (token, rank) = line.split_at(divide);
    let rank = std::str::from_utf8(rank)
        .ok()
        .and_then(|rank| rank.trim().parse::<usize>().ok());
    if rank != Some(expected_rank) {
        return Err(format!("the rank should be {expected_rank}"));
    }
    let bytes = decode_base64(token).ok_or("the token is not base64")?;
    if bytes.is_empty() {
        return Err("the token is empty".to_owned());
    }
    Ok(bytes.into_boxed_slice())
}

/// Decodes padded standard base64.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let last = (text.len() / 4).checked_sub(1);
    for (index, group) in text.chunks_exact(4).enumerate() {
        let padding = group.iter().rev().take_while(|&&byte| byte == b'=').count();
        if padding > 2 || (padding > 0 && Some(index) != last) {
            return None;
        }
        let mut bits = 0u32;
        for &byte in group.iter().take(4 - padding) {
            bits = bits << 6 | sextet(byte)?;
        }
        bits <<= 6 * padding;
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend(bytes.iter().take(3 - padding));
    }
    Some(out)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_rfc_4648_writes_it() {
        let cases: [(&str, &[u8]); 5] = [
            ("", b""),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("+/8A", &[0xFB, 0xFF, 0x00]),
        ];
        for (text, bytes) in cases {
            assert_eq!(decode_base64(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for wrong in ["Zg=", "Z===", "====", "Zg==Zg==", "Zm9-"] {
            assert_eq!(decode_base64(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
