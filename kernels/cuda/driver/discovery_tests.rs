//! Versions and generations, and what is made of several devices. The driver's answers are played by a library of the tests of `cwm doctor`.

use super::*;

fn device(ordinal: usize, major: u32, minor: u32) -> Device {
    Device {
        ordinal,
        name: format!("device {ordinal}"),
        memory_bytes: 80 << 30,
        capability: ComputeCapability { major, minor },
        cuda: CudaVersion::NEEDED,
    }
}

#[test]
fn the_drivers_numbers_are_versions() {
    for (number, text, enough) in [
        (11_040, "11.4", false),
        (12_090, "12.9", false),
        (13_000, "13.0", true),
        (13_020, "13.2", true),
    ] {
        let version = CudaVersion::of(number);
        assert_eq!(version.to_string(), text);
        assert_eq!(version >= CudaVersion::NEEDED, enough, "{text}");
    }
}

#[test]
fn old_devices_are_left_out_and_when_all_are_old_the_best_is_named() {
    assert_eq!(usable(Vec::new()), Err(Unusable::NoDevice));
    let found = usable(vec![device(0, 7, 5), device(1, 9, 0), device(2, 8, 0)]);
    let ordinals: Vec<usize> = found.unwrap().iter().map(|device| device.ordinal).collect();
    assert_eq!(ordinals, [1, 2]);
    let error = usable(vec![device(0, 6, 1), device(1, 7, 5), device(2, 7, 0)]).unwrap_err();
    assert_eq!(error.word(), "device_too_old");
    assert_eq!(
        error.to_string(),
        "device 1 is too old: its compute capability is 7.5, and cwm's kernels need 8.0"
    );
}

#[test]
fn an_error_without_a_name_is_told_by_its_number() {
    let error = Unusable::Failed {
        function: "cuInit",
        code: 803,
        name: None,
    };
    assert_eq!(
        error.to_string(),
        "the driver's cuInit failed with an unknown error (803)"
    );
}
