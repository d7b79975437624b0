//! What the benches share.

pub mod agent;
pub mod authority;
pub mod backlog;
pub mod client;
pub mod figures;
pub mod journal;
pub mod locks;
pub mod machine;
pub mod office;
pub mod plot;
pub mod process;
pub mod receiver;
