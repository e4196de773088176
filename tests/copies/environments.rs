//! Environments that git ignores (virtualenv, `node_modules`, `target`) inside the repository: an attempt uses them with its
//! own code, and what it does to them is its own.

use std::path::PathBuf;

use super::repository::Repository;

/// The Python of this machine that has setuptools, and the folder that it must see to run.
fn python(repository: &Repository) -> (String, String) {
    let say = "python3 -c 'import setuptools, sys; print(sys.executable); print(sys.base_prefix)'";
    let said = repository.shell(say).ok();
    let mut lines = said.lines().map(str::to_owned);
    (lines.next().unwrap(), lines.next().unwrap())
}

/// A package installed in editable form into a virtualenv in the repository. `large` makes the virtualenv one
/// that attempts mount rather than have copied.
fn with_virtualenv(large: bool) -> (Repository, String) {
    let repository = Repository::new(
        "mkdir greeting && echo 'WORD = \"the user says\"' > greeting/__init__.py
         printf 'from setuptools import setup\\nsetup(name=\"greeting\", version=\"1\", packages=[\"greeting\"])\\n' > setup.py
         printf '.venv/\\n*.egg-info/\\nbuild/\\n' > .gitignore",
    );
    let (python, prefix) = python(&repository);
    repository
        .shell(&format!(
            "'{python}' -m venv --system-site-packages --without-pip .venv
             # Installers differ in how they can work without a network; both ways end in a line that names the folder.
             if ! .venv/bin/python -m pip install -q --no-build-isolation --no-deps --no-index -e . > install.log 2>&1; then
                 pwd > \"$(echo .venv/lib/python3*/site-packages)/greeting.pth\"
             fi
             rm -f install.log
             cd / && test \"$('{root}/.venv/bin/python' -c 'import greeting; print(greeting.WORD)')\" = 'the user says'",
            root = repository.root.display()
        ))
        .ok();
    if large {
        repository
            .shell("head -c 40000000 /dev/zero > .venv/lib/large.bin")
            .ok();
    }
    (repository, prefix)
}

#[test]
fn an_editable_install_runs_the_attempts_code() {
    for large in [false, true] {
        let (repository, prefix) = with_virtualenv(large);
        let before = repository.picture();
        let root = repository.root.display();
        let said = repository
            .sandbox(
                &["--read", &prefix],
                &format!(
                    "sed -i 's/the user/the attempt/' greeting/__init__.py
                     cd /tmp
                     {root}/.venv/bin/python -c 'import greeting; print(greeting.WORD, greeting.__file__)'"
                ),
            )
            .ok();
        assert_eq!(
            said,
            format!("the attempt says {root}/greeting/__init__.py\n"),
            "large: {large}"
        );
        repository.assert_untouched(&before, if large { "large" } else { "small" });
    }
}

