//! Stop strings in texts that are cut anywhere.

use proptest::prelude::*;

use super::*;

fn scan(stops: &[&str], pieces: &[&str]) -> (String, Option<String>) {
    let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
    let mut scanner = StopStrings::new(&stops);
    let mut text = String::new();
    for piece in pieces {
        let scanned = scanner.push(piece);
        text.push_str(&scanned.text);
        if scanned.stopped.is_some() {
            return (text, scanned.stopped);
        }
    }
    text.push_str(&scanner.finish());
    (text, None)
}

#[test]
fn a_stop_string_over_several_pieces_is_found_and_not_shown() {
    let found = scan(&["</tool>"], &["a <", "/to", "ol", "> b"]);
    assert_eq!(found, ("a ".to_owned(), Some("</tool>".to_owned())));
}

#[test]
fn text_that_only_begins_like_a_stop_string_comes_when_that_is_certain() {
    let mut scanner = StopStrings::new(&["END".to_owned()]);
    let texts: Vec<String> = ["x E", "N", "E", "NO", "EN"]
        .into_iter()
        .map(|piece| scanner.push(piece).text)
        .collect();
    assert_eq!(texts, ["x ", "", "EN", "ENO", ""]);
    assert_eq!(scanner.finish(), "EN");
}

#[test]
fn the_string_that_is_completed_first_ends_the_text() {
    assert_eq!(
        scan(&["bcd", "c"], &["abcd"]),
        ("ab".to_owned(), Some("c".to_owned()))
    );
    assert_eq!(
        scan(&["cd", "bcd"], &["abcd"]),
        ("a".to_owned(), Some("bcd".to_owned()))
    );
}

#[test]
fn characters_of_several_bytes_are_not_cut() {
    let found = scan(&["é→"], &["aé", "é", "→b"]);
    assert_eq!(found, ("aé".to_owned(), Some("é→".to_owned())));
}

#[test]
fn without_stop_strings_nothing_is_held_back() {
    let mut scanner = StopStrings::new(&[String::new()]);
    assert_eq!(scanner.push("abc").text, "abc");
    assert_eq!(scanner.finish(), "");
}

proptest! {
    /// However the text is cut, what is shown is the text before the stop string that a search of the whole text finds first, and
    /// nothing shown is taken back.
    #[test]
    fn the_cuts_do_not_matter(text in "[ab→]{0,24}", stops in prop::collection::vec("[ab→]{1,4}", 0..4), cuts in prop::collection::vec(1_usize..4, 24)) {
        let characters: Vec<char> = text.chars().collect();
        let mut scanner = StopStrings::new(&stops);
        let (mut shown, mut stopped, mut next) = (String::new(), None, 0);
        let mut cuts = cuts.into_iter();
        while next < characters.len() && stopped.is_none() {
            let end = (next + cuts.next().unwrap_or(1)).min(characters.len());
            let piece: String = characters[next..end].iter().collect();
            let scanned = scanner.push(&piece);
            shown.push_str(&scanned.text);
            stopped = scanned.stopped;
            next = end;
        }
        if stopped.is_none() {
            shown.push_str(&scanner.finish());
        }
        let ends = stops.iter().filter_map(|stop| Some((text.find(stop)?, stop)));
        let first = ends.min_by_key(|(start, stop)| (start + stop.len(), *start));
        match first {
            Some((start, stop)) => {
                prop_assert_eq!(&shown, &text[..start]);
                prop_assert_eq!(stopped.as_ref(), Some(stop));
            }
            None => {
                prop_assert_eq!(&shown, &text);
                prop_assert_eq!(stopped, None);
            }
        }
    }
}
