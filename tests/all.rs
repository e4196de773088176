//! End-to-end tests: they run the binary as a user does, and look at its exit code and streams.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod sandbox;