#[test]
fn what_an_attempt_does_to_the_virtualenv_is_its_own() {
    for large in [false, true] {
        let (repository, prefix) = with_virtualenv(large);
        let before = repository.picture();
        let done = repository.sandbox(
            &["--read", &prefix, "--diff"],
            "site=$(echo .venv/lib/python3*/site-packages)
             echo 'WORD = \"planted\"' > $site/planted.py
             test \"$(.venv/bin/python -c 'import planted; print(planted.WORD)')\" = planted
             rm -rf $site/*greeting*
             cd /tmp && ! $OLDPWD/.venv/bin/python -c 'import greeting' 2>/dev/null
             cd $OLDPWD && rm .venv/bin/python && rm -rf .venv/lib/*
             echo 'WORD = \"changed\"' > greeting/__init__.py",
        );
        // The diff holds the one tracked file, and nothing of the environment.
        let diff = done.ok();
        let files: Vec<&str> = diff
            .lines()
            .filter(|line| line.starts_with("diff --git"))
            .collect();
        assert_eq!(
            files,
            ["diff --git a/greeting/__init__.py b/greeting/__init__.py"],
            "{diff}"
        );
        repository.assert_untouched(&before, if large { "large" } else { "small" });
    }
}

/// Installing and removing with pip itself: a wheel made by hand, which needs neither a network nor a build.
#[test]
fn pip_inside_installs_and_removes_for_the_attempt_alone() {
    let (repository, prefix) = with_virtualenv(false);
    let before = repository.picture();
    let said = repository
        .sandbox(
            &["--read", &prefix],
            r#"pip="$PWD/.venv/bin/python -m pip --disable-pip-version-check"
               cd /tmp
               $OLDPWD/.venv/bin/python - <<'END'
import zipfile
info = "extra-1.dist-info/"
with zipfile.ZipFile("extra-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("extra.py", "WORD = 'extra'\n")
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(info + "RECORD", f"extra.py,,\n{info}METADATA,,\n{info}WHEEL,,\n{info}RECORD,,\n")
END
               $pip install -q --no-index ./extra-1-py3-none-any.whl
               $OLDPWD/.venv/bin/python -c 'import extra; print(extra.WORD, extra.__file__)'
               $pip uninstall -q -y extra
               ! $OLDPWD/.venv/bin/python -c 'import extra' 2>/dev/null"#,
        )
        .ok();
    assert!(
        said.starts_with("extra ") && said.contains("/repository/.venv/"),
        "{said}"
    );
    repository.assert_untouched(&before, "the repository");
}

#[test]
fn node_modules_lead_to_the_attempts_packages() {
    let repository = Repository::new(
        "mkdir -p packages/greeting
         echo 'module.exports = \"the user says\"' > packages/greeting/index.js
         echo '{\"name\":\"greeting\",\"version\":\"1.0.0\"}' > packages/greeting/package.json
         echo '{\"private\":true,\"workspaces\":[\"packages/*\"]}' > package.json
         echo node_modules > .gitignore",
    );
    repository
        .shell(
            "mkdir -p node_modules/other && ln -s ../packages/greeting node_modules/greeting
             echo 'module.exports = \"other\"' > node_modules/other/index.js",
        )
        .ok();
    for large in [false, true] {
        if large {
            repository
                .shell("head -c 40000000 /dev/zero > node_modules/large.bin")
                .ok();
        }
        let before = repository.picture();
        let said = repository
            .sandbox(
                &[],
                "sed -i 's/the user/the attempt/' packages/greeting/index.js
                 echo 'module.exports = \"private\"' > node_modules/other/index.js
                 node -e 'console.log(require(\"greeting\"), require(\"other\"))'
                 rm -rf node_modules/*",
            )
            .ok();
        assert_eq!(said, "the attempt says private\n", "large: {large}");
        repository.assert_untouched(&before, if large { "large" } else { "small" });
    }
}

#[test]
fn cargo_uses_what_was_built_and_builds_for_the_attempt_alone() {
    let repository = Repository::new(
        "mkdir -p src dep/src
         printf '[package]\\nname = \"greeting\"\\nversion = \"1.0.0\"\\nedition = \"2021\"\\n[dependencies]\\ndep = { path = \"dep\" }\\n' > Cargo.toml
         printf '[package]\\nname = \"dep\"\\nversion = \"1.0.0\"\\nedition = \"2021\"\\n' > dep/Cargo.toml
         echo 'pub fn who() -> &'\\''static str { \"says\" }' > dep/src/lib.rs
         echo 'fn main() { println!(\"the user {}\", dep::who()) }' > src/main.rs
         echo target > .gitignore",
    );
    // The toolchain itself, without rustup in front: it needs nothing of the home.
    let rustc = PathBuf::from(env!("CARGO")).with_file_name("rustc");
    let sysroot = repository
        .shell(&format!("'{}' --print sysroot", rustc.display()))
        .ok();
    let sysroot = sysroot.trim();
    let build = format!(
        "export PATH={sysroot}/bin:$PATH CARGO_HOME=/tmp/cargo-home RUSTC={sysroot}/bin/rustc CARGO_INCREMENTAL=0; cargo build --offline -v"
    );
    repository
        .shell(&format!("{build} && rm -rf /tmp/cargo-home"))
        .ok();
    repository
        .shell("git add Cargo.lock && git commit -qm lock && head -c 40000000 /dev/zero > target/large.bin")
        .ok();
    let before = repository.picture();
    let done = repository.sandbox(
        &["--read", sysroot],
        &format!(
            "({build}) 2>&1
             echo --- ; sed -i 's/the user/the attempt/' src/main.rs
             ({build}) 2>&1
             target/debug/greeting; rm -rf target/debug"
        ),
    );
    let said = done.ok();
    let (first, second) = said.split_once("---\n").unwrap();
    assert!(
        first.contains("Fresh dep") && first.contains("Fresh greeting") && !first.contains("Compiling"),
        "{said}"
    );
    assert!(
        second.contains("Fresh dep") && second.contains("Compiling greeting"),
        "{said}"
    );
    assert!(second.ends_with("the attempt says\n"), "{said}");
    repository.assert_untouched(&before, "the repository");
}
