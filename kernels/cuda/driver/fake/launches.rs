//! Launches and graphs of them, as the driver gets them; marks; threads.

use cwm_kernels::cuda::{Accelerator, DeviceError, DevicePointer, Graph, NormArguments, NormOutput};

use super::support::{PUSH, PUSH_TOO, assert_nothing_left, gpu, lines, play, push, run_line};

#[test]
fn a_launch_arrives_byte_for_byte() {
    let size = size_of::<NormArguments>();
    let kernels = format!("norm_bf16={size}");
    let name = "launches::a_launch_arrives_byte_for_byte";
    let arguments = |memory: DevicePointer| NormArguments {
        residual: memory,
        delta: DevicePointer(0x7_0000_0001),
        width: 4100,
        epsilon: 1e-6,
        ..NormArguments::default()
    };
    let log = play(name, &[("FAKE_KERNELS", &kernels)], || {
        let mut gpu = gpu();
        let memory = gpu.allocate(1024).unwrap();
        gpu.fill(memory, 0, 1024).unwrap();
        let launch = arguments(memory).launch(NormOutput::Bf16, 77).unwrap().record();
        gpu.launch(&launch).unwrap();
        gpu.synchronise().unwrap();
        let log = std::fs::read_to_string(std::env::var("FAKE_LOG").unwrap()).unwrap();
        assert!(log.lines().any(|line| line == run_line(&launch)), "{log}");
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run norm_bf16 77,1,1 256 64 "), 1, "{log:?}");
        assert_nothing_left(&log);
    }
}

#[test]
fn a_graph_run_twice_is_its_launches_twice() {
    let log = play("launches::a_graph_run_twice_is_its_launches_twice", &[], || {
        let mut gpu = gpu();
        let (plain, graphed) = (gpu.allocate(256).unwrap(), gpu.allocate(256).unwrap());
        gpu.fill(plain, 0, 256).unwrap();
        gpu.fill(graphed, 0, 256).unwrap();
        let launches = |list| {
            (0..40)
                .map(|value| push(if value % 3 == 0 { PUSH_TOO } else { PUSH }, list, value))
                .collect::<Vec<_>>()
        };
        for launch in launches(plain).iter().chain(&launches(plain)) {
            gpu.launch(launch).unwrap();
        }
        let graph = {
            let mut launches = launches(graphed);
            let graph = gpu.prepare(&launches).unwrap();
            // The graph has its own.
            launches.iter_mut().for_each(|launch| launch.argument.fill(0));
            graph
        };
        let nothing = gpu.prepare(&[]).unwrap();
        gpu.run(graph).unwrap();
        gpu.run(nothing).unwrap();
        gpu.run(graph).unwrap();
        gpu.discard(graph);
        let (mut first, mut second) = ([0; 256], [0; 256]);
        gpu.read(plain, &mut first).unwrap();
        gpu.read(graphed, &mut second).unwrap();
        assert_eq!(first[0], 80);
        assert_eq!(first, second);
        for unknown in [graph, Graph(u64::MAX)] {
            assert_eq!(gpu.run(unknown), Err(DeviceError::Unknown("graph")));
        }
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run push"), 160);
        assert_eq!(lines(&log, "load"), 2, "modules are loaded once");
        assert_eq!(lines(&log, "find"), 2, "functions are looked up once");
        assert_nothing_left(&log);
    }
}

#[test]
fn shared_memory_beyond_the_usual_is_allowed_once() {
    let name = "launches::shared_memory_beyond_the_usual_is_allowed_once";
    let log = play(name, &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        gpu.fill(list, 0, 256).unwrap();
        let launch = |shared_bytes| {
            let mut launch = push(PUSH, list, 1);
            launch.shared_bytes = shared_bytes;
            launch
        };
        for shared_bytes in [48 << 10, 64 << 10, 50 << 10, 64 << 10] {
            gpu.launch(&launch(shared_bytes)).unwrap();
        }
        let graph = gpu.prepare(&[launch(96 << 10), launch(80 << 10)]).unwrap();
        gpu.run(graph).unwrap();
        gpu.synchronise().unwrap();
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run"), 6);
        let allowed: Vec<&String> = log.iter().filter(|line| line.starts_with("allow")).collect();
        assert_eq!(allowed, ["allow push 65536", "allow push 98304"]);
        assert_nothing_left(&log);
    }
}

#[test]
fn an_argument_that_is_too_short_is_refused() {
    let log = play("launches::an_argument_that_is_too_short_is_refused", &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        let mut launch = push(PUSH, list, 1);
        for words in [3, 0] {
            launch.argument.truncate(words);
            assert!(matches!(gpu.launch(&launch), Err(DeviceError::Unknown(_))));
            assert!(gpu.prepare(std::slice::from_ref(&launch)).is_err());
        }
        gpu.synchronise().unwrap();
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "run"), 0);
        assert_nothing_left(&log);
    }
}

#[test]
fn time_is_measured_between_marks() {
    let log = play("launches::time_is_measured_between_marks", &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        gpu.fill(list, 0, 256).unwrap();
        // A launch takes this device a millisecond.
        for count in [3, 0, 5] {
            let from = gpu.mark().unwrap();
            for value in 0..count {
                gpu.launch(&push(PUSH, list, value)).unwrap();
            }
            let to = gpu.mark().unwrap();
            gpu.launch(&push(PUSH, list, 100)).unwrap();
            let seconds = gpu.elapsed(from, to).unwrap();
            assert!((seconds - f64::from(count) / 1000.0).abs() < 1e-6, "{seconds}");
            assert_eq!(gpu.elapsed(from, to), Err(DeviceError::Unknown("mark")));
        }
        let kept = gpu.mark().unwrap();
        assert_eq!(gpu.elapsed(kept, kept), Err(DeviceError::Unknown("mark")));
        gpu.mark().unwrap();
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn threads_may_use_it_one_after_another() {
    let log = play("launches::threads_may_use_it_one_after_another", &[], || {
        let mut gpu = gpu();
        let list = gpu.allocate(256).unwrap();
        gpu.write(list, &[0]).unwrap();
        gpu.launch(&push(PUSH, list, 11)).unwrap();
        let graph = gpu.prepare(&[push(PUSH, list, 22)]).unwrap();
        let mut gpu = std::thread::spawn(move || {
            gpu.run(graph).unwrap();
            gpu.launch(&push(PUSH_TOO, list, 33)).unwrap();
            gpu
        })
        .join()
        .unwrap();
        let mut found = [0; 4];
        gpu.read(list, &mut found).unwrap();
        assert_eq!(found, [3, 11, 22, 33]);
        // Giving back may be the first that a thread does.
        let gpu = std::thread::spawn(move || {
            gpu.discard(graph);
            gpu
        });
        let gpu = gpu.join().unwrap();
        std::thread::spawn(move || drop(gpu)).join().unwrap();
    });
    if let Some(log) = log {
        assert_nothing_left(&log);
    }
}

#[test]
fn a_device_may_be_opened_again() {
    let log = play("launches::a_device_may_be_opened_again", &[], || {
        let one = gpu();
        drop(one);
        let mut again = gpu();
        let list = again.allocate(16).unwrap();
        again.write(list, &[0]).unwrap();
        again.launch(&push(PUSH, list, 5)).unwrap();
        again.synchronise().unwrap();
        assert_eq!(again.name(), "Fake H100");
    });
    if let Some(log) = log {
        assert_eq!(lines(&log, "released"), 2);
        assert_nothing_left(&log);
    }
}
