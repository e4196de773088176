//! Finds tokens whose form their issuer made unmistakable: a prefix, then so many characters of an alphabet.

use super::{Found, random};

/// The characters of a token behind its prefix.
#[derive(Clone, Copy)]
enum Alphabet {
    /// Letters and digits.
    Plain,
    /// Capitals and digits.
    Capitals,
    /// Letters, digits, `_` and `-`.
    Url,
    /// The same and `.`.
    Dotted,
}

impl Alphabet {
    fn holds(self, byte: u8) -> bool {
        match self {
            Alphabet::Plain => byte.is_ascii_alphanumeric(),
            Alphabet::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Alphabet::Url => byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
            Alphabet::Dotted => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
        }
    }
}

/// A service's form of tokens: the prefix, what follows, how many of that at least, and what it is called.
type Form = (&'static str, Alphabet, usize, &'static str);

const FORMS: [Form; 47] = [
    ("AKIA", Alphabet::Capitals, 16, "AWS key id"),
    ("ASIA", Alphabet::Capitals, 16, "AWS key id"),
    ("ghp_", Alphabet::Plain, 30, "GitHub token"),
    ("gho_", Alphabet::Plain, 30, "GitHub token"),
    ("ghu_", Alphabet::Plain, 30, "GitHub token"),
    ("ghs_", Alphabet::Plain, 30, "GitHub token"),
    ("ghr_", Alphabet::Plain, 30, "GitHub token"),
    ("github_pat_", Alphabet::Url, 40, "GitHub token"),
    ("glpat-", Alphabet::Dotted, 20, "GitLab token"),
    ("glptt-", Alphabet::Dotted, 20, "GitLab token"),
    ("gldt-", Alphabet::Dotted, 20, "GitLab token"),
    ("glrt-", Alphabet::Dotted, 20, "GitLab token"),
    ("glcbt-", Alphabet::Dotted, 20, "GitLab token"),
    ("glsoat-", Alphabet::Dotted, 20, "GitLab token"),
    ("gloas-", Alphabet::Dotted, 20, "GitLab token"),
    ("xoxb-", Alphabet::Url, 20, "Slack token"),
    ("xoxp-", Alphabet::Url, 20, "Slack token"),
    ("xoxa-", Alphabet::Url, 20, "Slack token"),
    ("xoxr-", Alphabet::Url, 20, "Slack token"),
    ("xoxs-", Alphabet::Url, 20, "Slack token"),
    ("xoxe-", Alphabet::Url, 20, "Slack token"),
    ("xoxe.", Alphabet::Url, 20, "Slack token"),
    ("xapp-", Alphabet::Url, 20, "Slack token"),
    ("AIza", Alphabet::Url, 35, "Google key"),
    ("GOCSPX-", Alphabet::Url, 20, "Google client secret"),
    ("ya29.", Alphabet::Url, 20, "Google token"),
    ("sk-ant-", Alphabet::Url, 20, "Anthropic key"),
    ("sk-proj-", Alphabet::Url, 20, "OpenAI key"),
    ("sk-svcacct-", Alphabet::Url, 20, "OpenAI key"),
    ("sk-admin-", Alphabet::Url, 20, "OpenAI key"),
    ("sk-or-v1-", Alphabet::Plain, 32, "OpenRouter key"),
    ("sk-", Alphabet::Plain, 32, "OpenAI key"),
    ("sk_live_", Alphabet::Plain, 16, "Stripe key"),
    ("sk_test_", Alphabet::Plain, 16, "Stripe key"),
    ("rk_live_", Alphabet::Plain, 16, "Stripe key"),
    ("rk_test_", Alphabet::Plain, 16, "Stripe key"),
    ("whsec_", Alphabet::Plain, 24, "Stripe key"),
    ("npm_", Alphabet::Plain, 36, "npm token"),
    ("pypi-", Alphabet::Url, 50, "PyPI token"),
    ("hf_", Alphabet::Plain, 30, "Hugging Face token"),
    ("SG.", Alphabet::Dotted, 60, "SendGrid key"),
    ("dop_v1_", Alphabet::Plain, 60, "DigitalOcean token"),
    ("dckr_pat_", Alphabet::Url, 24, "Docker token"),
    ("hvs.", Alphabet::Url, 24, "Vault token"),
    ("lin_api_", Alphabet::Plain, 32, "Linear key"),
    ("AGE-SECRET-KEY-1", Alphabet::Capitals, 40, "age key"),
    ("hooks.slack.com/services/T", Alphabet::Plain, 6, "Slack webhook"),
];

