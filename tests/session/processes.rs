//! Background processes, daemons, timeouts, interrupts and floods of processes.

use std::time::{Duration, Instant};

use cwm_tools::sandbox::{Ending, KillReason, Stream};

use super::harness::{Inside, need, patient, peak_memory, processes_in, processor_time, soon, supervisor};

#[test]
fn background_jobs_that_hold_the_outputs_do_not_hold_the_command() {
    let mut inside = Inside::new();
    let done = inside.run("sleep 1000 & echo started");
    assert_eq!(done.text, "started\n");
    assert!(done.result.wall_time < Duration::from_secs(2));
    inside.ok("jobs -p >/dev/null; kill %1; wait %1 || true");
    let done = inside.run("(while :; do echo y; sleep 0.01; done) & echo started");
    assert!(done.text.contains("started\n"), "{}", done.text);
    std::thread::sleep(Duration::from_millis(500));
    let text = inside.ok("echo now");
    assert!(text.starts_with("y\n") && text.contains("now\n"), "{text}");
    assert!(text.lines().count() > 10, "{text}");
    inside.ok("kill %%");
    inside.assert_usable();
}

#[test]
fn a_flood_in_the_background_is_bounded_and_lets_others_work() {
    let mut inside = Inside::new();
    let supervisor = supervisor(&mut inside);
    inside.ok("yes & yes >/dev/tty & true");
    let before = processor_time(supervisor);
    std::thread::sleep(Duration::from_secs(2));
    let used = processor_time(supervisor) - before;
    assert!(
        used < Duration::from_millis(1000),
        "the supervisor used {used:?} of 2 s"
    );
    let mut all = Vec::new();
    let result = inside
        .session
        .run_streaming("echo now", &mut |_: Stream, bytes: &[u8]| {
            all.extend_from_slice(bytes)
        })
        .unwrap();
    assert_eq!(result.ending, Ending::Exited(0));
    assert!(all.len() < 4 << 20, "{}", all.len());
    assert!(all.windows(4).any(|part| part == b"now\n"));
    inside.run("kill %1 %2; wait");
    inside.run("true");
    inside.assert_usable();
    assert!(
        peak_memory(supervisor) < 64 << 10,
        "{} KiB",
        peak_memory(supervisor)
    );
}

#[test]
fn an_idle_session_uses_no_processor_time() {
    let mut inside = Inside::new();
    let supervisor = supervisor(&mut inside);
    // Each of these once made a descriptor count as readable for ever.
    inside.ok("exec >/dev/null 2>&1");
    inside.ok("(sleep 0.2; echo x >/run/cwm/session/report) & true");
    let before = processor_time(supervisor);
    std::thread::sleep(Duration::from_secs(2));
    let used = processor_time(supervisor) - before;
    assert!(
        used < Duration::from_millis(200),
        "the supervisor used {used:?} of 2 s"
    );
    inside.run("exit 0");
    inside.assert_usable();
}

#[test]
fn daemons_live_on() {
    let mut inside = Inside::new();
    inside.ok("setsid sleep 500 & nohup sleep 501 >/dev/null 2>&1 & (sleep 502 &) ; setsid -f sleep 503");
    for time in 500..504 {
        // A daemon may still be on its way to its program.
        inside.ok(&format!(
            "until pgrep -fx 'sleep {time}' >/dev/null; do sleep 0.05; done"
        ));
    }
}

#[test]
fn job_control_by_number_and_wait() {
    let mut inside = Inside::new();
    inside.ok("(sleep 0.3; exit 3) & sleep 100 &");
    inside.run("wait %1").exited(3);
    inside.run("kill %2; wait %2").exited(143);
    inside.ok("sleep 0.2 & first=$!");
    inside.ok("wait $first");
    inside.ok("sleep 0.1 & sleep 0.1 & wait");
    inside.ok("set -m; sleep 0.1 & fg %% >/dev/null");
    inside.assert_usable();
    inside.ok("sleep 100 | cat & kill %%; set +m");
    inside.assert_usable();
}

