//! Head and tail of long texts.

use proptest::prelude::*;

use super::*;

fn collect(head: usize, tail: usize, chunks: &[Vec<u8>]) -> Truncated {
    let mut collector = HeadTail::new(head, tail);
    for chunk in chunks {
        collector.push(chunk);
    }
    collector.finish()
}

#[test]
fn cuts_fall_at_line_ends_where_one_is_near() {
    let lines: String = (0..1000).map(|n| format!("line {n:03}\n")).collect();
    let cut = collect(100, 100, &[lines.as_bytes().to_vec()]);
    assert_eq!(cut.head, &lines.as_bytes()[..99]);
    assert_eq!(cut.tail, &lines.as_bytes()[lines.len() - 99..]);
    assert_eq!(
        (cut.omitted_bytes, cut.omitted_lines, cut.total_bytes),
        (9000 - 198, 1000 - 22, 9000)
    );
}

#[test]
fn a_line_without_end_is_cut_between_characters() {
    for shift in 0..4 {
        let text = format!("{}{}", "x".repeat(shift), "😀".repeat(5000));
        let cut = collect(101, 102, &[text.clone().into_bytes()]);
        let (head, tail) = (
            String::from_utf8(cut.head).unwrap(),
            String::from_utf8(cut.tail).unwrap(),
        );
        assert!(text.starts_with(&head) && text.ends_with(&tail));
        assert!(head.len() > 97 && tail.len() > 98);
    }
}

#[test]
fn memory_stays_bounded() {
    let mut collector = HeadTail::new(1000, 2000);
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        collector.push(&chunk);
        assert!(collector.head.capacity() <= 2000 && collector.tail.capacity() <= 8000);
    }
    let cut = collector.finish();
    assert_eq!(
        (cut.head.len(), cut.tail.len(), cut.total_bytes),
        (1000, 2000, 64 << 20)
    );
}

#[test]
fn a_budget_in_any_measure_is_kept_with_few_calls() {
    let text: String = (0..20_000).map(|n| format!("word{n} and é\n")).collect();
    let calls = std::cell::Cell::new(0);
    let words = |part: &str| {
        calls.set(calls.get() + 1);
        part.split_whitespace().count()
    };
    let cut = by(&text, 1000, words);
    assert!(calls.get() <= 30, "{} calls", calls.get());
    let kept = cut.head.split_whitespace().count() + cut.tail.split_whitespace().count();
    assert!((900..=1000).contains(&kept), "{kept} words kept");
    assert!(text.starts_with(cut.head) && text.ends_with(cut.tail));
    assert!(cut.head.ends_with('\n') && cut.tail.starts_with("word"));
    assert_eq!(cut.head.len() + cut.tail.len() + cut.omitted_bytes, text.len());
    assert_eq!(
        by(&text, 60_000, words),
        Cut {
            head: &text,
            tail: "",
            omitted_bytes: 0,
            omitted_lines: 0
        }
    );
}

#[test]
fn a_cut_on_the_right_keeps_the_beginning() {
    let cut = right("one\ntwo\nthree\nfour\n", 11, str::len);
    assert_eq!((cut.head, cut.tail), ("one\ntwo\nthr", ""));
    let cut = right("one\ntwo\nthree\nfour\n", 9, str::len);
    assert_eq!((cut.head, cut.tail), ("one\ntwo\n", ""));
    assert_eq!((cut.omitted_bytes, cut.omitted_lines), (11, 2));
    assert_eq!(right("one\n", 4, str::len).omitted_bytes, 0);
}

#[test]
fn bytes_are_shown_as_text() {
    assert_eq!(
        display_text(b"a\xff\xfeb\0c\x1b[0m\r\n"),
        "a\u{FFFD}\u{FFFD}b\\0c\x1b[0m\r\n"
    );
    assert_eq!(display_text("schön".as_bytes()), "schön");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_kept_and_what_is_omitted_make_the_whole(
        chunks in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40), "[a-é\n]{0,20}".prop_map(String::into_bytes),
            ], 0..12),
        head in 0_usize..60, tail in 0_usize..60,
    ) {
        let whole = chunks.concat();
        let cut = collect(head, tail, &chunks);
        prop_assert_eq!(cut.total_bytes, whole.len() as u64);
        if whole.len() <= head + tail {
            prop_assert_eq!(&cut.head, &whole);
            prop_assert_eq!((cut.tail.len(), cut.omitted_bytes, cut.omitted_lines), (0, 0, 0));
        } else {
            prop_assert!(cut.head.len() <= head && cut.tail.len() <= tail);
            prop_assert!(whole.starts_with(&cut.head) && whole.ends_with(&cut.tail));
            let middle = &whole[cut.head.len()..whole.len() - cut.tail.len()];
            prop_assert_eq!(cut.omitted_bytes, middle.len() as u64);
            prop_assert_eq!(cut.omitted_lines, middle.iter().filter(|&&byte| byte == b'\n').count() as u64);
        }
    }

    #[test]
    fn the_budget_holds(text in "(\\PC|\n){0,200}", budget in 0_usize..120) {
        let cut = by(&text, budget, |part| part.chars().count());
        prop_assert!(cut.head.chars().count() + cut.tail.chars().count() <= budget);
        prop_assert!(text.starts_with(cut.head) && text.ends_with(cut.tail));
        let whole = text.chars().count() <= budget;
        prop_assert_eq!(whole, cut.omitted_bytes == 0);
        let cut = right(&text, budget, |part| part.chars().count());
        prop_assert!(cut.head.chars().count() <= budget && cut.tail.is_empty());
        prop_assert!(text.starts_with(cut.head));
        prop_assert_eq!(cut.head.len() + cut.omitted_bytes, text.len());
        prop_assert_eq!(whole, cut.omitted_bytes == 0);
    }
}
