//! Attacks on the session's own machinery: the folder of its pipes, its supervisor, its limits.

use std::time::{Duration, Instant};

use cwm_tools::sandbox::Ending;

use super::harness::{Inside, SECRET, both, shown};

/// The shell's folder inside.
const FOLDER: &str = "/run/cwm/session";

/// The session answers, soon, with a fresh shell if it must.
fn assert_usable(inside: &mut Inside) {
    let started = Instant::now();
    assert_eq!(inside.ok("echo usable").trim(), "usable");
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "slow: {:?}",
        started.elapsed()
    );
}

#[test]
fn an_end_cannot_be_faked() {
    both(|world| {
        let mut inside = world.inside();
        let result = inside.run(&format!(
            "for i in 1 2 3; do printf '%s 0\\n' 0 '' 00000000000000000000000000000000 \"$__cwm_nonce\" >{FOLDER}/report; done
             printf '0 0\\n'; printf '\\0\\0\\0\\0'; sleep 0.3; echo after; (exit 7)"
        ));
        assert_eq!(result.ending, Ending::Exited(7));
        assert!(shown(&result).ends_with("after\n"));
        assert_usable(&mut inside);
    });
}

#[test]
fn garbage_in_the_report_neither_stops_nor_fills_the_supervisor() {
    both(|world| {
        let mut inside = Inside::start_with(world.policy(), Duration::from_secs(3));
        inside.ok(&format!(
            "for i in 1 2 3; do cat /dev/zero >{FOLDER}/report & yes >{FOLDER}/report & done"
        ));
        // The shell's own report may be lost in the flood; then time is up, and no later.
        let started = Instant::now();
        let result = inside.run("sleep 0.2; grep VmRSS /proc/1/status; pkill yes; pkill cat");
        assert!(started.elapsed() < Duration::from_secs(9), "{result:?}");
        let resident: u64 = shown(&result)
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{result:?}"));
        assert!(resident < 64 << 10, "the supervisor holds {resident} KiB");
        assert_usable(&mut inside);
    });
}

#[test]
fn background_floods_do_not_stop_the_session() {
    both(|world| {
        let mut inside = Inside::start_with(world.policy(), Duration::from_secs(5));
        inside.ok("yes & yes >/dev/tty & cat /dev/zero &");
        std::thread::sleep(Duration::from_millis(300));
        let started = Instant::now();
        let result = inside.run("pkill yes; pkill cat; echo done");
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", result.ending);
        assert_eq!(result.ending, Ending::Exited(0));
        assert_usable(&mut inside);
    });
}

#[test]
fn a_destroyed_session_folder_costs_the_session_only() {
    both(|world| {
        let mut inside = Inside::start_with(world.policy(), Duration::from_secs(1));
        for attack in [
            "rm -rf F",
            "rm -f F/report; mkdir F/report",
            "rm -f F/report; ln -s /dev/null F/report",
            "rm -f F/report; mkfifo F/report",
            "rm -rf F/output; ln -s /usr F/output; seq 200000",
            "chmod 000 F",
        ] {
            let started = Instant::now();
            inside.run(&attack.replace('F', FOLDER));
            assert!(started.elapsed() < Duration::from_secs(6), "{attack}");
            assert_usable(&mut inside);
        }
        world.assert_untouched();
    });
}

#[test]
fn the_file_for_long_commands_cannot_be_turned_against_the_supervisor() {
    both(|world| {
        let canary = world.path("sibling/canary");
        let long = format!("echo {}", "x".repeat(5000));
        let mut inside = Inside::start_with(world.policy(), Duration::from_secs(2));
        for attack in [
            "ln -s /tmp/elsewhere C".to_owned(),
            format!("ln -s /proc/1/root{} C", canary.display()),
            "ln -s /proc/self/exe C".to_owned(),
            "ln -s /proc/self/oom_score_adj C".to_owned(),
            "mkfifo C".to_owned(),
            "mkdir -p C/below".to_owned(),
        ] {
            inside.sh(&format!("rm -rf C; {attack}").replace('C', &format!("{FOLDER}/command")));
            let started = Instant::now();
            let result = inside.run(&long);
            assert!(started.elapsed() < Duration::from_secs(6), "{attack}: {result:?}");
            if !attack.contains("mkdir") {
                assert_eq!(result.ending, Ending::Exited(0), "{attack}");
            }
            assert_usable(&mut inside);
        }
        assert_eq!(inside.sh("cat /tmp/elsewhere 2>/dev/null"), "");
        assert!(std::fs::read_to_string(canary).unwrap() == SECRET);
    });
}

#[test]
fn the_supervisor_cannot_be_starved_beyond_the_hosts_patience() {
    both(|world| {
        let mut inside = Inside::start_with(world.policy(), Duration::from_secs(2));
        inside.ok("command -v prlimit renice");
        let _ = inside
            .session
            .run("prlimit --pid 1 --nofile=0:0; prlimit --pid 1 --fsize=0:0; renice 19 1; true");
        let started = Instant::now();
        // What comes of it is the sandbox's loss; that it comes in time, and that nothing outside is touched, is the host's.
        let _ = inside.session.run("echo usable");
        let _ = inside.session.create("src/new.txt\nnew\n");
        assert!(started.elapsed() < Duration::from_secs(10));
        drop(inside);
        world.assert_untouched();
        assert_usable(&mut world.inside());
    });
}
