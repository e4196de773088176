//! The completion scripts, judged by the shells that read them.

use super::context::TestContext;

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

#[test]
fn every_script_knows_every_command_and_flag() {
    let context = TestContext::new();
    for shell in SHELLS {
        let outcome = context.run(["completions", shell]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{shell}");
        for word in ["doctor", "completions", "json", "color", "quiet"] {
            assert!(outcome.stdout.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn bash_reads_its_script_and_completes_with_it() {
    let outcome = TestContext::new().shell(
        "set -eu; source <(\"$CWM\" completions bash)
         complete -p cwm
         COMP_WORDS=(cwm doc) COMP_CWORD=1; _cwm cwm doc cwm; echo \"${COMPREPLY[@]}\"
         COMP_WORDS=(cwm completions '') COMP_CWORD=2; _cwm cwm '' completions; echo \"${COMPREPLY[@]}\"",
    );
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].contains("_cwm"), "{outcome:?}");
    assert_eq!(lines[1], "doctor");
    assert!(SHELLS.iter().all(|shell| lines[2].contains(shell)), "{outcome:?}");
}

/// Shells other than bash are read by the shell itself on machines that have it; the check of the words
/// above holds everywhere.
#[test]
fn shells_that_are_here_read_their_scripts() {
    let context = TestContext::new();
    let outcome = context.shell(
        "read_by() { command -v \"$1\" >/dev/null || return 0; \"$CWM\" completions \"$2\" > script; \"${@:3}\" || echo \"$1\"; }
         read_by bash bash bash -n script
         read_by zsh zsh zsh -n script
         read_by fish fish fish --no-execute script
         read_by elvish elvish elvish -compileonly script
         read_by pwsh powershell pwsh -NoProfile -File script",
    );
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""), "{outcome:?}");
}

#[test]
fn as_json_the_script_is_one_event() {
    let context = TestContext::new();
    let events = context.run(["completions", "fish", "--json"]).events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(
        (&events[0]["event"], &events[0]["shell"]),
        (&"completions".into(), &"fish".into())
    );
    let script = context.run(["completions", "fish"]).stdout;
    assert_eq!(events[0]["script"], script);
}
