//! Models that fail on the way, and answers that change tests instead of code.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use cwm::rollout::journal::{Journal, NoObserver};
use cwm::rollout::{Candidate, Ending, RolloutError};
use cwm_runtime::source::{
    Completion, GenerateRequest, Model, ModelError, ModelInfo, Piece, Prompt, ScriptAnswer, ScriptModel,
    ToolDefinition,
};

use super::harness::{Scene, after, prompt, script};

const FILES: &str = "printf 'x = 1\\n' > b.py; printf 'import b\\nassert b.x == 3\\n' > test_b.py";
const WRONG: &str = "b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE";

/// A script's model whose first requests fail so.
struct Failing {
    errors: Mutex<VecDeque<ModelError>>,
    model: ScriptModel,
}

impl Model for Failing {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        self.model.info()
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        self.model.count_tokens(text)
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.model.count_prompt(prompt, tools)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        match self.errors.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => self.model.generate(request, sink),
        }
    }
}

fn attempt(
    scene: &Scene,
    errors: Vec<ModelError>,
    answers: &[&str],
) -> (Result<Candidate, RolloutError>, Failing) {
    let model = Failing {
        errors: Mutex::new(errors.into()),
        model: script(answers),
    };
    let path = scene.journal_path();
    let _ = std::fs::remove_file(&path);
    let journal = Journal::create(&path, Arc::new(NoObserver)).unwrap();
    (scene.attempt_with(&model, &journal), model)
}

fn broke_off() -> ModelError {
    ModelError::EndedEarly {
        url: "http://server".to_owned(),
        characters: 3,
        why: "the connection closed".to_owned(),
    }
}

fn too_long(allowed: Option<usize>) -> ModelError {
    ModelError::ServerContext {
        url: "http://server".to_owned(),
        allowed,
        asked: None,
        message: "too long".to_owned(),
    }
}

#[test]
fn the_best_round_outlives_a_failure_of_the_model() {
    let scene = Scene::new(FILES, "Change b.py.", &["false"]);
    let model = ScriptModel::new(
        [
            ScriptAnswer::new(WRONG),
            ScriptAnswer {
                error: Some("the server is gone".to_owned()),
                ..ScriptAnswer::new("")
            },
        ],
        None,
    );
    let journal = Journal::create(&scene.journal_path(), Arc::new(NoObserver)).unwrap();
    let candidate = scene.attempt_with(&model, &journal).unwrap();
    assert!(
        matches!(&candidate.ending, Ending::Failed { reason } if reason.contains("the server is gone")),
        "{:?}",
        candidate.ending
    );
    assert_eq!(after(&scene, &candidate, "b.py"), "x = 2\n");
}

#[test]
fn an_answer_that_broke_off_is_asked_for_once_more() {
    let scene = Scene::new(FILES, "Change b.py.", &[]);
    let (candidate, _) = attempt(&scene, vec![broke_off()], &[WRONG]);
    assert_eq!(candidate.unwrap().ending, Ending::Finished);
    let (candidate, _) = attempt(&scene, vec![broke_off(), broke_off()], &[WRONG]);
    assert!(candidate.unwrap_err().to_string().contains("broke off"));
}

#[test]
fn a_question_that_does_not_fit_is_put_shorter() {
    let files = format!("{FILES}; seq 1 4000 | sed 's/.*/value_& = &/' > long.py");
    let scene = Scene::new(&files, "Change b.py; long.py says value_2000.", &[]);
    let (_, plain) = attempt(&scene, Vec::new(), &[WRONG]);
    let (candidate, model) = attempt(&scene, vec![too_long(None), too_long(Some(3000))], &[WRONG]);
    assert_eq!(candidate.unwrap().ending, Ending::Finished);
    assert!(prompt(&model.model, 0).len() < prompt(&plain.model, 0).len());
    let refusals = (0..4).map(|_| too_long(Some(3000))).collect();
    let (candidate, model) = attempt(&scene, refusals, &[WRONG]);
    assert!(candidate.is_err());
    assert_eq!(model.model.remaining(), 1);
}

#[test]
fn an_answer_that_changes_only_tests_is_refused_and_told_so() {
    let mut scene = Scene::new(
        FILES,
        "Change b.py.",
        &["grep -q 'x = 3' b.py || grep -q 1 test_b.py"],
    );
    scene.options.budget.rounds = 2;
    let test = "test_b.py\n<<<<<<< SEARCH\nassert b.x == 3\n=======\nassert b.x == 1\n>>>>>>> REPLACE";
    let right = WRONG.replace("= 2", "= 3");
    let (candidate, model) = scene.attempt(&[test, test, test, &right]);
    assert_eq!((candidate.ending.clone(), candidate.turns), (Ending::Finished, 2));
    assert!(prompt(&model, 3).contains("Tests may not be changed"));
    assert_eq!(after(&scene, &candidate, "b.py"), "x = 3\n");
}

#[test]
fn no_two_samples_are_asked_the_same_greedily() {
    let mut scene = Scene::new(
        "printf 'a\\n' > a.txt; printf 'b\\n' > b.txt",
        "Change a.txt and b.txt.",
        &[],
    );
    scene.options.budget.rounds = 1;
    let mut asked = Vec::new();
    for index in 0..2 {
        scene.options.index = index;
        let (_, model) = scene.attempt(&["no", "no", "no"]);
        let request = &model.requests()[0];
        asked.push((request.prompt.clone(), request.sampling.temperature));
    }
    assert_eq!(
        asked[0].0, asked[1].0,
        "neither form suits two files without functions"
    );
    assert!(asked[0].1 == 0.0 && asked[1].1 > 0.0);
}

#[test]
fn a_huge_issue_is_cut_before_it_is_counted() {
    let issue = format!("Change b.py.\n{}", "It is wrong. ".repeat(200_000));
    let scene = Scene::new(FILES, &issue, &[]);
    let longest = Arc::new(Mutex::new(0));
    let model = Counting {
        model: script(&[WRONG]),
        longest: longest.clone(),
    };
    let journal = Journal::create(&scene.journal_path(), Arc::new(NoObserver)).unwrap();
    assert_eq!(
        scene.attempt_with(&model, &journal).unwrap().ending,
        Ending::Finished
    );
    let longest = *longest.lock().unwrap();
    assert!(longest < issue.len() / 4, "{longest}");
}

/// A script's model that takes down the longest text that it had to count.
struct Counting {
    model: ScriptModel,
    longest: Arc<Mutex<usize>>,
}

impl Model for Counting {
    fn info(&self) -> Result<ModelInfo, ModelError> {
        self.model.info()
    }

    fn count_tokens(&self, text: &str) -> Option<usize> {
        let mut longest = self.longest.lock().unwrap();
        *longest = text.len().max(*longest);
        self.model.count_tokens(text)
    }

    fn count_prompt(&self, prompt: &Prompt, tools: &[ToolDefinition]) -> Option<usize> {
        self.model.count_prompt(prompt, tools)
    }

    fn generate(
        &self,
        request: &GenerateRequest,
        sink: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, ModelError> {
        self.model.generate(request, sink)
    }
}
