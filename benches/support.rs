//! What the benches share.

pub mod agent;
pub mod authority;
pub mod client;
pub mod figures;
pub mod journal;
pub mod locks;
pub mod machine;
pub mod office;
pub mod process;
pub mod receiver;
