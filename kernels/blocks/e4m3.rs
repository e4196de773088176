//! 8-bit floats of the form E4M3: a sign, four bits of exponent, three of mantissa; no infinities, and one NaN of each sign.
//!
//! The numbers are those of the open fp8 specification that GPUs follow ("e4m3fn"): up to 448, the smallest step 2^-9.

/// The largest number.
pub const E4M3_MAX: f32 = 448.0;

/// The number of a code.
pub const fn e4m3_to_f32(code: u8) -> f32 {
    let (exponent, mantissa) = ((code >> 3 & 15) as u32, (code & 7) as u32);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        // Exact: a small integer by a power of two.
        (0, steps) => steps as f32 / 512.0,
        // The same number with the exponent's bias of 32-bit floats, and a longer mantissa.
        _ => f32::from_bits((exponent + 127 - 7) << 23 | mantissa << 20),
    };
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The numbers of all codes.
pub(crate) const fn e4m3_numbers() -> [f32; 256] {
    let mut numbers = [0.0; 256];
    let mut code = 0_u8;
    loop {
        numbers[code as usize] = e4m3_to_f32(code);
        if code == u8::MAX {
            return numbers;
        }
        code += 1;
    }
}

/// The code of the nearest number, of the even one of two; what is too large becomes the largest, NaN stays NaN.
pub fn e4m3_from_f32(value: f32) -> u8 {
    const LARGEST: u8 = 0x7e;
    let magnitude = value.abs();
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    let code = if magnitude.is_nan() {
        0x7f
    } else if magnitude >= E4M3_MAX {
        LARGEST
    } else if magnitude < 1.0 / 64.0 {
        // Below the normal numbers: whole steps of 2^-9. Eight of them are the first normal number, and its code is 8.
        (magnitude * 512.0).round_ties_even() as u8
    } else {
        let bits = magnitude.to_bits();
        // To nearest, ties to even, by the carry into the bits that stay.
        let rounded = (bits + 0x7_ffff + (bits >> 20 & 1)) >> 20;
        // At most 448, which was cut off above, so that it fits.
        u8::try_from(rounded - ((127 - 7) << 3)).unwrap_or(LARGEST)
    };
    sign | code
}
