//! Kernels by themselves: whether they are right, and how fast they are.

use std::time::{Duration, Instant};

use cwm_kernels::cuda::DeviceError;
use cwm_kernels::cuda::checks::speed::{Budget, Plan, measure};
use cwm_kernels::cuda::checks::{Finding, Scale, Subject, all};
use serde_json::json;

use super::{Call, CheckError, Output};

/// How often each launch is run on a GPU: the same bits must come out.
const REPEATS: usize = 3;

/// Every check, on inputs of a seed. The emulation runs only those made for anything.
pub(super) fn checks(call: &Call, out: &mut Output<'_>) -> Result<(), CheckError> {
    let emulated = call.target.is_emulated();
    let seed = call.number("seed")?.unwrap_or(0);
    let subject = Subject::new(call.target.open()?, if emulated { 1 } else { REPEATS }, seed);
    let chosen = all()
        .iter()
        .filter(|check| check.scale == Scale::Small || !emulated);
    let chosen: Vec<_> = chosen.collect();
    let first = match call.option("after") {
        None => 0,
        Some(name) => {
            let at = chosen.iter().position(|check| check.name == name);
            1 + at.ok_or_else(|| CheckError::Usage(format!("there is no check {name:?}")))?
        }
    };
    let mut failed = 0;
    for check in chosen.iter().skip(first) {
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
    match failed {
        0 => Ok(()),
        _ => Err(CheckError::Failed(format!("{failed} checks of kernels failed"))),
    }
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
    let subject = Subject::new(call.target.open()?, 1, 0);
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
