//! Tests of the exponential function.

use super::super::Isa;
use super::super::lanes::{Kernel, LANES, Lanes, dispatch};
use super::{exp, exp_one};

struct Exp<'a> {
    x: &'a [f32; LANES],
    out: &'a mut [f32; LANES],
}

#[allow(unsafe_code, reason = "vector instructions")]
impl Kernel for Exp<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: both arrays have sixteen elements.
        unsafe { exp(V::load(self.x.as_ptr())).store(self.out.as_mut_ptr()) }
    }
}

fn units_apart(a: f32, b: f64) -> f64 {
    let unit = f64::from(f32::from_bits((b as f32).to_bits() + 1)) - f64::from(b as f32);
    (f64::from(a) - b).abs() / unit
}

#[test]
fn it_is_within_two_units_in_the_last_place_on_every_processor() {
    let mut worst = 0.0f64;
    let wide = (0..400_000).map(|i| -86.999 + 175.7 * (i as f32 / 400_000.0));
    let tiny = (0..40_000).map(|i| (i as f32 - 20_000.0) * 1e-6);
    let points: Vec<f32> = wide.chain(tiny).collect();
    for chunk in points.chunks_exact(LANES) {
        let x: &[f32; LANES] = chunk.try_into().expect("sixteen");
        let results = Isa::ALL.map(|isa| {
            let mut out = [0.0; LANES];
            dispatch(isa, Exp { x, out: &mut out });
            out
        });
        assert_eq!(results[0].map(f32::to_bits), results[1].map(f32::to_bits));
        assert_eq!(results[0].map(f32::to_bits), results[2].map(f32::to_bits));
        for (x, y) in x.iter().zip(results[0]) {
            worst = worst.max(units_apart(y, f64::from(*x).exp()));
        }
    }
    assert!(worst < 2.0, "{worst} units in the last place");
    assert!(worst > 0.4, "no float can be that exact");
}

#[test]
fn the_ends_of_its_range() {
    assert_eq!(exp_one(0.0), 1.0);
    assert_eq!(exp_one(-0.0), 1.0);
    for x in [f32::NEG_INFINITY, f32::MIN, -1e10, -1000.0, -88.0, -87.0] {
        assert_eq!(exp_one(x), 0.0, "{x}");
    }
    for x in [f32::INFINITY, f32::MAX, 1e10, 1000.0, 89.0] {
        assert_eq!(exp_one(x), f32::INFINITY, "{x}");
    }
    assert!(exp_one(f32::NAN).is_nan());
    assert!(exp_one(-86.99) > 0.0 && exp_one(88.7).is_finite());
}
