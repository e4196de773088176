//! Which models can be had by name, where they lie on this machine, and how they come there.
//!
//! What enters is a name; what leaves is the path of a file or folder whose bytes are those that the catalogue's checksum names, or of the
//! publisher's where the catalogue has none. Nothing that is fetched is ever run. The command line calls this room; it calls no other.

mod entry;
mod error;
mod hugging_face;
mod packages;
mod pull;
mod store;
mod zip;

pub use entry::{Contents, Entry, Packages, Repository, entries, find};
pub use error::CatalogueError;
pub use pull::{Origin, Progress, PullSettings, Stage, pull};
pub use store::{State, Store, cache_folder};