const JSON_WEB_TOKEN: &str = "JSON web token";

/// Every such token of a text.
pub(super) fn find(text: &str) -> Vec<Found<'static>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // No web token begins before this.
    let mut no_web_until = 0;
    let mut before = b' ';
    while let Some(&byte) = bytes.get(at) {
        let begins = byte.is_ascii_alphabetic() && !before.is_ascii_alphanumeric();
        let end = if begins {
            form_end(bytes, at).or_else(|| {
                let web = at >= no_web_until && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"eyJ"));
                web.then(|| web_token_end(bytes, at, &mut no_web_until)).flatten()
            })
        } else {
            None
        };
        let next = match end {
            Some((end, kind)) => {
                found.push(Found { start: at, end, kind });
                end
            }
            None => at + 1,
        };
        before = bytes.get(next - 1).copied().unwrap_or(b' ');
        at = next;
    }
    found
}

/// Where the token of a known form ends that begins at `start`.
fn form_end(bytes: &[u8], start: usize) -> Option<(usize, &'static str)> {
    let rest = bytes.get(start..)?;
    let (prefix, alphabet, least, kind) = FORMS
        .iter()
        .find(|(prefix, ..)| rest.starts_with(prefix.as_bytes()))?;
    let body = rest.get(prefix.len()..)?;
    let holds = |byte: &&u8| alphabet.holds(**byte);
    // No more is looked at than is needed to refuse it, so that a text of prefixes alone takes no longer.
    if body.iter().take(*least).take_while(holds).count() < *least || !is_plausible(body.get(..*least)?) {
        return None;
    }
    let mut length = body.iter().take_while(holds).count();
    if *kind == "Slack webhook" {
        let path = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'/';
        length = body.iter().take_while(path).count();
    }
    // A full stop that ends a sentence is not the token's.
    while length > *least && body.get(length - 1) == Some(&b'.') {
        length -= 1;
    }
    let goes_on = body.get(length).is_some_and(u8::is_ascii_alphanumeric);
    if *kind == "AWS key id" && (length != *least || goes_on) {
        return None;
    }
    Some((start + prefix.len() + length, *kind))
}

/// Whether the first characters of a body are no example's: `ghp_xxxxxxxx`, `xoxb-your-token-here`.
fn is_plausible(body: &[u8]) -> bool {
    let Ok(body) = std::str::from_utf8(body) else {
        return false;
    };
    let drawn = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    !random::is_placeholder(body) && body.bytes().any(drawn)
}

/// Where the JSON web token ends that begins at `start`: three parts, of which the first two are objects and the last a signature.
fn web_token_end(bytes: &[u8], start: usize, no_web_until: &mut usize) -> Option<(usize, &'static str)> {
    let part = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| Alphabet::Url.holds(**byte)).count()
    };
    let first = part(start);
    // Whatever else begins in this first part would fail for the same reason.
    *no_web_until = first;
    if bytes.get(first) != Some(&b'.') {
        return None;
    }
    if first - start < 16 || !bytes.get(first + 1..)?.starts_with(b"eyJ") {
        return None;
    }
    let second = part(first + 1);
    if bytes.get(second) != Some(&b'.') {
        return None;
    }
    let third = part(second + 1);
    (third - second > 16).then_some((third, JSON_WEB_TOKEN))
}
