//! Which file a diff's header means: prefixes, quotes, timestamps.

use super::super::quote;
use super::bare;

/// One side's name as written, `None` for `/dev/null`.
pub(super) type Side = Option<Vec<u8>>;

/// The name on a `---` or `+++` line behind its marker.
pub(super) fn side(text: &[u8]) -> Option<Side> {
    let text = bare(text);
    let name = if text.starts_with(b"\"") {
        quote::read(text)?.0
    } else {
        let name = text.split(|byte| *byte == b'\t').next().unwrap_or(text);
        without_timestamp(name).to_vec()
    };
    if name.is_empty() {
        return None;
    }
    Some((name != b"/dev/null").then_some(name))
}

/// Cuts off ` 2024-01-31 …` where a tool put no tab before the time.
fn without_timestamp(name: &[u8]) -> &[u8] {
    let is_date = |text: &[u8]| {
        let form = b"dddd-dd-dd dd:dd";
        text.len() >= form.len()
            && text.iter().zip(form).all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                _ => byte == form,
            })
    };
    // A timestamp is at most 40 bytes long: looking further back would be quadratic for hostile names.
    let from = name.len().saturating_sub(48);
    for at in from..name.len() {
        if name.get(at) == Some(&b' ') && is_date(name.get(at + 1..).unwrap_or_default()) {
            return name.get(..at).unwrap_or(name).trim_ascii_end();
        }
    }
    name
}

/// The two names of a `diff --git` line behind its marker, as written.
pub(super) fn git_pair(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = bare(text);
    if text.starts_with(b"\"") {
        let (old, rest) = quote::read(text)?;
        let rest = rest.strip_prefix(b" ")?;
        let new = if rest.starts_with(b"\"") {
            quote::read(rest)?.0
        } else {
            rest.to_vec()
        };
        return Some((old, new));
    }
    if text.ends_with(b"\"")
        && let Some(at) = text.windows(2).position(|pair| pair == b" \"")
    {
        let (new, _) = quote::read(text.get(at + 1..)?)?;
        return Some((text.get(..at)?.to_vec(), new));
    }
    // Unquoted names may hold spaces; but for renames (which say their names again) both are the same behind their
    // prefixes, so the names' lengths differ by no more than the prefixes'.
    let middle = text.len() / 2;
    let mut at = (0..=16)
        .flat_map(|distance| [middle.checked_sub(distance), middle.checked_add(distance)])
        .flatten()
        .filter(|at| text.get(*at) == Some(&b' '));
    let same = |at: usize| {
        let (old, new) = (text.get(..at)?, text.get(at + 1..)?);
        common(Some(old), Some(new)).map(|_| (old.to_vec(), new.to_vec()))
    };
    at.find_map(same).or_else(|| {
        let mut parts = text.split(|byte| *byte == b' ');
        let (old, new) = (parts.next()?, parts.next()?);
        parts.next().is_none().then(|| (old.to_vec(), new.to_vec()))
    })
}

/// The path meant by two sides' names when it is one and the same.
pub(super) fn common<'a>(old: Option<&'a [u8]>, new: Option<&'a [u8]>) -> Option<&'a [u8]> {
    match (old, new) {
        (None, None) => None,
        (Some(name), None) => Some(without_letter(name, b"aiowc")),
        (None, Some(name)) => Some(without_letter(name, b"biowc")),
        (Some(old), Some(new)) if old == new => Some(new),
        (Some(old), Some(new)) => {
            let (old_tail, new_tail) = (tail(old), tail(new));
            if let (Some(old), Some(new)) = (old_tail, new_tail)
                && old == new
            {
                return Some(new);
            }
            let (old, new) = pair_without_prefixes(old, new);
            backup_of(old, new)
        }
    }
}

/// Two names without `a/` and `b/` (or git's other letters), when both carry them.
pub(super) fn pair_without_prefixes<'a>(old: &'a [u8], new: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let (old_bare, new_bare) = (without_letter(old, b"aiowc"), without_letter(new, b"biowc"));
    if old_bare.len() < old.len() && new_bare.len() < new.len() {
        (old_bare, new_bare)
    } else {
        (old, new)
    }
}

/// `x.orig` and `x` mean `x`.
fn backup_of<'a>(old: &'a [u8], new: &'a [u8]) -> Option<&'a [u8]> {
    let (short, long) = if old.len() < new.len() {
        (old, new)
    } else {
        (new, old)
    };
    let end = long.strip_prefix(short)?;
    [b".orig".as_slice(), b".old", b".bak", b".new", b"~"]
        .contains(&end)
        .then_some(short)
}

fn tail(name: &[u8]) -> Option<&[u8]> {
    let slash = name.iter().position(|byte| *byte == b'/')?;
    name.get(slash + 1..).filter(|tail| !tail.is_empty())
}

fn without_letter<'a>(name: &'a [u8], letters: &[u8]) -> &'a [u8] {
    match name {
        [letter, b'/', rest @ ..] if letters.contains(letter) && !rest.is_empty() => rest,
        _ => name,
    }
}
