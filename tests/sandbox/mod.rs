use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::policy::{Mount, UpperLayer};
use cwm_tools::sandbox::{JobOutcome, Sandbox, Stream};

fn sh(sandbox: &mut Sandbox, script: &str, seconds: u64) -> (JobOutcome, String) {
    let mut out = Vec::new();
    let outcome = sandbox
        .run_in_shell(
            script.as_bytes(),
            Duration::from_secs(seconds),
            65536,
            &mut |_: Stream, bytes: &[u8]| out.extend_from_slice(bytes),
        )
        .unwrap();
    (outcome, String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn trial() {
    let dir = tempfile::tempdir().unwrap();
    for d in ["lower", "upper", "work"] {
        std::fs::create_dir(dir.path().join(d)).unwrap();
    }
    std::fs::write(dir.path().join("lower/a.txt"), "hello\n").unwrap();
    let view = MachineView::look(std::env::vars_os());
    let mut policy = view.policy(&BTreeMap::new());
    policy.mounts.push(Mount::Overlay {
        lower: dir.path().join("lower"),
        upper: Some(UpperLayer {
            upper: dir.path().join("upper"),
            work: dir.path().join("work"),
        }),
        target: "/root/project".into(),
    });
    policy.working_directory = "/root/project".into();
    let start = std::time::Instant::now();
    let mut sandbox = Sandbox::start(Path::new(env!("CARGO_BIN_EXE_cwm")), policy).unwrap();
    eprintln!("start {:?} weaker {:?}", start.elapsed(), sandbox.weaker());
    let script = std::env::var("SCRIPT").unwrap_or_else(|_| "echo hi".into());
    for part in script.split("@@") {
        let start = std::time::Instant::now();
        let (outcome, text) = sh(&mut sandbox, part, 5);
        let shown: String = text.chars().take(3000).collect();
        eprintln!(
            "--- {part}\n{shown}[{} bytes] {outcome:?} {:?}",
            text.len(),
            start.elapsed()
        );
    }
    let start = std::time::Instant::now();
    drop(sandbox);
    eprintln!("drop {:?}", start.elapsed());
}
