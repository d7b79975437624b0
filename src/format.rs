//! ENCODE: pure functions between records and bytes.

pub mod certificate;
pub mod codepage;
pub mod copybook;
pub mod csv;
pub mod feed;
pub mod fixed;
pub mod frame;
pub mod json;
pub mod layout;
pub mod message;
pub mod note;
pub mod segment;
pub mod trail;
