//! When a request over the network is made again, and after how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest wait between two attempts; a server that asks for more is believed, and not waited for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The longest wait that is not the server's wish.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// Whether a status may be another one soon.
pub(crate) fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
}

/// How long to wait before attempt `attempt` (1 is the first repetition): twice as long each time, and by up to half
/// less at random, so that many clients do not come back at the same moment. `random` is in 0..1.
pub(crate) fn back_off(first: Duration, attempt: u32, random: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled
        .min(LONGEST_BACK_OFF)
        .mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

/// A number in 0..1 that differs from call to call and process to process.
pub(crate) fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

/// What the header `Retry-After` asks for: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let then = UNIX_EPOCH + Duration::from_secs(http_date(value)?);
    Some(then.duration_since(now).unwrap_or_default())
}

/// The seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7, the form that must be sent).
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let rest = text.split_once(", ")?.1.strip_suffix(" GMT")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let &[day, month, year, clock] = words.as_slice() else {
        return None;
    };
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = year.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = clock
        .split(':')
        .map(|part| part.parse::<u64>().ok().filter(|part| *part <= 60));
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days from the civil calendar, with years that begin in March.
    let (years, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_vary_by_half() {
        let first = Duration::from_millis(500);
        let waits: Vec<u128> = (1..=8)
            .map(|attempt| back_off(first, attempt, 0.0).as_millis())
            .collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(back_off(first, 3, 1.0).as_millis(), 1000);
        assert_eq!(back_off(first, 4_000_000, 0.0), LONGEST_BACK_OFF);
        let drawn: Vec<f64> = (0..8).map(|_| random()).collect();
        assert!(
            drawn.iter().all(|number| (0.0..=1.0).contains(number)),
            "{drawn:?}"
        );
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]), "{drawn:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (value, seconds) in [
            ("7", Some(7.0)),
            ("0.25", Some(0.25)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7.0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0.0)),
            (
                "Tue, 29 Feb 2000 00:00:00 GMT",
                Some(f64::from(951_782_400 - 784_111_770)),
            ),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("Sun, 06 Now 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
        ] {
            assert_eq!(
                retry_after(value, now).map(|wait| wait.as_secs_f64()),
                seconds,
                "{value}"
            );
        }
    }
}
