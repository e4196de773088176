//! Tests of what the layers say together, and of what is said about wrong files.

use std::path::Path;
use std::time::Duration;

use super::file::{Found, Owner, SettingsFile};
use super::keys::{self, Fallback, KEYS, Trust};
use super::layers::users_file;
use super::setting::Origin;
use super::value::{Place, Value};
use super::*;
use crate::cli::fix::{AcceptChoice, StrategyChoice};
use crate::cli::walls::NetworkChoice;
use crate::cli::{Environment, ExitCode, Failure};

/// A home with a file of settings, and a repository with another.
struct Places {
    folder: tempfile::TempDir,
}

impl Places {
    fn new(user: &str, repository: &str) -> Places {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("home/.config/cwm/config.toml", user);
        write("repository/cwm.toml", repository);
        Places { folder }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path)
    }

    fn environment(&self, variables: &[(&str, &str)]) -> Environment {
        let home = self.path("home").to_str().unwrap().to_owned();
        let own = [("HOME".to_owned(), home)];
        let given = variables.iter().map(|&(name, value)| (name.into(), value.into()));
        own.into_iter().chain(given).collect()
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Layers, Failure> {
        Layers::load(Some(&self.path("repository")), &self.environment(variables))
    }

    /// What is said about wrong settings, with the folder's name taken out.
    fn complaint(&self, variables: &[(&str, &str)]) -> String {
        let failure = self.load(variables).expect_err("these settings are wrong");
        assert_eq!(failure.code, ExitCode::Usage);
        let said = format!("{} | {}", failure.message, failure.hint.unwrap_or_default());
        said.replace(self.folder.path().to_str().unwrap(), "")
    }
}

/// What a repository's file with this text is told.
fn of_repository(text: &str) -> String {
    Places::new("", text).complaint(&[])
}

#[test]
fn each_layer_outranks_the_ones_below_it() {
    let places = Places::new(
        "samples = 2\nseed = 3\nrounds = 4\ntop_p = 0.5\n",
        "# ours\nseed = 5\n\nrounds = 6\n",
    );
    let layers = places
        .load(&[("CWM_ROUNDS", "7"), ("CWM_MAX_TURNS", "9")])
        .unwrap();
    let user = |line| Origin::User(places.path("home/.config/cwm/config.toml"), line);
    let repository = |line| Origin::Repository(places.path("repository/cwm.toml"), line);

    let samples = layers.samples(None);
    assert_eq!((samples.value, samples.origin), (Some(2), user(1)));
    let seed = layers.seed(None);
    assert_eq!((seed.value, seed.origin), (5, repository(2)));
    let rounds = layers.rounds(None);
    assert_eq!(
        (rounds.value, rounds.origin),
        (7, Origin::Environment("CWM_ROUNDS"))
    );
    let turns = layers.max_turns(Some(1));
    assert_eq!((turns.value, turns.origin), (1, Origin::Flag));
    let time = layers.command_timeout(None);
    assert_eq!(
        (time.value, time.origin),
        (Duration::from_secs(120), Origin::Default)
    );
    assert_eq!(layers.top_p(None).value, Some(0.5));
    assert_eq!(layers.temperature(None).or(0.8).value, 0.8);
}

