//! Machines with, without and with half a GPU; memory and disk.

use super::*;
use crate::cli::Environment;
use crate::cli::doctor::check::Status;

const VERSION: &str = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:15:02 UTC 2025\nGCC version: gcc 13.2.0";
const MODEL: &str = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 77\n";

fn on_machine(files: &[(&str, &str)], look: impl Fn(&System) -> Check) -> Check {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    look(&System {
        root: folder.path().to_owned(),
        environment: &Environment::default(),
    })
}

#[test]
fn no_gpu_is_said_plainly_and_is_no_fault() {
    assert_eq!(
        on_machine(&[], gpu),
        Check::ok("gpu", "none found, the CPU is used")
    );
}

#[test]
fn a_gpu_is_named_with_its_driver_and_library() {
    let found = on_machine(
        &[
            ("dev/nvidia0", ""),
            ("dev/nvidiactl", ""),
            ("proc/driver/nvidia/version", VERSION),
            ("proc/driver/nvidia/gpus/0000:01:00.0/information", MODEL),
            ("usr/lib/x86_64-linux-gnu/libcuda.so.1", ""),
        ],
        gpu,
    );
    assert_eq!(found.status, Status::Ok);
    assert!(
        found
            .found
            .starts_with("NVIDIA H100 80GB HBM3; driver 580.65.06; "),
        "{found:?}"
    );
}

#[test]
fn half_a_gpu_is_a_warning_that_names_the_missing_half() {
    let no_library = on_machine(
        &[("dev/nvidia0", ""), ("proc/driver/nvidia/version", VERSION)],
        gpu,
    );
    assert_eq!(no_library.status, Status::Warn);
    assert_eq!(
        no_library.found,
        "/dev/nvidia0, but no libcuda.so.1: the CPU is used"
    );

    let no_device = on_machine(&[("proc/driver/nvidia/version", VERSION)], gpu);
    assert_eq!(no_device.status, Status::Warn);
    assert!(
        no_device.found.contains("driver 580.65.06 is loaded"),
        "{no_device:?}"
    );
    assert!(no_device.cure.unwrap().contains("--gpus all"));
}

#[test]
fn memory_is_read_in_gibibytes_and_little_of_it_warns() {
    let plenty = on_machine(
        &[(
            "proc/meminfo",
            "MemTotal: 16777216 kB\nMemAvailable: 8912896 kB\n",
        )],
        memory,
    );
    assert_eq!(plenty, Check::ok("memory", "8.5 GiB of 16.0 GiB available"));
    let little = on_machine(
        &[("proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")],
        memory,
    );
    assert_eq!(
        (little.status, little.found.as_str()),
        (Status::Warn, "0.5 GiB of 1.0 GiB available")
    );
    assert_eq!(on_machine(&[], memory).status, Status::Warn);
}

#[test]
fn the_disk_is_that_of_the_nearest_folder_there_is() {
    let nowhere = on_machine(&[], disk);
    assert_eq!(nowhere.status, Status::Fail);

    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("not/yet/there");
    let environment: Environment = [("XDG_STATE_HOME", &state)].into_iter().collect();
    let found = disk(&System {
        root: "/".into(),
        environment: &environment,
    });
    assert_ne!(found.status, Status::Fail, "{found:?}");
    assert!(
        found
            .found
            .ends_with(&format!(" free for {}/cwm", state.display())),
        "{found:?}"
    );
    assert!(!state.exists(), "looking makes no folder");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let environment: Environment = [("XDG_STATE_HOME", &file)].into_iter().collect();
    let closed = disk(&System {
        root: "/".into(),
        environment: &environment,
    });
    assert_eq!(closed.status, Status::Fail, "{closed:?}");
    assert_eq!(closed.found, format!("{} is not a folder", file.display()));
}
