//! ENCODE: pure functions between records and bytes.

pub mod certificate;
pub mod json;