#[test]
fn values_have_types_and_lists_and_units() {
    let places = Places::new(
        "kv_memory = \"2G\"\nread = [\"~/data\", \"here\", \"/abs\"]\nprompts = \"mine\"\n\
         network = \"none\"\nkv = \"q8\"\nstrategy = \"one_shot\"\naccept = \"best\"\nmodel = \"../m.gguf\"\n",
        "tests = [\"pytest -q\", \"make check\"]\nmax_time = \"1h\"\ntest_timeout = 1_0\nmax_tokens = 0x200\ntemperature = 1\n",
    );
    let layers = places.load(&[]).unwrap();
    let folder = places.path("home/.config/cwm");
    assert_eq!(layers.kv_memory(None).value, Some(2 << 30));
    assert_eq!(
        layers.read(&[]).value,
        [places.path("home/data"), folder.join("here"), "/abs".into()]
    );
    assert_eq!(layers.prompts(None).value, Some(folder.join("mine")));
    assert_eq!(layers.network(None).value, NetworkChoice::None);
    assert_eq!(layers.strategy(None).value, StrategyChoice::OneShot);
    assert_eq!(layers.accept(None).value, AcceptChoice::Best);
    assert_eq!(
        layers.model(None).value,
        Some(folder.join("../m.gguf").into_os_string())
    );
    assert_eq!(layers.tests(&[]).value, ["pytest -q", "make check"]);
    assert_eq!(layers.tests(&["tox".to_owned()]).value, ["tox"]);
    assert_eq!(layers.max_time(None).value, Some(Duration::from_secs(3600)));
    assert_eq!(layers.test_timeout(None).value, Duration::from_secs(10));
    assert_eq!(layers.max_tokens(None).value, Some(512));
    assert_eq!(layers.temperature(None).value, Some(1.0));

    let variables = [
        ("CWM_TESTS", "a b\n\nc"),
        ("CWM_READ", "/x:y"),
        ("CWM_STRATEGY", "one-shot"),
        ("CWM_SEED", ""),
    ];
    let layers = places.load(&variables).unwrap();
    assert_eq!(layers.tests(&[]).value, ["a b", "c"]);
    assert_eq!(layers.read(&[]).value, [Path::new("/x"), Path::new("y")]);
    assert_eq!(
        layers.seed(None).origin,
        Origin::Default,
        "an empty variable is none"
    );
}

#[test]
fn wrong_files_are_told_where_and_what_is_meant() {
    for (text, said) in [
        (
            "\nsampels = 3\n",
            "/repository/cwm.toml, line 2: there is no key `sampels`. | Did you mean `samples`?",
        ),
        (
            "max-turns = 3",
            "/repository/cwm.toml, line 1: there is no key `max-turns`. | Did you mean `max_turns`?",
        ),
        (
            "colour = 1",
            "/repository/cwm.toml, line 1: there is no key `colour`. | `cwm config show` lists the keys.",
        ),
        (
            "seed = 1\n[limits]\nturns = 3",
            "/repository/cwm.toml, line 2: there is no key `limits`. | \
             Keys stand at the top, without [sections]; `cwm config show` lists them.",
        ),
        (
            "samples = \"many\"",
            "/repository/cwm.toml, line 1: `samples` must be a whole number from 1 to 1000, not \"many\". | ",
        ),
        (
            "samples = 0",
            "/repository/cwm.toml, line 1: `samples` must be a whole number from 1 to 1000, not 0. | ",
        ),
        (
            "temperature = nan",
            "/repository/cwm.toml, line 1: `temperature` must be a number from 0 to 100, not nan. | ",
        ),
        (
            "strategy = \"\\u001b[2Jx\"",
            "/repository/cwm.toml, line 1: `strategy` must be one of auto, agentic, one-shot, mixed, not \"\u{fffd}[2Jx\". | ",
        ),
        (
            "tests = \"pytest\"",
            "/repository/cwm.toml, line 1: `tests` must be a list of commands, not \"pytest\". | ",
        ),
        (
            "tests = [1]",
            "/repository/cwm.toml, line 1: `tests` must be a list of commands, not this list. | ",
        ),
        (
            "max_time = \"9999999h\"",
            "/repository/cwm.toml, line 1: `max_time` must be a time such as \"90s\", \"5m\" or \"2h\", \
             or a number of seconds, not \"9999999h\". | ",
        ),
    ] {
        assert_eq!(of_repository(text), said, "{text}");
    }
    let said = of_repository("seed = 1\nrounds = = 2\n");
    assert!(
        said.starts_with("/repository/cwm.toml, line 2: this is not TOML: "),
        "{said}"
    );
    let said = of_repository("seed = 1\nseed = 2\n");
    assert!(
        said.starts_with("/repository/cwm.toml, line 2: this is not TOML: duplicate key"),
        "{said}"
    );
}

