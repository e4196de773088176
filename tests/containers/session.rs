//! A session in a container is the same as elsewhere: shell, limits of time, interrupts and file tools.

use std::time::{Duration, Instant};

use cwm_tools::sandbox::policy::Mount;
use cwm_tools::sandbox::{Ending, KillReason, ProgramSpec, Stream};

use super::{FULL, STATIC, options, output, policy, repository_session, session, session_with, text};

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn the_shell_keeps_its_folder_and_variables_and_reports_exit_codes() {
    let mut session = session(FULL);
    assert_eq!(session.run("cd /usr && X=5").unwrap().ending, Ending::Exited(0));
    assert_eq!(output(&mut session, "echo $PWD $X"), "/usr 5\n");
    assert_eq!(session.run("(exit 7)").unwrap().ending, Ending::Exited(7));
    assert_eq!(session.run("exit 3").unwrap().ending, Ending::ShellExited(3));
    assert_eq!(output(&mut session, "echo $PWD ${X-none}"), "/tmp none\n");
    assert_eq!(output(&mut session, "echo out; echo err >&2"), "out\nerr\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn an_image_without_a_c_library_works_and_its_loader_variables_do_not_reach_the_helper() {
    let mut session = session(STATIC);
    assert_eq!(output(&mut session, "ls -d /lib /lib64 /usr/lib 2>/dev/null"), "");
    assert_eq!(output(&mut session, "echo $LD_PRELOAD"), "/nonexistent.so\n");
    assert_eq!(output(&mut session, "echo $$ >f; cat f | wc -l"), "1\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_timeout_kills_grandchildren_and_keeps_what_was_printed() {
    let mut session = session_with(policy(), &options(FULL), 2);
    let result = session
        .run("echo before; (setsid sleep 1000 & exec sleep 1000) & setsid bash -c 'trap \"\" TERM INT; sleep 1000'")
        .unwrap();
    assert_eq!(result.ending, Ending::Killed(KillReason::Timeout));
    assert_eq!(text(&result), "before\n");
    assert!(
        result.wall_time < Duration::from_secs(6),
        "{:?}",
        result.wall_time
    );
    assert_eq!(
        output(&mut session, "cat /proc/[0-9]*/comm | grep -c sleep"),
        "0\n"
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn an_interrupt_reaches_the_command() {
    let mut session = session(FULL);
    let interrupter = session.interrupter();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        interrupter.interrupt();
    });
    let start = Instant::now();
    let result = session
        .run("bash -c 'trap \"echo cleaned up; exit 5\" INT; while :; do sleep 0.1; done'")
        .unwrap();
    thread.join().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?} {result:?}",
        start.elapsed()
    );
    assert!(text(&result).contains("cleaned up"), "{result:?}");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_program_of_its_own_has_input_and_two_outputs() {
    let mut session = session(FULL);
    let spec = ProgramSpec {
        command: ["bash", "-c", "cat; echo error >&2"].map(Into::into).into(),
        working_directory: None,
        environment: [("A".into(), "b".into())].into(),
        input: true,
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input: &[u8] = b"through\0the pipe\xff";
    let outcome = session
        .run_program(
            spec,
            Duration::from_secs(20),
            Some(&mut input),
            &mut |stream: Stream, bytes: &[u8]| match stream {
                Stream::Output => out.extend_from_slice(bytes),
                Stream::Error => err.extend_from_slice(bytes),
            },
        )
        .unwrap();
    assert_eq!(outcome.ending, Ending::Exited(0));
    assert_eq!(
        (out.as_slice(), err.as_slice()),
        (&b"through\0the pipe\xff"[..], &b"error\n"[..])
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn the_images_own_repository_is_edited_and_the_next_container_has_it_fresh() {
    let mut session = repository_session();
    assert_eq!(output(&mut session, "pwd"), "/repo\n");
    let call = "/repo/twice.py\n<<<<<<< SEARCH\n    return number + number\n=======\n    return 2 * number\n>>>>>>> REPLACE\n";
    session.edit(call).unwrap().unwrap();
    session
        .create("/repo/new.py\nfrom twice import twice\nprint(twice(21))\n")
        .unwrap()
        .unwrap();
    assert_eq!(output(&mut session, "python3 new.py"), "42\n");
    let diff = output(&mut session, "git status --short; git diff -U0 | grep '^[-+] '");
    assert_eq!(
        diff,
        " M twice.py\n?? new.py\n-    return number + number\n+    return 2 * number\n"
    );
    // Outside of the repository the file tools write nothing, though the shell may.
    assert!(session.create("/usr/new.py\nx = 1\n").unwrap().is_err());
    drop(session);
    assert_eq!(output(&mut repository_session(), "git status --short"), "");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn a_mounted_copy_is_edited_on_the_host() {
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("a.txt"), "one\ntwo\n").unwrap();
    let mut policy = policy();
    policy.working_directory = "/project".into();
    policy.mounts.push(Mount::Writable {
        source: copy.path().into(),
        target: "/project".into(),
    });
    let mut session = session_with(policy, &options(FULL), 60);
    session
        .edit("/project/a.txt\n<<<<<<< SEARCH\ntwo\n=======\nthree\n>>>>>>> REPLACE\n")
        .unwrap()
        .unwrap();
    assert_eq!(
        output(&mut session, "cat a.txt; echo four >b.txt"),
        "one\nthree\n"
    );
    let read = |name| std::fs::read_to_string(copy.path().join(name)).unwrap();
    assert_eq!(
        (read("a.txt"), read("b.txt")),
        ("one\nthree\n".to_owned(), "four\n".to_owned())
    );
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn programs_have_the_images_environment_and_the_policys() {
    let mut policy = policy();
    policy.environment.insert("ASKED".into(), "/some/folder".into());
    let mut session = session_with(policy, &options(FULL), 60);
    let command = "echo $FROM_IMAGE $PATH $HOME $ASKED ${CARGO_HOME-none} ${CWM_CONTROL_SOCKET-none}";
    assert_eq!(
        output(&mut session, command),
        "yes /usr/bin:/bin /root /some/folder none none\n"
    );
    let mut session = super::session(STATIC);
    // The image says nothing of a home folder, but its list of users does.
    assert_eq!(output(&mut session, "echo $PATH $HOME"), "/bin /root\n");
}

#[test]
#[ignore = "needs a container engine: scripts/test-full"]
fn real_programs_work() {
    let mut session = repository_session();
    let parallel = "import multiprocessing, asyncio, socket\n\
        def square(x): return x * x\n\
        if __name__ == '__main__':\n\
        \x20   for way in ('fork', 'spawn', 'forkserver'):\n\
        \x20       with multiprocessing.get_context(way).Pool(2) as pool: print(way, pool.map(square, range(4)))\n\
        \x20   async def serve():\n\
        \x20       server = await asyncio.start_server(lambda r, w: w.close(), 'localhost', 0)\n\
        \x20       r, w = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])\n\
        \x20       return await r.read()\n\
        \x20   print(asyncio.run(serve()))\n";
    session
        .create(&format!("/tmp/parallel.py\n{parallel}"))
        .unwrap()
        .unwrap();
    let printed = output(&mut session, "python3 /tmp/parallel.py");
    assert_eq!(
        printed,
        "fork [0, 1, 4, 9]\nspawn [0, 1, 4, 9]\nforkserver [0, 1, 4, 9]\nb''\n"
    );
    let commit = "echo x >x && git add x && git -c user.name=a -c user.email=a@example.invalid commit -qm x && git log --format=%s";
    assert_eq!(output(&mut session, commit), "x\nAdd twice\n");
}
