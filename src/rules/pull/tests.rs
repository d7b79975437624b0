//! Unit and property tests of what is read.
