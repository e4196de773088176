//! GPUs: which there are, and why none is used.

use std::fs;

use cwm_runtime::backend::cuda::{Device, Unusable, discover};

use crate::cli::doctor::check::{Check, GpuDevice, GpuFacts};
use crate::cli::doctor::hardware::gibibytes;
use crate::cli::doctor::system::System;

const NAME: &str = "gpu";

/// Looks at the machine's GPUs, and at the driver's files where it does not find any.
pub(crate) fn check(system: &System) -> Check {
    of(system, discover())
}

fn of(system: &System, found: Result<Vec<Device>, Unusable>) -> Check {
    let driver = system
        .read("/proc/driver/nvidia/version")
        .map(|text| driver_version(&text));
    match found {
        Ok(devices) => usable(&devices, driver),
        Err(reason) => {
            let facts = GpuFacts {
                devices: Vec::new(),
                unused: Some(reason.word()),
            };
            Check {
                gpu: Some(facts),
                ..unusable(system, &reason, driver.as_deref())
            }
        }
    }
}

/// There are devices that kernels can run on. They are used only when that is asked for: it has not been proven on hardware.
fn usable(devices: &[Device], driver: Option<String>) -> Check {
    let names: Vec<String> = devices
        .iter()
        .map(|device| {
            format!(
                "{}, {}, compute capability {}",
                device.name,
                gibibytes(device.memory_bytes),
                device.capability
            )
        })
        .collect();
    let release = driver
        .as_ref()
        .map_or(String::new(), |driver| format!("driver {driver}, "));
    let cuda = devices
        .first()
        .map_or(String::new(), |device| device.cuda.to_string());
    let facts = devices.iter().map(|device| GpuDevice {
        ordinal: device.ordinal,
        device: device.name.clone(),
        memory_bytes: device.memory_bytes,
        compute_capability: device.capability.to_string(),
        driver: driver.clone(),
        cuda: device.cuda.to_string(),
    });
    let facts = GpuFacts {
        devices: facts.collect(),
        unused: Some("not_asked_for"),
    };
    Check {
        gpu: Some(facts),
        ..Check::ok(
            NAME,
            format!(
                "{}; {release}CUDA {cuda}; used with --backend cuda only, which was not yet run on hardware",
                names.join("; ")
            ),
        )
    }
}

/// There is none. It is a fault only where something says that there should be one.
fn unusable(system: &System, reason: &Unusable, driver: Option<&str>) -> Check {
    let files = device_files(system);
    let found = match (files.as_slice(), driver) {
        ([], None) => format!("the CPU is used: {reason}"),
        ([], Some(driver)) => format!("the CPU is used: {reason} (driver {driver} is loaded)"),
        (files, _) => format!("{}, but the CPU is used: {reason}", files.join(", ")),
    };
    let absent = files.is_empty() && driver.is_none();
    match reason {
        Unusable::NoDriver if absent => {
            Check::ok(NAME, "none found, the CPU is used (there is no CUDA driver)")
        }
        Unusable::StaticBuild if absent => Check::ok(NAME, "none found, the CPU is used"),
        _ => Check::warn(NAME, found, cure(reason, files.is_empty())),
    }
}

fn cure(reason: &Unusable, no_files: bool) -> &'static str {
    match reason {
        Unusable::StaticBuild => "Use a build of cwm that loads the system's libraries.",
        Unusable::NoDriver | Unusable::NoDevice if no_files => {
            "Inside a container, start it with --gpus all (Docker) or --device nvidia.com/gpu=all (Podman); in a batch \
             system, ask for a GPU."
        }
        Unusable::NoDriver => {
            "Install the driver's CUDA library (sudo apt-get install libcuda1, or libnvidia-compute of the driver's \
             version); inside a container, add -e NVIDIA_DRIVER_CAPABILITIES=compute,utility."
        }
        Unusable::NoDevice => {
            "Is it hidden? See CUDA_VISIBLE_DEVICES (echo \"$CUDA_VISIBLE_DEVICES\"), and what nvidia-smi -L lists."
        }
        Unusable::NotADriver { .. } => {
            "See which libcuda is found first: ldconfig -p | grep libcuda, and LD_LIBRARY_PATH. A toolkit's stubs are none."
        }
        Unusable::DriverTooOld { .. } => {
            "Install an NVIDIA driver of release 580 or later, or ask who keeps the machine."
        }
        Unusable::DeviceTooOld { .. } => {
            "Nothing needs mending. GPUs of the generations from Ampere on (A100, RTX 3000) can be used."
        }
        _ => {
            "See what nvidia-smi says, and the kernel's messages (sudo dmesg | grep -i nvrm). After an update of the driver, \
             restart the machine."
        }
    }
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  …` holds the first dotted number.
fn driver_version(text: &str) -> String {
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace()
        .find(is_version)
        .unwrap_or("of unknown version")
        .to_owned()
}

/// The models of the GPUs, or the names of their device files where the kernel does not tell.
fn device_files(system: &System) -> Vec<String> {
    let names_in = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(system.path(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    };
    let numbered = |name: &String| {
        name.strip_prefix("nvidia")
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    };
    let mut files: Vec<String> = names_in("/dev").into_iter().filter(numbered).collect();
    // Windows' subsystem for Linux has one device file for all GPUs.
    if files.is_empty() && system.exists("/dev/dxg") {
        files.push("dxg".to_owned());
    }
    let models: Vec<String> = names_in("/proc/driver/nvidia/gpus")
        .iter()
        .filter_map(|bus| system.field(&format!("/proc/driver/nvidia/gpus/{bus}/information"), "Model"))
        .collect();
    match models.len() == files.len() {
        true => models,
        false => files.into_iter().map(|file| format!("/dev/{file}")).collect(),
    }
}

#[cfg(test)]
#[path = "gpu_tests.rs"]
mod tests;
