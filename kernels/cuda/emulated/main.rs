//! Every kernel, emulated on the host from the same launch that a device gets, against plain arithmetic on random inputs. Each launch
//! runs with its threads in several orders, which must give the same bits.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod artefacts;
mod attention;
mod elementwise;
mod faults;
mod gemm;
mod matrices;
mod norm;
mod rope;
mod sampling;
mod skinny;
mod support;
