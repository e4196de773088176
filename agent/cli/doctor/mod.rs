//! `cwm doctor`: what works on this machine, and what to do about what does not. A list of checks, each
//! looking at one thing and changing nothing; the verdict is whether the main job can run.

mod cgroups;
mod check;
mod engines;
mod gpu;
mod hardware;
mod kernel;
mod namespaces;
mod programs;
mod system;

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use cwm_tools::sandbox::machine::MachineView;
use cwm_tools::sandbox::{Probe, Sandbox, SandboxError};
use serde::Serialize;

use crate::cli::{Environment, ExitCode, Printer, Style};

use check::{Check, Status};
use system::System;

/// Say what works on this machine, and what to do about what does not
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 when the main job can run here, with 3 when something that it needs is missing.

Examples:
  cwm doctor
  cwm doctor --json | grep '\"status\":\"fail\"'")]
pub(crate) struct DoctorArguments {}

type Look = fn(&System) -> Check;

/// The checks, in the order shown; the verdict `sandbox` follows them.
const CHECKS: [(&str, Look); 14] = [
    ("kernel", kernel::version),
    ("user namespaces", namespaces::check),
    ("overlayfs", kernel::overlayfs),
    ("landlock", kernel::landlock),
    ("seccomp", kernel::seccomp),
    ("control groups", cgroups::check),
    ("container engines", engines::check),
    ("bash", programs::bash),
    ("git", programs::git),
    ("python", programs::python),
    ("processor", hardware::cpu),
    ("memory", hardware::memory),
    ("disk", hardware::disk),
    ("GPU", gpu::check),
];

#[derive(Serialize)]
struct Verdict {
    usable: bool,
    failed: Vec<&'static str>,
    warned: Vec<&'static str>,
}

/// Runs the checks and shows each as it is made.
pub(crate) fn run(
    _arguments: &DoctorArguments,
    environment: &Environment,
    printer: &mut Printer,
) -> anyhow::Result<ExitCode> {
    let system = System {
        root: "/".into(),
        environment,
    };
    let mut checks = Vec::new();
    for (subject, look) in CHECKS {
        printer.progress(format_args!("looking at {subject} …"));
        let start = Instant::now();
        let check = look(&system);
        printer.detail(format_args!(
            "{} took {:.1} ms",
            check.name,
            start.elapsed().as_secs_f64() * 1e3
        ));
        show(&check, printer)?;
        checks.push(check);
    }
    printer.progress("starting a sandbox …");
    let verdict = sandbox(&checks, &probe(environment));
    show(&verdict, printer)?;
    checks.push(verdict);
    conclude(&checks, printer)
}

/// Which back ends there are: namespaces when a sandbox of them was started here and now, a container engine when one
/// answered. Without any, commands cannot be run at all.
fn sandbox(checks: &[Check], probed: &Result<Probe, SandboxError>) -> Check {
    const NAME: &str = "sandbox";
    let engine = checks
        .iter()
        .any(|check| check.name == "container-engine" && check.status == Status::Ok);
    let also = if engine {
        "; a container engine answers"
    } else {
        ""
    };
    match probed {
        Ok(probe) => {
            let weaker: String = probe.weaker.iter().map(|lack| format!("; {lack}")).collect();
            let time = probe.time.as_secs_f64() * 1e3;
            Check::ok(
                NAME,
                format!("a sandbox of namespaces stood after {time:.0} ms{also}{weaker}"),
            )
        }
        Err(error) if engine => Check::warn(
            NAME,
            "containers only",
            format!("{error}\nUse --sandbox container."),
        ),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "Follow what is said above for user-namespaces or container-engine. If this machine is a sandbox already, \
             say so with --sandbox external.",
        ),
    }
}

/// Starts a sandbox as `cwm sandbox` would, and runs a command in it.
fn probe(environment: &Environment) -> Result<Probe, SandboxError> {
    let program = std::env::current_exe()
        .map_err(|error| SandboxError::Refused(format!("the cwm program's path cannot be found: {error}")))?;
    Sandbox::probe(
        &program,
        MachineView::look(environment.all()).policy(&BTreeMap::new()),
    )
}

fn show(check: &Check, printer: &mut Printer) -> anyhow::Result<()> {
    if printer.is_json() {
        return printer.event("doctor.check", check);
    }
    let (style, word) = match check.status {
        Status::Ok => (Style::Good, "ok"),
        Status::Warn => (Style::Caution, "warn"),
        Status::Fail => (Style::Bad, "FAIL"),
    };
    let name = printer.paint(Style::Strong, &format!("{:<17}", check.name));
    let mut text = format!(
        "{name} {} {}\n",
        printer.paint(style, &format!("{word:<4}")),
        check.found
    );
    for line in check.cure.iter().flat_map(|cure| cure.lines()) {
        text.push_str(&format!("{:23}{line}\n", ""));
    }
    printer.result(text)
}

fn conclude(checks: &[Check], printer: &mut Printer) -> anyhow::Result<ExitCode> {
    let named = |status: Status| -> Vec<&'static str> {
        checks
            .iter()
            .filter(|check| check.status == status)
            .map(|check| check.name)
            .collect()
    };
    let verdict = Verdict {
        usable: named(Status::Fail).is_empty(),
        failed: named(Status::Fail),
        warned: named(Status::Warn),
    };
    let code = if verdict.usable {
        ExitCode::Success
    } else {
        ExitCode::Environment
    };
    if printer.is_json() {
        printer.event("doctor.verdict", &verdict)?;
        return Ok(code);
    }
    let sentence = match verdict.usable {
        true => printer.paint(Style::Good, "cwm can do its work here."),
        false => format!(
            "{} Missing: {}.",
            printer.paint(Style::Bad, "cwm cannot do its work here."),
            verdict.failed.join(", ")
        ),
    };
    printer.result(format!("\n{sentence}\n"))?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_back_end_is_enough_and_none_is_a_failure() {
        let stood = || {
            Ok(Probe {
                time: std::time::Duration::from_millis(12),
                weaker: vec!["no second lock".to_owned()],
            })
        };
        let fell = || Err(SandboxError::Refused("no namespaces".to_owned()));
        let engine = Check::ok("container-engine", "yes");
        assert_eq!(
            sandbox(&[], &stood()).found,
            "a sandbox of namespaces stood after 12 ms; no second lock"
        );
        assert_eq!(
            sandbox(std::slice::from_ref(&engine), &fell()).status,
            Status::Warn
        );
        assert_eq!(sandbox(&[engine], &stood()).status, Status::Ok);
        assert_eq!(sandbox(&[], &fell()).status, Status::Fail);
    }
}
