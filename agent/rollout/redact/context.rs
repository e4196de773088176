//! Finds secrets by where they stand: assigned to a name that says so, in an address before its `@`, in an `Authorization` header.

use super::{Found, SECRET, random};

/// Endings of names whose value is a secret even when a person could remember it.
const STRONG: [&str; 8] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "secretkey",
    "privatekey",
];
/// Endings of names whose value is a secret when nobody could remember it: a lexer has tokens and a dictionary has keys too.
const WEAK: [&str; 12] = [
    "token",
    "apikey",
    "accesskey",
    "accountkey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sharedkey",
    "subscriptionkey",
    "credential",
    "credentials",
];
/// Longer names, values and addresses are none.
const LONGEST_NAME: usize = 48;
const LONGEST_WORD: usize = 512;
const LONGEST_VALUE: usize = 4096;
const LONGEST_AUTHORITY: usize = 1024;

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Strong,
    Weak,
    Authorization,
    Bearer,
}

/// Every such secret of a text.
pub(super) fn find(text: &str) -> Vec<Found<'static>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let place = if is_name(byte) {
            let start = at;
            at = run_end(bytes, at, is_name, usize::MAX);
            name(bytes, start, at).and_then(|name| value(text, name, start, at))
        } else if bytes.get(at..).is_some_and(|rest| rest.starts_with(b"://")) {
            at += 3;
            address(text, at)
        } else {
            at += 1;
            None
        };
        if let Some((start, end)) = place {
            found.push(Found {
                start,
                end,
                kind: SECRET,
            });
            at = end;
        }
    }
    found
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Characters of values without quotes.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/_.~!@#%^*-".contains(&byte)
}

/// Where a value without quotes ends, which may be padded with `=` as base64 is.
fn bare_end(bytes: &[u8], at: usize, most: usize) -> usize {
    run_end(bytes, run_end(bytes, at, is_bare, most), |byte| byte == b'=', 2)
}

/// Where a run of such bytes ends, of at most so many.
fn run_end(bytes: &[u8], at: usize, is: fn(u8) -> bool, most: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take(most).take_while(|byte| is(**byte)).count()
}

/// What the name says, its last words deciding: `DB_PASSWORD`, `clientSecret`, `api-key`, and not `password_field`.
fn name(bytes: &[u8], start: usize, end: usize) -> Option<Name> {
    let tail = bytes.get(start.max(end.saturating_sub(LONGEST_NAME))..end)?;
    let plain: Vec<u8> = tail
        .iter()
        .filter(|byte| byte.is_ascii_alphanumeric())
        .map(u8::to_ascii_lowercase)
        .collect();
    let ends = |words: &[&str]| words.iter().any(|word| plain.ends_with(word.as_bytes()));
    if ends(&STRONG) {
        Some(Name::Strong)
    } else if ends(&WEAK) {
        Some(Name::Weak)
    } else if ends(&["authorization"]) {
        Some(Name::Authorization)
    } else {
        (plain == b"bearer").then_some(Name::Bearer)
    }
}

/// How a name and its value are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    /// `=` without blanks around it.
    Tight,
    /// `=`, `:=`, `=>`, `==`, with blanks.
    Loose,
    /// `:`.
    Colon,
    /// `<name>value`.
    Element,
    /// `--name value`, `Bearer value`.
    Blank,
}

/// The place of a secret that belongs to the name in `start..end`.
fn value(text: &str, name: Name, start: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (join, at) = join(bytes, name, start, end)?;
    match name {
        Name::Authorization => header(text, at),
        Name::Bearer => {
            let end = bare_end(bytes, at, LONGEST_WORD);
            let word = text.get(at..end)?;
            (word.len() >= 20 && random::is_random_word(word)).then_some((at, end))
        }
        Name::Strong | Name::Weak => {
            let all_capitals = !bytes.get(start..end)?.iter().any(u8::is_ascii_lowercase);
            match quoted(text, at) {
                Some((from, to)) => {
                    let literal = text.get(from..to)?;
                    let holds = if name == Name::Strong {
                        random::is_secret_literal(literal)
                    } else {
                        random::is_secret_literal(literal) && random::is_random_word(literal)
                    };
                    holds.then_some((from, to))
                }
                None => bare(text, name, join, at, all_capitals),
            }
        }
    }
}

/// How the name that ends at `end` is joined with what follows, and where that begins.
fn join(bytes: &[u8], name: Name, start: usize, end: usize) -> Option<(Join, usize)> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b'\n');
    if name == Name::Bearer {
        return (byte(end) == b' ').then_some((Join::Blank, end + 1));
    }
    if byte(end) == b'>' {
        return (start > 0 && byte(start - 1) == b'<').then_some((Join::Element, end + 1));
    }
    let mut at = end;
    if byte(at) == b'\\' {
        at += 1;
    }
    if matches!(byte(at), b'"' | b'\'') {
        at += 1;
        if byte(at) == b']' {
            at += 1;
        }
    }
    let spaces = skip_blanks(bytes, at);
    let operator: &[u8] = match (byte(spaces), byte(spaces + 1), byte(spaces + 2)) {
        (b'=', b'=', b'=') => b"===",
        (b'=', b'=' | b'>', _) | (b':', b'=', _) => b"==",
        (b'=' | b':', _, _) => b"=",
        _ => {
            let flag = bytes.get(start..end)?.starts_with(b"--") && spaces == end + 1;
            return flag.then_some((Join::Blank, spaces));
        }
    };
    let behind = spaces + operator.len();
    let value = skip_blanks(bytes, behind);
    if operator == b"=" && byte(spaces) == b':' {
        // A header's credential may be padded with what looks like an assignment.
        let typed = behind_type(bytes, value).filter(|_| name != Name::Authorization);
        return Some((Join::Colon, typed.unwrap_or(value)));
    }
    let tight = spaces == at && value == behind;
    Some((if tight { Join::Tight } else { Join::Loose }, value))
}

