//! Kernels by themselves: whether they are right, and how fast they are.

use std::time::{Duration, Instant};

use cwm_kernels::cuda::checks::speed::{Budget, Plan, measure};
use cwm_kernels::cuda::checks::{Check, Family, Finding, Scale, Subject, all};
use cwm_kernels::cuda::{DeviceError, MatrixLibrary};
use serde_json::json;

use super::{Call, CheckError, Output, library_report};

/// How often each launch is run on a GPU: the same bits must come out.
const REPEATS: usize = 3;

/// Every check, on inputs of a seed. The emulation runs only those made for anything. First all of our own kernels; then what a matrix library
/// computes, if there is one.
pub(super) fn checks(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    let emulated = call.target.is_emulated();
    let chosen = all().iter().filter(|check| match emulated {
        true => check.scale == Scale::Small && check.family != Family::Library,
        false => true,
    });
    let chosen: Vec<&Check> = chosen.collect();
    let first = match call.option("after") {
        None => 0,
        Some(name) => {
            let at = chosen.iter().position(|check| check.name == name);
            1 + at.ok_or_else(|| CheckError::Usage(format!("there is no check {name:?}")))?
        }
    };
    let (of_library, of_kernels): (Vec<&Check>, Vec<&Check>) = chosen
        .into_iter()
        .skip(first)
        .partition(|check| check.family == Family::Library);
    let mut failed = 0;
    for (checks, library) in [
        (of_kernels, MatrixLibrary::Never),
        (of_library, MatrixLibrary::WhenPresent),
    ] {
        if !checks.is_empty() {
            failed += checks_with(call, out, &checks, library)?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(CheckError::Failed(format!("{failed} checks of kernels failed"))),
    }
}

/// Checks on a device that is opened for them; how many failed. Those of a library that is not there are left out.
fn checks_with(
    call: &Call,
    out: &mut Output<'_>,
    checks: &[&Check],
    library: MatrixLibrary,
) -> Result<usize, CheckError> {
    let seed = call.number("seed")?.unwrap_or(0);
    let repeats = if call.target.is_emulated() { 1 } else { REPEATS };
    let subject = Subject::new(call.target.open(library)?, repeats, seed);
    if library == MatrixLibrary::WhenPresent && !print_library(&subject, out)? {
        return Ok(0);
    }
    let mut failed = 0;
    for check in checks {
        let begun = Instant::now();
        // So that it is known which one hangs.
        out.print(&json!({"kind": "begun", "check": check.name}))?;
        let found = check.run(&subject);
        out.print(&json!({
            "kind": "check",
            "check": check.name,
            "family": format!("{:?}", check.family),
            "scale": format!("{:?}", check.scale),
            "seed": seed,
            "passed": found.is_ok(),
            "seconds": begun.elapsed().as_secs_f64(),
            "message": found.as_ref().err().map(ToString::to_string),
        }))?;
        failed += usize::from(found.is_err());
        // Nothing can be found out on a device that has failed.
        if let Err(Finding::Device(error)) = found
            && !matches!(error, DeviceError::OutOfMemory { .. })
        {
            return Err(CheckError::Device(error));
        }
    }
    Ok(failed)
}

/// Says what the device leaves products of many rows to; whether there is such a library.
fn print_library(subject: &Subject, out: &mut Output<'_>) -> Result<bool, CheckError> {
    let library = subject.matrix_library().map(|library| library.version);
    out.print(&json!({"kind": "matrix_library", "library": library_report(&library)}))?;
    Ok(library.is_ok())
}

/// What the device can do at best, and nothing else.
pub(super) fn limits(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    table(call, out, Duration::ZERO)
}

/// The limits, and all kernels of the largest shape.
pub(super) fn speed(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    let seconds = call.number("seconds")?;
    let whole = seconds.map_or(Budget::MINUTE_AND_A_HALF.whole, Duration::from_secs);
    table(call, out, whole)
}

fn table(call: &Call, out: &mut Output<'_>, whole: Duration) -> Result<(), CheckError> {
    let emulated = call.target.is_emulated();
    let subject = Subject::new(call.target.open(call.matrix_library()?)?, 1, 0);
    let (plan, budget) = if emulated {
        let budget = Budget {
            whole,
            rounds: 1,
            round: Duration::ZERO,
        };
        (&Plan::TINY, budget)
    } else {
        let budget = Budget {
            whole,
            ..Budget::MINUTE_AND_A_HALF
        };
        (&Plan::CWM_32B, budget)
    };
    let mut printed = Ok(());
    let table = measure(&subject, plan, budget, &mut |row| {
        if printed.is_ok() {
            printed = out.print(&json!({"kind": "kernel", "row": row}));
        }
    })?;
    printed?;
    out.print(&json!({"kind": "limits", "limits": table.limits, "device": table.device}))?;
    if !whole.is_zero() {
        out.print(&json!({"kind": "left_out", "left_out": table.left_out}))?;
    }
    Ok(())
}
