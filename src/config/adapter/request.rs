//! `request:` of a step: method, URL, headers, body.

use crate::config::credential::is_header_name;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::secrecy;
use crate::config::tree::Value;
use crate::rules::expression::{Escape, Expression, Text};
use crate::rules::operation::joint::{Changesets, Mixed, Urls};
use crate::rules::operation::{Body, Call, Part, Tree};

const METHODS: [(&str, &str); 10] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("MERGE", "MERGE"),
    ("MKCOL", "MKCOL"),
    ("PROPFIND", "PROPFIND"),
    ("REPORT", "REPORT"),
];

/// The start of an address that is the connector's own.
const BASE: &str = "{base}";

/// Headers that a file cannot set.
const OWN: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "authorization",
    "proxy-authorization",
    "cookie",
    "accept-encoding",
];

/// What is said of a secret.
const SECRET: &str = "seems to hold a secret, which never stands in a file";
/// What is to be done with one in a body.
const IN_BODY: &str = "use a credential with `body: NAME`; in `xml:` its place is `{secret.NAME}`";

/// The ways to write a body.
const BODIES: [&str; 8] = ["json", "form", "xml", "text", "hl7", "multipart", "bytes", "mixed"];

/// What requests of several records in parts are to the target.
const CHANGESETS: [(&str, Changesets); 3] =
    [("none", Changesets::None), ("each", Changesets::Each), ("one", Changesets::One)];

/// How the addresses in them are written.
const URLS: [(&str, Urls); 3] = [("relative", Urls::Relative), ("path", Urls::Path), ("whole", Urls::Whole)];

/// Reads a request.
pub(crate) fn call(found: &Found<'_>) -> Option<Call> {
    let fields = found.fields()?;
    let call = call_of(&fields, "POST");
    fields.done();
    call
}

/// Reads a request among the fields of a section; `method` = when it does not say.
pub(crate) fn call_of(fields: &Fields<'_>, method: &'static str) -> Option<Call> {
    let method = fields.take("method").map_or(Some(method), |found| found.choice("method", &METHODS));
    let url = fields.take("url").map_or_else(|| Text::parse("").ok().map(|text| (text, true)), |found| url(&found));
    let mut headers: Vec<(String, Text)> = Vec::new();
    let given = fields.take_any(&["headers", "header"]);
    for (name, found) in given.and_then(|found| found.entries()).unwrap_or_default() {
        if !is_header_name(name) {
            found.error("is not a header name");
        } else if OWN.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            found.error_hint("is set by the agent itself", "credentials belong into `credentials:`");
        } else if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            found.error("is given twice");
        } else {
            const WAY: &str = "use a credential of type apiKey with `header:`";
            let lower = name.to_ascii_lowercase();
            let named = ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word));
            match found.node_text() {
                Some(text) if named && lower != "idempotency-key" && !text.contains('{') => {
                    found.warn(SECRET, Some(WAY))
                }
                _ => secrecy::look(&found, "", WAY),
            }
            headers.extend(text(&found).map(|text| (name.to_owned(), text)));
        }
    }
    let body = body(fields);
    let (url, on_base) = url?;
    Some(Call { method: method?.to_owned(), url, on_base, headers, body: body? })
}

/// An address: `{base}` and what follows, or a whole one on a host that stands in the file.
fn url(found: &Found<'_>) -> Option<(Text, bool)> {
    let written = found.text()?;
    let (rest, on_base) = written.strip_prefix(BASE).map_or((written, false), |rest| (rest, true));
    if secrecy::is_in_query(written) {
        found.warn(SECRET, Some("use a credential of type apiKey with `query:`"));
    }
    let text = Text::parse(rest).map_err(|message| found.error(message)).ok()?;
    let host = || {
        let start = text.start();
        let after = start.strip_prefix("https://").or_else(|| start.strip_prefix("http://"))?;
        after.contains('/').then_some(())
    };
    if on_base {
        if !(rest.is_empty() || rest.starts_with(['/', '?', '{']) || rest.starts_with(':')) {
            found.error_hint("runs on in the host's name", "write a slash after `{base}`");
            return None;
        }
    } else if host().is_none() {
        found.error_hint(
            "does not begin with a host that stands here",
            "write `{base}/...`, with the connector's `endpoint.url` as the base: a host never comes from data",
        );
        return None;
    }
    for expression in text.expressions() {
        let own = |name: &String| name == "vars" || name == "office";
        let raw = ["raw", "xml", "hl7"].iter().any(|filter| expression.uses(filter));
        if raw && !expression.names().iter().all(own) {
            found.error_hint(
                "puts a value into an address as it is",
                "leave the filter out: values are percent-encoded",
            );
            return None;
        }
    }
    Some((text, on_base))
}

