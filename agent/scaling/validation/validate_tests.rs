//! What can be told of a patch before anything is run. The rest is tested through `cwm rank`.

use super::*;

#[test]
fn long_outputs_keep_their_ends() {
    let text = format!("begin{}end", "é".repeat(KEPT_OUTPUT));
    let short = without_middle(text, KEPT_OUTPUT);
    assert!(short.starts_with("begin") && short.ends_with("end"));
    assert!(short.len() < KEPT_OUTPUT + 100 && short.contains(" bytes ...]"));
    assert_eq!(without_middle("short".to_owned(), KEPT_OUTPUT), "short");
}

#[test]
fn what_is_no_patch_is_refused_with_a_reason() {
    for (text, why) in [
        ("", "it is empty"),
        (" \n\n", "it is empty"),
        ("hello\n", "it cannot be read: "),
    ] {
        let found = read(text.as_bytes()).unwrap_err();
        assert!(found.starts_with(why), "{text:?}: {found}");
    }
}