/// Behind a type and the `=` that follows it, as in `password: str = "…"`.
fn behind_type(bytes: &[u8], at: usize) -> Option<usize> {
    let in_type = |byte: u8| byte.is_ascii_alphanumeric() || b"_&' <>[].:?|".contains(&byte);
    let end = run_end(bytes, at, in_type, 40);
    (end > at && bytes.get(end) == Some(&b'=')).then(|| skip_blanks(bytes, end + 1))
}

/// Behind a few blanks.
fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| byte == b' ' || byte == b'\t', 16)
}

/// What stands in quotes at `at`, on one line.
fn quoted(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let letters = run_end(bytes, at, |byte| b"rbufRBUF@&".contains(&byte), 3);
    let escaped = bytes.get(letters) == Some(&b'\\');
    let open = letters + usize::from(escaped);
    let quote = *bytes.get(open).filter(|byte| b"\"'`".contains(byte))?;
    let start = open + 1;
    let mut end = start;
    loop {
        let byte = *bytes.get(end)?;
        if byte == b'\n' || end - start > LONGEST_VALUE {
            return None;
        }
        let next = bytes.get(end + 1);
        match byte {
            b'\\' if escaped && next == Some(&quote) => return Some((start, end)),
            b'\\' if !escaped && next.is_some_and(|next| *next != b'\n') => end += 2,
            _ if byte == quote => return Some((start, end)),
            _ => end += 1,
        }
    }
}

/// A secret without quotes: as in files of settings, or such that nobody would name a thing like it.
fn bare(text: &str, name: Name, join: Join, at: usize, all_capitals: bool) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut end = bare_end(bytes, at, LONGEST_WORD);
    let next = bytes.get(end).copied().unwrap_or(b'\n');
    if !(next.is_ascii_whitespace() || b",;&\"'`})]<>|\\".contains(&next)) {
        return None;
    }
    // A sentence may end behind it.
    while end > at && bytes.get(end - 1) == Some(&b'.') {
        end -= 1;
    }
    let word = text.get(at..end)?;
    let at_line_end = matches!(next, b'\n' | b'\r');
    let setting = match join {
        Join::Tight => all_capitals && next.is_ascii_whitespace(),
        Join::Colon => at_line_end && word.bytes().any(|byte| b"!@#%^*+=~".contains(&byte)),
        Join::Element => next == b'<' && bytes.get(end + 1) == Some(&b'/'),
        Join::Blank => true,
        Join::Loose => false,
    };
    let remembered = name == Name::Strong && setting && random::is_secret_literal(word);
    (remembered || random::is_random_word(word)).then_some((at, end))
}

/// The credential of an `Authorization` header, behind its scheme.
fn header(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = run_end(bytes, at, |byte| b"\"'`\\bfr".contains(&byte), 4).min(bytes.len());
    // Letters that a quote does not follow belong to the scheme: `basic`.
    while at > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_alphabetic) {
        at -= 1;
    }
    let scheme = run_end(bytes, at, |byte| byte.is_ascii_alphabetic(), 12);
    if scheme > at && bytes.get(scheme) == Some(&b' ') {
        at = scheme + 1;
    }
    let end = bare_end(bytes, at, LONGEST_WORD * 4);
    let next = bytes.get(end).copied().unwrap_or(b'\n');
    let word = text.get(at..end)?;
    (!b"({[$".contains(&next) && random::is_credential(word)).then_some((at, end))
}

/// The password of an address whose authority begins at `at`, or the user where that is a token.
fn address(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let in_authority = |byte: u8| !byte.is_ascii_whitespace() && !b"/?#\"'<>`\\,(){}[]|".contains(&byte);
    let end = run_end(bytes, at, in_authority, LONGEST_AUTHORITY);
    let authority = bytes.get(at..end)?;
    let sign = at + authority.iter().rposition(|byte| *byte == b'@')?;
    let user_end = at
        + authority
            .iter()
            .position(|byte| *byte == b':')
            .unwrap_or(authority.len());
    if user_end >= sign {
        let user = text.get(at..sign)?;
        return random::is_random_word(user).then_some((at, sign));
    }
    let (user, password) = (text.get(at..user_end)?, text.get(user_end + 1..sign)?);
    let templated = password.contains(['$', '*', '%']) && !password.bytes().any(|byte| byte.is_ascii_digit());
    let real = password.len() >= 4
        && password != user
        && !templated
        && !password.starts_with('$')
        && !random::is_placeholder(password);
    real.then_some((user_end + 1, sign))
}