/// The one body among the fields of a section; none at all = empty.
pub(crate) fn body(fields: &Fields<'_>) -> Option<Body> {
    let given: Vec<(&'static str, Found<'_>)> =
        BODIES.iter().filter_map(|name| Some((*name, fields.take(name)?))).collect();
    let (name, found) = match given.as_slice() {
        [] => return Some(Body::Empty),
        [(name, found)] => (*name, found),
        [(first, _), (_, second), ..] => {
            second.error(format!("stands beside `{first}`: a request has one body"));
            return None;
        }
    };
    match name {
        "json" => tree(found).map(Body::Json),
        "form" => {
            let entries = found.entries()?;
            entries.iter().for_each(|(name, found)| secrecy::look(found, name, IN_BODY));
            let fields: Vec<Option<(String, Tree)>> =
                entries.iter().map(|(name, found)| Some(((*name).to_owned(), tree(found)?))).collect();
            fields.into_iter().collect::<Option<Vec<_>>>().map(Body::Form)
        }
        "xml" => {
            secrecy::look(found, "", IN_BODY);
            let text = text(found)?;
            text.expressions().for_each(|expression| raw(found, expression, "XML"));
            Some(Body::Text { text, escape: Escape::Xml })
        }
        "text" => text(found).map(|text| Body::Text { text, escape: Escape::Plain }),
        "hl7" => {
            let lines: Vec<String> = match found.node_text() {
                Some(text) => text.lines().map(str::to_owned).collect(),
                None => found.texts()?,
            };
            let lines = lines.iter().filter(|line| !line.trim().is_empty());
            let read = |line: &String| {
                let text = Text::parse(line.trim()).map_err(|message| found.error(message)).ok()?;
                text.expressions().for_each(|expression| raw(found, expression, "HL7"));
                Some(text)
            };
            // All of them, so that every mistake is named.
            let lines: Vec<Option<Text>> = lines.map(read).collect();
            lines.into_iter().collect::<Option<Vec<_>>>().map(Body::Hl7)
        }
        "multipart" => {
            let parts: Vec<Option<Part>> = found.items()?.iter().map(part).collect();
            parts.into_iter().collect::<Option<Vec<_>>>().map(Body::Multipart)
        }
        "mixed" => {
            let fields = found.fields()?;
            let changesets = fields.take("changesets").map(|found| found.choice("changesets", &CHANGESETS));
            let urls = fields.take("urls").map(|found| found.choice("urls", &URLS));
            fields.done();
            let changesets = changesets.unwrap_or(Some(Changesets::None))?;
            Some(Body::Mixed(Mixed { changesets, urls: urls.unwrap_or(Some(Urls::Relative))? }))
        }
        _ => super::expression(found, found.text()?).map(Body::Bytes),
    }
}

/// A value of a record that is put in as it is can break what it stands in. Who escapes it himself knows that.
fn raw(found: &Found<'_>, expression: &Expression, what: &str) {
    let own = |name: &String| ["vars", "office", "parts", "secret"].contains(&name.as_str());
    let escapes = expression.uses("elements") || expression.uses(&what.to_ascii_lowercase());
    if expression.uses("raw") && !escapes && !expression.names().iter().all(own) {
        found.warn(
            format!(
                "`{}` puts a value into {what} as it is: one with a sign of {what} in it breaks it",
                expression.as_str()
            ),
            Some("leave `raw` out: values are escaped for where they stand"),
        );
    }
}

fn part(found: &Found<'_>) -> Option<Part> {
    let fields = found.fields()?;
    let name = fields.need("name").and_then(|found| found.text().map(str::to_owned));
    let filename = fields.take("filename").map(|found| text(&found));
    let media = fields.text("contentType");
    let body = body(&fields);
    fields.done();
    Some(Part { name: name?, filename: filename.map_or(Some(None), |text| text.map(Some))?, media, body: body? })
}

/// A text with expressions; a number is its digits.
pub(crate) fn text(found: &Found<'_>) -> Option<Text> {
    let written = match &found.node.value {
        Value::Integer(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => found.text_or_nothing()?.to_owned(),
    };
    Text::parse(&written).map_err(|message| found.error(message)).ok()
}

/// A structure with expressions.
pub(crate) fn tree(found: &Found<'_>) -> Option<Tree> {
    match &found.node.value {
        Value::Text(_) => text(found).map(Tree::Text),
        // All of it is read, so that every mistake is named.
        Value::List(_) => {
            let items: Vec<Option<Tree>> = found.items()?.iter().map(tree).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Tree::List)
        }
        Value::Map(_) => {
            let named = |(name, found): &(&str, Found<'_>)| {
                secrecy::look(found, name, IN_BODY);
                Some(((*name).to_owned(), tree(found)?))
            };
            let fields: Vec<Option<(String, Tree)>> = found.entries()?.iter().map(named).collect();
            fields.into_iter().collect::<Option<Vec<_>>>().map(Tree::Map)
        }
        _ => found.constant().map(Tree::Value),
    }
}