#[test]
fn a_timeout_kills_all_that_was_started_and_keeps_the_output() {
    let mut inside = Inside::with_timeout(2);
    let namespace = inside.namespace();
    let started = Instant::now();
    let text = inside
        .run("echo first; setsid sleep 700 & (setsid bash -c 'trap \"\" TERM HUP INT; sleep 701; sleep 702' &); nohup sleep 703 & echo last; sleep 704")
        .timed_out();
    assert!(text.contains("first\n") && text.contains("last\n"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(8));
    // Only the supervisor is left.
    assert!(
        processes_in(&namespace).len() <= 1,
        "{:?}",
        processes_in(&namespace)
    );
    inside.assert_usable();
}

#[test]
fn a_timeout_amid_a_flood_keeps_head_and_tail() {
    let mut inside = Inside::with_timeout(2);
    let done = inside.run("echo the beginning; yes a-line; echo never");
    assert_eq!(done.result.ending, Ending::Killed(KillReason::Timeout));
    assert!(
        done.result.wall_time < Duration::from_secs(8),
        "{:?}",
        done.result.wall_time
    );
    let output = done.result.output;
    assert!(output.head.starts_with(b"the beginning\na-line\n"));
    assert!(output.tail.ends_with(b"line\n") || output.tail.windows(6).any(|part| part == b"a-line"));
    assert!(output.omitted_bytes > 1 << 20);
    inside.assert_usable();
}

#[test]
fn a_fork_bomb_is_stopped_and_the_session_goes_on() {
    let mut inside = Inside::with(|policy| policy.limits.processes = 100, patient(5));
    let namespace = inside.namespace();
    let done = inside.run("bomb() { bomb | bomb & }; bomb; sleep 20");
    assert!(
        done.result.wall_time < Duration::from_secs(20),
        "{:?}",
        done.result.wall_time
    );
    assert!(
        done.result.session_ended() || done.result.exit_code().is_some(),
        "{:?}",
        done.result.ending
    );
    if !done.result.session_ended() {
        inside.run("sleep 20").timed_out();
    }
    assert!(processes_in(&namespace).len() <= 1);
    inside.assert_usable();
    let done = inside
        .run("python3 -c 'import os, time\nwhile True:\n  try: os.fork()\n  except OSError: time.sleep(1)'");
    assert!(done.result.session_ended(), "{:?}", done.result.ending);
    assert!(processes_in(&namespace).len() <= 1);
    inside.assert_usable();
}

#[test]
fn an_interrupt_ends_the_command_only() {
    let mut inside = Inside::with_timeout(60);
    for command in [
        "echo before; sleep 50; echo after",
        "trap '' INT; echo before; sleep 50; sleep 50",
        "echo before; python3 -c 'import time; time.sleep(50)'",
        "echo before; setsid sleep 50",
    ] {
        let interrupt = inside.session.interrupter();
        let pressing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            interrupt.interrupt();
        });
        let done = inside.run(command);
        pressing.join().unwrap();
        assert!(done.text.contains("before\n"), "{}", done.text);
        assert!(!done.text.contains("after"), "{}", done.text);
        assert!(
            done.result.wall_time < Duration::from_secs(12),
            "{:?}",
            done.result.wall_time
        );
        inside.assert_usable();
    }
    // With nothing running it does nothing.
    inside.session.interrupter().interrupt();
    inside.assert_usable();
}

#[test]
fn a_slow_taker_slows_the_command_and_memory_stays() {
    let mut inside = Inside::with_timeout(3);
    let supervisor = supervisor(&mut inside);
    let mut taken = 0;
    let result = inside
        .session
        .run_streaming("yes", &mut |_: Stream, bytes: &[u8]| {
            taken += bytes.len();
            std::thread::sleep(Duration::from_millis(20));
        })
        .unwrap();
    assert_eq!(result.ending, Ending::Killed(KillReason::Timeout));
    // 64 KiB each 20 ms is 10 MiB in 3 s; `yes` alone would write gigabytes.
    assert!(taken < 64 << 20, "{taken}");
    assert_eq!(result.output.total_bytes, taken as u64);
    assert!(
        peak_memory(supervisor) < 64 << 10,
        "{} KiB",
        peak_memory(supervisor)
    );
    inside.assert_usable();
}

#[test]
fn dropping_a_session_while_a_command_runs_leaves_no_process() {
    let mut inside = Inside::with_timeout(60);
    let namespace = inside.namespace();
    inside.ok("setsid sleep 900 & nohup sleep 901 >/dev/null 2>&1 & true");
    assert!(processes_in(&namespace).len() >= 3);
    let (sender, receiver) = std::sync::mpsc::channel();
    let running = std::thread::spawn(move || {
        let mut first = Some(sender);
        let streamed = inside
            .session
            .run_streaming("echo go; sleep 902", &mut |_: Stream, _: &[u8]| {
                if let Some(sender) = first.take() {
                    let _ = sender.send(());
                }
                // The host's end of a cancelled run: it stops taking, and lets go.
                panic!("the taker gives up");
            });
        drop(streamed);
    });
    receiver.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(running.join().is_err());
    assert!(
        soon(5, || processes_in(&namespace).is_empty()),
        "{:?}",
        processes_in(&namespace)
    );
}

#[test]
fn limits_hold_between_commands_too() {
    need("python3", "python3");
    let mut inside = Inside::with(|policy| policy.limits.memory = 300 << 20, patient(20));
    let namespace = inside.namespace();
    inside.ok("for i in 1 2 3 4; do (sleep 1; exec python3 -c 'import time; b = bytearray(120 << 20); time.sleep(60)') & done; true");
    assert!(processes_in(&namespace).len() >= 5);
    assert!(
        soon(10, || processes_in(&namespace).len() <= 1),
        "{:?}",
        processes_in(&namespace)
    );
    inside.assert_usable();
}
