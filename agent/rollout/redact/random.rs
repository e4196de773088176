//! Tells values that somebody's generator or somebody's care made from words and names.

/// Words that stand where a secret would, in examples, tests and templates.
const PLACEHOLDERS: [&str; 44] = [
    "abc", "access", "admin", "api", "auth", "bar", "baz", "bearer", "change", "changeme", "client",
    "default", "dummy", "example", "fake", "foo", "here", "insert", "invalid", "key", "me", "mock", "my",
    "new", "none", "null", "old", "pass", "password", "postgres", "private", "qwerty", "redacted", "replace",
    "root", "sample", "secret", "some", "test", "token", "user", "value", "wrong", "your",
];

/// Whether a value consists of words that everybody uses for examples, of digits counted up, or of one character over and over.
pub(super) fn is_placeholder(value: &str) -> bool {
    let mut parts = words(value).peekable();
    let has_words = parts.peek().is_some();
    let known = parts.all(|word| {
        let word = word.to_ascii_lowercase();
        PLACEHOLDERS.contains(&word.as_str()) || (word.len() >= 3 && distinct(&word) == 1)
    });
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let other = value
        .bytes()
        .filter(|byte| !byte.is_ascii_alphanumeric() && !b"_-. ".contains(byte))
        .count();
    distinct(value) <= 3 || (has_words && known && digits <= 4 && other <= 1)
}

/// Whether a value that stands for itself, in quotes or as a line of settings, can be a secret: long enough, no words, no template.
pub(super) fn is_secret_literal(value: &str) -> bool {
    let templated = value.starts_with(['$', '%', '<', '{', '[', '*', '/', '~', '.', '@', '#'])
        || ["${", "$(", "{{", "%(", "{}", "://", "..."]
            .iter()
            .any(|part| value.contains(part))
        || (value.contains('{') && value.contains('}'));
    if value.len() < 8 || value.len() > 4096 || templated || is_placeholder(value) {
        return false;
    }
    if value.contains(char::is_whitespace) || value.contains(['(', ')', ';', '`']) {
        return false;
    }
    let kinds = kinds(value);
    // Words without a digit are names of things or sentences: `access_token`, `tokenFromHeader`, `input[type=password]`.
    if !kinds.digit && changes_of_kind(value) * 100 < 45 * value.len() {
        return false;
    }
    [kinds.lower, kinds.upper, kinds.digit, kinds.symbol]
        .iter()
        .filter(|&&has| has)
        .count()
        >= 2
        && bits(value) >= 22.0
}

/// Whether a bare word looks like nothing that a person would name a thing.
pub(super) fn is_random_word(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    word.len() >= 16
        && digits >= 2
        && !is_placeholder(word)
        && kinds(word).letter()
        && (changes_of_kind(word) - humps(word)) * 100 >= 28 * word.len()
        && bits(word) >= 44.0
}

/// Whether what stands behind `Authorization: Bearer` is a credential and not a word of the text.
pub(super) fn is_credential(word: &str) -> bool {
    let digit = kinds(word).digit;
    word.len() >= 8
        && !is_placeholder(word)
        && kinds(word).letter()
        && (digit || changes_of_kind(word) * 100 >= 30 * word.len())
        && bits(word) >= 22.0
}

/// Which kinds of characters there are.
struct Kinds {
    lower: bool,
    upper: bool,
    digit: bool,
    symbol: bool,
}

impl Kinds {
    fn letter(&self) -> bool {
        self.lower || self.upper
    }
}

fn kinds(value: &str) -> Kinds {
    let any = |is: fn(&u8) -> bool| value.as_bytes().iter().any(is);
    Kinds {
        lower: any(u8::is_ascii_lowercase),
        upper: any(u8::is_ascii_uppercase),
        digit: any(u8::is_ascii_digit),
        symbol: any(|byte| !byte.is_ascii_alphanumeric()),
    }
}

/// How often two neighbours are of different kinds: small letter, capital, digit. What joins words does not count.
fn changes_of_kind(value: &str) -> usize {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let pairs = value.bytes().zip(value.bytes().skip(1));
    pairs
        .filter(|&(left, right)| kind(left) != kind(right) && kind(left) != 0 && kind(right) != 0)
        .count()
}

/// How often a small letter follows a capital, as in names too: `Base64UrlString`.
fn humps(value: &str) -> usize {
    let pairs = value.bytes().zip(value.bytes().skip(1));
    pairs
        .filter(|(left, right)| left.is_ascii_uppercase() && right.is_ascii_lowercase())
        .count()
}

/// Shannon's entropy of the characters' frequencies, of the whole value in bits.
fn bits(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| -f64::from(count) * (f64::from(count) / total).log2())
        .sum()
}

fn distinct(value: &str) -> usize {
    let mut seen = [false; 256];
    for byte in value.bytes() {
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|&&seen| seen).count()
}

/// The runs of letters, parted also where a capital follows a small letter.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(|character: char| !character.is_ascii_alphabetic()).flat_map(|run| {
        let mut rest = run;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let bytes = rest.as_bytes();
            let hump = bytes
                .windows(2)
                .position(|pair| matches!(pair, [left, right] if left.is_ascii_lowercase() && right.is_ascii_uppercase()))
                .map_or(rest.len(), |at| at + 1);
            let (word, behind) = rest.split_at(hump);
            rest = behind;
            Some(word)
        })
    })
}
