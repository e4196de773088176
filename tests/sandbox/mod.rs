//! What the sandbox must stop, and what it must let work: real attacks and real programs, each as the superuser and as
//! an ordinary user (see `harness`).

mod escape_files;
mod escape_git;
mod escape_kernel;
mod escape_links;
mod escape_network;
mod escape_processes;
mod escape_session;
mod harness;
mod limits;
mod works;
