//! Tells the program when it was built: no clock that is right can show an earlier time.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    // Who builds the same bytes again says which time they are from.
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo::rustc-env=HMS_SYNC_BUILT={}", given.unwrap_or_else(now));
}
