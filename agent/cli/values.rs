//! Values that flags take in words of their own: sizes and times.

use std::time::Duration;

/// A size such as `512M`: a whole number of bytes, or of kibi-, mebi-, gibi- or tebibytes.
pub(crate) fn byte_count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write a number of bytes, or 512M, 2G and the like");
    let (digits, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count
        .checked_mul(factor)
        .filter(|&bytes| bytes > 0)
        .ok_or_else(wrong)
}

/// Ten years: longer times would not fit the clocks that they are added to.
const MOST_SECONDS: u64 = 315_360_000;

/// A time such as `90`, `90s`, `5m` or `2h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time: write a number of seconds, or 90s, 5m, 2h");
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = count
        .checked_mul(factor)
        .filter(|&seconds| seconds > 0 && seconds <= MOST_SECONDS)
        .ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// A number of bytes as a person reads it, such as `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let unit = UNITS.into_iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes} bytes"),
        |(unit, size)| format!("{:.1} {unit}", bytes as f64 / size as f64),
    )
}

/// A number as people write it, unless it is too small for that.
pub(crate) fn plain(number: f64) -> String {
    match number.abs() {
        0.01.. => format!("{number:.2}"),
        0.0001.. => format!("{number:.5}"),
        _ => format!("{number:.1e}"),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_and_nonsense_is_refused() {
        for (text, bytes) in [
            ("1", 1),
            ("4k", 4096),
            ("512M", 512 << 20),
            ("2GiB", 2 << 30),
            ("1tb", 1 << 40),
        ] {
            assert_eq!(byte_count(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "G",
            "-1",
            "1.5G",
            "2X",
            "2ibG",
            "1ib",
            "99999999999T",
            "18446744073709551616",
        ] {
            assert!(byte_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (98_362_432, "93.8 MiB"),
            (65_000_000_000, "60.5 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_whole_seconds_minutes_or_hours() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "5 m", "m", "1d", "-3", "99999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