#[test]
fn wrong_variables_are_named() {
    let places = Places::new("", "");
    assert_eq!(
        places.complaint(&[("CWM_KV", "q3")]),
        "The variable CWM_KV must be one of f16, bf16, q8, fp8, f32, not `q3`. | "
    );
    assert_eq!(
        places.complaint(&[("CWM_MAX_TIME", "soon")]),
        "The variable CWM_MAX_TIME must be a time such as \"90s\", \"5m\" or \"2h\", or a number of seconds, not `soon`. | "
    );
}

#[test]
fn a_repository_cannot_weaken_what_protects_its_user() {
    for line in [
        "network = \"host\"",
        "sandbox = \"external\"",
        "image = \"evil\"",
        "read = [\"/\"]",
        "prompts = \"p\"",
        "kv_memory = \"900G\"",
        "threads = 4000",
        "context = 131072",
        "kv = \"f32\"",
        "parallel = 1000",
        "accept = \"best\"",
        "model_name = \"x\"",
        "model = \"https://example.org\"",
        "model = \"./weights.gguf\"",
        "model = \"script:answers.json\"",
    ] {
        let key = line.split(' ').next().unwrap();
        let said = of_repository(line);
        assert!(
            said.starts_with("/repository/cwm.toml, line 1: "),
            "{line}: {said}"
        );
        assert!(
            said.contains(&format!("`{key}`")) && said.contains("repository"),
            "{said}"
        );
        let hint = format!(
            "put it into /home/.config/cwm/config.toml or CWM_{}.",
            key.to_uppercase()
        );
        assert!(said.ends_with(&hint), "{said}");
        // The same words are the user's own right.
        Places::new(line, "").load(&[]).unwrap();
    }
    let layers = Places::new("", "model = \"qwen2.5-coder-0.5b\"")
        .load(&[])
        .unwrap();
    assert_eq!(layers.model(None).value, Some("qwen2.5-coder-0.5b".into()));
}

#[test]
fn files_that_are_none_do_no_harm() {
    let places = Places::new("", "");
    let file = places.path("repository/cwm.toml");
    let secret = places.path("secret");
    std::fs::write(&secret, "password").unwrap();
    let remake = |make: &dyn Fn()| {
        let _ = std::fs::remove_file(&file);
        make();
        places.complaint(&[])
    };
    let said = remake(&|| std::os::unix::fs::symlink(&secret, &file).unwrap());
    assert!(said.contains("it is a symbolic link"), "{said}");
    let said = remake(&|| {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &file,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
    });
    assert!(said.contains("it is no regular file"), "{said}");
    let said = remake(&|| std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap());
    assert!(said.contains("it is larger than 1024 KiB"), "{said}");
    let said = remake(&|| std::fs::write(&file, b"# \xff\n").unwrap());
    assert!(said.contains("it is not UTF-8"), "{said}");
    let said = remake(&|| std::fs::write(&file, "seed = ".to_owned() + &"[".repeat(100_000)).unwrap());
    assert!(said.contains("this is not TOML"), "{said}");

    std::fs::remove_file(&file).unwrap();
    assert!(places.load(&[]).is_ok(), "no file is no error");
    assert!(Layers::load(None, &Environment::default()).is_ok());
}

#[test]
fn the_users_file_follows_xdg() {
    let file = |pairs: &[(&str, &str)]| users_file(&pairs.iter().copied().collect());
    assert_eq!(file(&[("HOME", "/h")]), Some("/h/.config/cwm/config.toml".into()));
    assert_eq!(
        file(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]),
        Some("/c/cwm/config.toml".into())
    );
    assert_eq!(
        file(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "c")]),
        Some("/h/.config/cwm/config.toml".into())
    );
    assert_eq!(file(&[]), None);
}

