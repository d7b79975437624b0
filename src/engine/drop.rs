//! Drops: batches of changes as files at a destination.

pub mod publish;
pub mod staged;
