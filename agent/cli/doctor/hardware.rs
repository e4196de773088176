//! Processor, memory and disk.

use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use crate::cli::doctor::check::Check;
use crate::cli::doctor::system::System;

const GIB: u64 = 1 << 30;

pub(crate) fn cpu(system: &System) -> Check {
    const NAME: &str = "cpu";
    let model = system.field("/proc/cpuinfo", "model name");
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let features = cpu_features();
    let list = match features.is_empty() {
        true => "no vector extension that cwm knows".to_owned(),
        false => features.join(", "),
    };
    let found = format!("{model}; usable cores: {cores}; {list}");
    if cfg!(target_arch = "x86_64") && !features.contains(&"AVX2") {
        return Check::warn(
            NAME,
            found,
            "Nothing needs mending: tools and sandbox do not care. Running a model on this processor would be slow.",
        );
    }
    Check::ok(NAME, found)
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("AVX-512F", is_x86_feature_detected!("avx512f")),
        ("AVX-512BW", is_x86_feature_detected!("avx512bw")),
        ("AVX-512VL", is_x86_feature_detected!("avx512vl")),
        ("AVX-512VNNI", is_x86_feature_detected!("avx512vnni")),
        ("AVX-512BF16", is_x86_feature_detected!("avx512bf16")),
    ];
    known
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected;
    let known = [
        ("NEON", is_aarch64_feature_detected!("neon")),
        ("FP16", is_aarch64_feature_detected!("fp16")),
        ("DOTPROD", is_aarch64_feature_detected!("dotprod")),
        ("I8MM", is_aarch64_feature_detected!("i8mm")),
        ("BF16", is_aarch64_feature_detected!("bf16")),
        ("SVE", is_aarch64_feature_detected!("sve")),
    ];
    known
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}

pub(crate) fn memory(system: &System) -> Check {
    const NAME: &str = "memory";
    let kilobytes = |name: &str| -> Option<u64> {
        let value = system.field("/proc/meminfo", name)?;
        value.split(' ').next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    let (Some(total), Some(available)) = (kilobytes("MemTotal"), kilobytes("MemAvailable")) else {
        return Check::warn(
            NAME,
            "/proc/meminfo cannot be read",
            "Mount /proc: sudo mount -t proc proc /proc",
        );
    };
    let found = format!("{} of {} available", gibibytes(available), gibibytes(total));
    if available < GIB {
        return Check::warn(
            NAME,
            found,
            "Close other programs, or give this machine more memory.",
        );
    }
    Check::ok(NAME, found)
}

pub(crate) fn disk(system: &System) -> Check {
    const NAME: &str = "disk";
    let Some(folder) = system.environment.state_folder() else {
        return Check::fail(
            NAME,
            "no folder to keep runs in: neither HOME nor XDG_STATE_HOME is set",
            "Say where: export XDG_STATE_HOME=/a/folder/of/yours",
        );
    };
    let existing = folder
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"));
    const ELSEWHERE: &str = "Say where runs may be kept: export XDG_STATE_HOME=/a/folder/of/yours";
    if !existing.is_dir() {
        return Check::fail(NAME, format!("{} is not a folder", existing.display()), ELSEWHERE);
    }
    if let Err(error) = accessat(
        CWD,
        existing,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    ) {
        return Check::fail(
            NAME,
            format!("{} cannot be written: {error}", existing.display()),
            ELSEWHERE,
        );
    }
    match statvfs(existing) {
        Ok(space) => {
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            let found = format!("{} free for {}", gibibytes(free), folder.display());
            if free < 2 * GIB {
                return Check::warn(
                    NAME,
                    found,
                    "Make room, or keep runs elsewhere: export XDG_STATE_HOME=/a/folder/of/yours",
                );
            }
            Check::ok(NAME, found)
        }
        Err(error) => Check::warn(
            NAME,
            format!("the free space of {} is not known: {error}", existing.display()),
            "Keep runs on a local disk: export XDG_STATE_HOME=/a/folder/of/yours",
        ),
    }
}

/// A number of bytes as people read it.
pub(crate) fn gibibytes(bytes: u64) -> String {
    format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB)
}

#[cfg(test)]
#[path = "hardware_tests.rs"]
mod tests;