#[test]
fn every_key_has_its_variable_its_line_in_the_documentation_and_a_default_of_its_kind() {
    let documented = include_str!("../../../docs/configuration.md");
    let nowhere = Place {
        folder: Path::new("/"),
        home: None,
    };
    for key in KEYS {
        assert_eq!(key.variable, format!("CWM_{}", key.name.to_uppercase()));
        let row = format!("| `{}` | `{}` |", key.name, key.variable);
        let row = documented.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/configuration.md", key.name));
        let repository = match key.trust {
            Trust::Any => "| yes |",
            Trust::Catalogue => "| names only |",
            Trust::None(_) => "| no |",
        };
        assert!(row.contains(repository), "{row}");
        if let Fallback::Value(text) = key.fallback {
            assert!(key.kind.of_text(text, nowhere).is_some(), "{}", key.name);
            assert!(row.contains(&format!("`{text}`")), "{row}");
        }
        assert_eq!(keys::nearest(key.name), Some(key.name));
    }
}

/// A default that its accessor could not convert would be lost without a word.
#[test]
fn accessors_give_the_defaults_that_are_shown() {
    let layers = Layers::default();
    let shown = |name: &str| layers.get(keys::find(name).unwrap()).value;
    let time = |time| Some(Value::Time(time));
    assert_eq!(shown("test_timeout"), time(layers.test_timeout(None).value));
    assert_eq!(shown("test_budget"), time(layers.test_budget(None).value));
    assert_eq!(shown("command_timeout"), time(layers.command_timeout(None).value));
    let count = |count: u32| Some(Value::Count(count.into()));
    assert_eq!(shown("max_turns"), count(layers.max_turns(None).value));
    assert_eq!(shown("rounds"), count(layers.rounds(None).value));
    assert_eq!(shown("parallel"), layers.parallel(None).value.and_then(count));
    assert_eq!(shown("seed"), Some(Value::Count(layers.seed(None).value)));
    let named = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        Some(Value::Text(value().unwrap().get_name().to_owned()))
    };
    use clap::ValueEnum;
    assert_eq!(shown("kv"), named(&|| layers.kv(None).value.to_possible_value()));
    assert_eq!(
        shown("strategy"),
        named(&|| layers.strategy(None).value.to_possible_value())
    );
    assert_eq!(
        shown("accept"),
        named(&|| layers.accept(None).value.to_possible_value())
    );
    assert_eq!(
        shown("network"),
        named(&|| layers.network(None).value.to_possible_value())
    );
    assert_eq!(
        shown("sandbox"),
        named(&|| layers.sandbox(None).value.to_possible_value())
    );
}

/// Values read back as they are shown.
#[test]
fn values_are_shown_as_they_can_be_given() {
    for (value, words) in [
        (Value::Time(Duration::from_secs(90)), "90s"),
        (Value::Time(Duration::from_secs(7200)), "2h"),
        (Value::Bytes(3 << 30), "3G"),
        (Value::Bytes(1000), "1000"),
        (Value::Texts(Vec::new()), "none"),
        (Value::Texts(vec!["a\x1bb".into(), "c".into()]), "a\u{fffd}b, c"),
    ] {
        assert_eq!(value.words(), words);
    }
}

#[test]
fn random_files_never_panic() {
    use proptest::prelude::*;
    let text = proptest::collection::vec(
        prop_oneof![
            Just("samples".to_owned()),
            Just(" = ".to_owned()),
            Just("[".to_owned()),
            Just("\"".to_owned()),
            Just("\n".to_owned()),
            Just("99999999999999999999".to_owned()),
            ".{0,3}".prop_map(|text| text),
        ],
        0..20,
    );
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let outcome = runner.run(&text, |parts| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, parts.concat()).unwrap();
        let file = SettingsFile {
            path,
            owner: Owner::User,
            users_file: None,
            home: None,
        };
        let _: Result<Vec<Found>, Failure> = file.read();
        Ok(())
    });
    outcome.unwrap();
}
