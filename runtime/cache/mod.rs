//! The KV cache without its tensors: which page of which pool holds which positions of which sequence.
//!
//! What enters are token ids and lengths; what leaves are page tables and the page copies that a back end must make. Full and
//! sliding layers have a page pool each. No page's contents are seen here.

mod errors;
mod kv;
mod need;
mod page;
mod pool;
mod sequence;
mod tree;

pub use cwm_kernels::KvElement;
pub use errors::CacheRefusal;
pub use kv::{CacheSettings, CacheStatistics, KvCache};
pub use need::Need;
pub use page::{PageCopy, PageId, PageLayout, PoolKind, WindowTable};
pub use sequence::SequenceCache;
