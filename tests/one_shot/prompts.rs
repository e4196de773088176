//! What the samples of a run are asked, word for word.

use super::harness::Scene;
use cwm_runtime::source::Prompt;

const FILES: &str = "\
printf 'import math\\n\\n\\ndef mean(values):\\n    \"\"\"The mean of the values.\"\"\"\\n    return sum(values)\\n' > stats.py
printf 'from stats import mean\\n\\n\\ndef test_mean():\\n    assert mean([2, 4]) == 3\\n' > test_stats.py
printf 'echo test_stats.py:5: assert 6 == 3; exit 1\\n' > test.sh";

/// Set to 1 to write the snapshot anew instead of comparing with it.
const UPDATE: &str = "CWM_UPDATE_SNAPSHOTS";

#[test]
fn each_rung_of_the_ladder_asks_as_written_down() {
    let mut scene = Scene::new(FILES, "`mean` gives the sum.", &["sh test.sh"]);
    scene.options.budget.rounds = 1;
    let mut all = String::new();
    for index in 0..13 {
        scene.options.index = index;
        let (_, model) = scene.attempt(&["no", "no", "no"]);
        let request = &model.requests()[0];
        let Prompt::Chat {
            messages,
            assistant_prefix,
        } = &request.prompt
        else {
            panic!("a conversation")
        };
        let (stop, most) = (&request.stop, request.max_tokens);
        all.push_str(&format!(
            "######## sample {index}, stops at {stop:?}, at most {most:?} tokens\n"
        ));
        for message in messages {
            all.push_str(&format!("#### {}\n{}\n", message.role, message.content));
        }
        all.push_str(&format!("#### answer begins {assistant_prefix:?}\n"));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/one_shot/prompts.txt");
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        std::fs::write(path, &all).unwrap();
    }
    assert!(
        all == std::fs::read_to_string(path).unwrap_or_default(),
        "the prompts read now:\n{all}"
    );
}
