//! End-to-end tests: they run the binary as a user does, and look at its exit code and streams.

// The attribute is always true here; it tells the lints that helpers of tests may panic too.
#[cfg(test)]
mod cli;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod fix;
#[cfg(test)]
mod one_shot;
#[cfg(test)]
mod rank;
#[cfg(test)]
mod rollout;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod session;
#[cfg(test)]
mod suites;
