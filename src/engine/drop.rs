//! Drops: batches of changes as files at a destination.

pub mod destination;
pub mod publish;
pub mod staged;
