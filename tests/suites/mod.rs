//! Real test suites and build tools, run inside the sandbox: each must pass there as it does outside.
