//! Cargo, npm, make and git.

use super::{pass, workshop, write};
use crate::session::harness::need;

#[test]
fn cargo_tests_a_small_crate() {
    need("cargo", "a Rust toolchain");
    let mut inside = workshop();
    write(
        &inside,
        &[
            (
                "Cargo.toml",
                "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
            ),
            (
                "src/lib.rs",
                "/// Adds.\n///\n/// ```\n/// assert_eq!(tiny::add(1, 2), 3);\n/// ```\npub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n",
            ),
            (
                "tests/whole.rs",
                "use std::io::{Read, Write};\nuse std::net::{TcpListener, TcpStream};\n#[test]\nfn adds() { assert_eq!(tiny::add(2, 2), 4); }\n\
                 #[test]\nfn talks() {\n    let listener = TcpListener::bind(\"127.0.0.1:0\").unwrap();\n    let address = listener.local_addr().unwrap();\n    \
                 let thread = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b\"hi\").unwrap());\n    \
                 let mut text = String::new();\n    TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();\n    \
                 thread.join().unwrap();\n    assert_eq!(text, \"hi\");\n}\n",
            ),
        ],
    );
    let text = pass(&mut inside, "cargo test", "cargo test --offline 2>&1");
    assert_eq!(text.matches("test result: ok").count(), 3, "{text}");
    assert!(inside.folder().join("target/debug").is_dir());
    // A failing test fails.
    inside.ok("sed -i 's/a + b/a - b/' src/lib.rs");
    inside.run("cargo test --offline --quiet 2>&1").exited(101);
}

#[test]
fn npm_tests_a_small_package() {
    need("npm", "npm");
    need("node", "nodejs");
    let mut inside = workshop();
    write(
        &inside,
        &[
            (
                "package.json",
                "{\"name\": \"tiny\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node --test\"}}\n",
            ),
            (
                "tiny.test.js",
                "const test = require('node:test');\nconst assert = require('node:assert');\nconst http = require('node:http');\n\
                 const { Worker } = require('node:worker_threads');\nconst { execFileSync } = require('node:child_process');\n\
                 test('http on loopback', async () => {\n  const server = http.createServer((_, response) => response.end('hello'));\n  \
                 await new Promise((done) => server.listen(0, '127.0.0.1', done));\n  \
                 const reply = await fetch(`http://127.0.0.1:${server.address().port}/`);\n  assert.equal(await reply.text(), 'hello');\n  server.closeAllConnections();\n  server.close();\n});\n\
                 test('worker', async () => {\n  const worker = new Worker('require(\"node:worker_threads\").parentPort.postMessage(6 * 7)', { eval: true });\n  \
                 assert.equal(await new Promise((done) => worker.once('message', done)), 42);\n});\n\
                 test('child', () => assert.equal(execFileSync('echo', ['x']).toString(), 'x\\n'));\n",
            ),
        ],
    );
    let text = pass(&mut inside, "npm test", "npm test 2>&1");
    assert!(text.contains("pass 3") && text.contains("fail 0"), "{text}");
    inside.ok("sed -i \"s/6 \\* 7/6 * 8/\" tiny.test.js");
    inside.run("npm test 2>&1").exited(1);
}

#[test]
fn make_runs_two_jobs_at_once_and_hands_them_down() {
    need("make", "make");
    need("cc", "gcc");
    let mut inside = workshop();
    write(
        &inside,
        &[
            (
                "Makefile",
                "all: left right program\n\t+$(MAKE) -C sub\n\
                 # Each of the two waits for the other: one after the other, neither would end.\n\
                 left:\n\ttouch started-left; for i in $$(seq 100); do test -e started-right && exit 0; sleep 0.1; done; exit 1\n\
                 right:\n\ttouch started-right; for i in $$(seq 100); do test -e started-left && exit 0; sleep 0.1; done; exit 1\n\
                 program: main.o other.o\n\tcc -o $@ $^\n%.o: %.c\n\tcc -c -o $@ $<\n.PHONY: all left right\n",
            ),
            (
                "sub/Makefile",
                "all: a b\na:\n\ttouch a-started; for i in $$(seq 100); do test -e b-started && exit 0; sleep 0.1; done; exit 1\n\
                 b:\n\ttouch b-started; for i in $$(seq 100); do test -e a-started && exit 0; sleep 0.1; done; exit 1\n.PHONY: all a b\n",
            ),
            (
                "main.c",
                "int other(void);\nint main(void) { return other() - 42; }\n",
            ),
            ("other.c", "int other(void) { return 42; }\n"),
        ],
    );
    let text = pass(&mut inside, "make", "make -j2 2>&1 && ./program");
    assert!(!text.contains("jobserver unavailable"), "{text}");
}

#[test]
fn git_commits_and_looks_at_a_repository() {
    need("git", "git");
    let mut inside = workshop();
    inside.ok("git init -q -b main repo && cd repo && git config user.name n && git config user.email e@example.org");
    write(&inside, &[("repo/a.txt", "one\n"), ("repo/sub/b.txt", "two\n")]);
    pass(
        &mut inside,
        "git commit",
        "git add . && git commit -q -m first && git status --porcelain",
    );
    inside.ok("echo three >>a.txt; git mv sub/b.txt c.txt; git rm -q --cached a.txt; git add a.txt");
    assert_eq!(
        inside.ok("git status --porcelain"),
        "M  a.txt\nR  sub/b.txt -> c.txt\n"
    );
    inside.ok("git commit -q -am second; git checkout -q -b side HEAD~1; echo s >s.txt; git add s.txt; git commit -q -m side");
    inside.ok("git merge -q main -m merge; git rebase -q main; git stash list; git gc -q; git worktree add -q ../other main; git fsck --no-progress");
    let text = inside.ok("git log --oneline main");
    assert!(text.contains("second") && text.contains("first"), "{text}");
    assert_eq!(inside.ok("git -C ../other log -1 --format=%s"), "second\n");
}
