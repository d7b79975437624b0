//! The address of the next page: from a `Link` field (RFC 8288) or from the body. A source never leads elsewhere than to
//! itself.

/// The target of `rel=NAME` among the values of `Link` fields.
pub fn linked<'f>(fields: impl IntoIterator<Item = &'f str>, name: &str) -> Option<String> {
    fields.into_iter().find_map(|field| in_field(field, name))
}

fn in_field(field: &str, name: &str) -> Option<String> {
    let mut rest = field;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, after) = parameters(after);
        let is = |(known, value): &(String, String)| {
            known.eq_ignore_ascii_case("rel")
                && value.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(name))
        };
        // Only the first `rel` counts (§3.3).
        let rel = parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case("rel"));
        if rel.is_some_and(is) {
            return Some(target.trim().to_owned());
        }
        rest = after;
    }
}

/// `; name=value` as often as it comes, up to the comma that ends a link; and what is left.
fn parameters(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let Some(after) = rest.strip_prefix(';') else { return (found, rest) };
        let after = after.trim_start_matches([' ', '\t']);
        let end = after.find(['=', ';', ',']).unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let Some(value) = tail.strip_prefix('=') else {
            found.push((name.trim().to_owned(), String::new()));
            rest = tail;
            continue;
        };
        let (value, tail) = match value.trim_start_matches([' ', '\t']).strip_prefix('"') {
            Some(quoted) => quoted_text(quoted),
            None => {
                let end = value.find([';', ',']).unwrap_or(value.len());
                let (value, tail) = value.split_at(end);
                (value.trim().to_owned(), tail)
            }
        };
        found.push((name.trim().to_owned(), value));
        rest = tail;
    }
}

fn quoted_text(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, char) in text.char_indices() {
        match char {
            char if escaped => {
                value.push(char);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            char => value.push(char),
        }
    }
    (value, "")
}

/// The whole address that a source means by `target` in the answer to a request to `from`.
///
/// # Errors
/// It leads to another scheme, host or port, or is no address.
pub fn follow(from: &str, target: &str, allowed: &[&str]) -> Result<String, Elsewhere> {
    let target = target.trim();
    let sound =
        !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte));
    if !sound {
        return Err(Elsewhere::Odd);
    }
    let target = target.split('#').next().unwrap_or_default();
    let origin = origin(from).ok_or(Elsewhere::Odd)?;
    if let Some(other) = self::origin(target) {
        let other = normal(other);
        if other != normal(origin) && !allowed.iter().any(|one| normal(one) == other) {
            return Err(Elsewhere::Origin(shown(&other)));
        }
        let rest = target.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find(['/', '?']).map_or("", |at| rest.get(at..).unwrap_or_default());
        return Ok(format!("{origin}{path}"));
    }
    if target.starts_with("//") || target.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return Err(Elsewhere::Odd);
    }
    let base = from.split('#').next().unwrap_or_default();
    if target.starts_with('/') {
        return Ok(format!("{origin}{target}"));
    }
    let path = base.split('?').next().unwrap_or_default();
    if target.starts_with('?') {
        return Ok(format!("{path}{target}"));
    }
    let folder = path.get(origin.len()..).and_then(|path| path.rfind('/')).map_or(0, |at| at + 1);
    let folder = path.get(..origin.len() + folder).unwrap_or(origin);
    let slash = if folder.len() == origin.len() { "/" } else { "" };
    Ok(format!("{folder}{slash}{target}"))
}

/// Why an address is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// It is of another origin; which, where that can be shown.
    Origin(String),
    /// It is no address.
    Odd,
}

/// `scheme://authority`.
fn origin(url: &str) -> Option<&str> {
    let scheme = url.find("://").filter(|at| {
        let name = url.get(..*at).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })?;
    let host = url.get(scheme + 3..)?;
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    url.get(..scheme + 3 + end)
}

/// In lower case, with its port.
fn normal(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://").unwrap_or_default();
    let port = authority.rsplit(']').next().unwrap_or_default().contains(':');
    match (scheme, port) {
        ("https", false) => format!("{origin}:443"),
        ("http", false) => format!("{origin}:80"),
        _ => origin,
    }
}

fn shown(origin: &str) -> String {
    let plain =
        origin.len() <= 255 && origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.:/[]_".contains(&byte));
    if plain { origin.to_owned() } else { "a place that cannot be shown".to_owned() }
}
