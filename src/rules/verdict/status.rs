//! Sets of HTTP statuses: `200`, `"2xx"`, `"200-299"`, `">=500"`.

/// A set of statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    ranges: Vec<(u16, u16)>,
}

impl Statuses {
    /// From its parts as written.
    pub fn parse<'t>(parts: impl IntoIterator<Item = &'t str>) -> Result<Statuses, String> {
        let ranges: Vec<_> = parts.into_iter().map(range).collect::<Result<_, _>>()?;
        if ranges.is_empty() { Err("names no status".to_owned()) } else { Ok(Statuses { ranges }) }
    }

    /// Whether a status is in it.
    pub fn has(&self, status: u16) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }

    /// Whether every status of another set is in it.
    pub fn covers(&self, other: &Statuses) -> bool {
        other.ranges.iter().all(|(from, to)| (*from..=*to).all(|status| self.has(status)))
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("`{text}` is no status: write 404, 4xx, 400-499 or >=500");
    let number = |text: &str| match text.trim().parse::<u16>() {
        Ok(number) if (100..=599).contains(&number) => Ok(number),
        _ => Err(wrong()),
    };
    let text = text.trim();
    if let Some(from) = text.strip_prefix(">=") {
        return Ok((number(from)?, 599));
    }
    if let Some(to) = text.strip_prefix("<=") {
        return Ok((100, number(to)?));
    }
    if let Some(digit) = text.strip_suffix("xx") {
        let first = number(&format!("{digit}00"))?;
        return Ok((first, first + 99));
    }
    match text.split_once('-') {
        Some((from, to)) => {
            let (from, to) = (number(from)?, number(to)?);
            if from <= to { Ok((from, to)) } else { Err(wrong()) }
        }
        None => number(text).map(|status| (status, status)),
    }
}
