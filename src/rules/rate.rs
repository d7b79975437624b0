//! Rate limits: `10/s`, `600/m`, `1000/h`.

use std::time::Duration;

/// A rate: `count` per `per`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    /// Parses `10/s`, `600/m`, `1000/h`.
    pub fn parse(text: &str) -> Result<Rate, String> {
        let wrong = || format!("`{text}` is not a rate: write for example 10/s, 600/m or 1000/h");
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        if count == 0 {
            return Err(wrong());
        }
        Ok(Rate { count, per: Duration::from_secs(per) })
    }

    /// The time between two sends.
    pub fn gap(&self) -> Duration {
        self.per / self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_and_nonsense_is_refused() {
        assert_eq!(Rate::parse("10/s").map(|rate| rate.gap()), Ok(Duration::from_millis(100)));
        assert_eq!(Rate::parse("60 / m").map(|rate| rate.gap()), Ok(Duration::from_secs(1)));
        for bad in ["", "10", "0/s", "-1/s", "10/x", "a/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
