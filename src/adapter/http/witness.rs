//! An answer's `Date` beside our own clock: whoever answers has a clock too.

use std::net::IpAddr;

use super::answer::Reply;
use crate::clock::{self, Voucher};
use crate::rules::classify::http_date;
use crate::rules::clock::agrees;

impl Reply {
    /// Takes note when the answer shows the same time as our clock.
    pub fn vouch(&self, origin: &str) {
        let Some(date) = &self.date else { return };
        clock::vouch(voucher(origin), || http_date(date.trim()).is_some_and(|date| agrees(clock::now(), date)));
    }
}

/// Who answers at `scheme://host:port`.
fn voucher(origin: &str) -> Voucher {
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let here = match address {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    if here { Voucher::Here } else { Voucher::Elsewhere }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_on_this_machine_goes_by_the_same_clock() {
        for origin in ["http://127.0.0.1:8080", "https://[::1]:443", "https://localhost:443", "http://127.8.8.8:80"] {
            assert_eq!(voucher(origin), Voucher::Here, "{origin}");
        }
        for origin in ["https://vista.example:443", "https://10.0.0.1:443", "https://[2001:db8::1]:8443"] {
            assert_eq!(voucher(origin), Voucher::Elsewhere, "{origin}");
        }
    }
}
