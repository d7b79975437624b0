//! A call as bytes.

use crate::adapter::join::frame;
use crate::adapter::{Request, Text as Head};
use crate::event::{Record, Value};
use crate::format::{json, multipart};
use crate::rules::escape;
use crate::rules::expression::{Escape, Scope};
use crate::rules::operation::joint::Urls;
use crate::rules::operation::{Body, Call, Operation, Spec, Tree};
use crate::rules::outcome::Reason;

/// What is around every call.
pub struct Around<'a> {
    /// What `{base}` stands for.
    pub base: &'a str,
    /// Idempotency key.
    pub key: &'a str,
    /// The connector's own header fields.
    pub headers: &'a [(String, String)],
}

/// Longest header value.
const HEADER: usize = 8_000;

/// The request of a call.
pub fn request(call: &Call, scope: &Scope, around: &Around<'_>) -> Result<Request, Reason> {
    let rest = call.url.write(scope, Escape::Url)?;
    let url = if call.on_base { format!("{}{rest}", around.base) } else { rest };
    let (media, body) = bytes(&call.body, scope, around.key)?;
    let mut headers: Vec<(Head, Head)> = Vec::with_capacity(call.headers.len() + 3);
    let named = |name: &str| {
        let own = call.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        own || around.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    if let Some(media) = media.filter(|_| !named("content-type")) {
        headers.push(("Content-Type".into(), media.into()));
    }
    if !matches!(call.method.as_str(), "GET" | "HEAD") && !named("idempotency-key") {
        headers.push(("Idempotency-Key".into(), around.key.to_owned().into()));
    }
    for (name, text) in &call.headers {
        // A header whose value is nothing at all is left out.
        if let [only] = text.expressions().collect::<Vec<_>>().as_slice()
            && text.literal().is_none()
            && only.eval(scope)?.value.is_none()
        {
            continue;
        }
        let value = text.write(scope, Escape::Header)?;
        if value.len() > HEADER {
            return Err(Reason::new("encoding", format!("header `{name}` is longer than {HEADER} bytes")));
        }
        headers.push((name.clone().into(), value.into()));
    }
    headers.extend(around.headers.iter().map(|(name, value)| (name.clone().into(), value.clone().into())));
    Ok(Request { method: call.method.clone().into(), url: url.into(), headers, body })
}

/// A call as it stands within another request (RFC 9112): its address as `urls` says.
pub fn within(call: &Call, scope: &Scope, around: &Around<'_>, urls: Urls) -> Result<Vec<u8>, Reason> {
    let request = request(call, scope, around)?;
    let target = match urls {
        Urls::Whole => &*request.url,
        Urls::Relative => {
            request.url.strip_prefix(around.base).map_or(&*request.url, |rest| rest.trim_start_matches('/'))
        }
        Urls::Path => {
            let path = request.url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
            path.unwrap_or("/")
        }
    };
    let mut out = format!("{} {target} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        out.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    out.push_str("\r\n");
    match String::from_utf8(request.body) {
        Ok(body) => Ok((out + &body).into_bytes()),
        Err(_) => Err(Reason::new("encoding", "bytes that are no text cannot stand in a request of several")),
    }
}

/// The same of a transport that has a body only: a message, a line.
pub fn bare(call: &Call, scope: &Scope, verb: &'static str, base: &str, key: &str) -> Result<Request, Reason> {
    let (_, body) = bytes(&call.body, scope, key)?;
    Ok(Request { method: verb.into(), url: base.into(), headers: Vec::new(), body })
}

/// Fills the named parts into what expressions see, in order.
pub fn parts(parts: &[(String, Body)], scope: &mut Scope) -> Result<(), Reason> {
    if parts.is_empty() {
        return Ok(());
    }
    scope.roots.set("parts", Value::Map(Record::new()));
    for (name, body) in parts {
        let key = scope.roots.get("idempotency").and_then(Value::as_text).unwrap_or_default().into_owned();
        let (_, bytes) = bytes(body, scope, &key)?;
        let text =
            String::from_utf8(bytes).map_err(|_| Reason::new("encoding", format!("part `{name}` is no text")))?;
        if let Some(Value::Map(parts)) = scope.roots.get_mut("parts") {
            parts.set(name, Value::Text(text.into()));
        }
    }
    Ok(())
}

/// The bytes of a body with their media type.
pub fn bytes(body: &Body, scope: &Scope, key: &str) -> Result<(Option<String>, Vec<u8>), Reason> {
    let media = |text: &str| Some(text.to_owned());
    Ok(match body {
        Body::Empty => (None, Vec::new()),
        Body::Json(tree) => {
            (media("application/json"), tree.value(scope)?.map_or(Ok(Vec::new()), |value| encoded(&value))?)
        }
        Body::Form(fields) => (media("application/x-www-form-urlencoded"), form(fields, scope)?),
        Body::Text { text, escape } => {
            let kind =
                if *escape == Escape::Xml { "application/xml; charset=utf-8" } else { "text/plain; charset=utf-8" };
            (media(kind), text.write(scope, *escape)?.into_bytes())
        }
        Body::Hl7(lines) => {
            let mut out = String::new();
            for line in lines {
                let line = line.write(scope, Escape::Hl7)?;
                if !line.trim().is_empty() {
                    out.push_str(&line);
                    out.push('\r');
                }
            }
            (media("x-application/hl7-v2+er7; charset=utf-8"), out.into_bytes())
        }
        Body::Multipart(parts) => {
            let part = |part: &crate::rules::operation::Part| {
                let (kind, bytes) = bytes(&part.body, scope, key)?;
                let filename = part.filename.as_ref().map(|name| name.write(scope, Escape::Plain)).transpose()?;
                let kind = part.media.clone().or_else(|| kind.filter(|_| filename.is_some()));
                Ok(multipart::Part { name: part.name.clone(), filename, media: kind, bytes })
            };
            let parts: Vec<multipart::Part> = parts.iter().map(part).collect::<Result<_, Reason>>()?;
            let (boundary, body) = multipart::encode(&parts, key)
                .ok_or_else(|| Reason::new("encoding", "a part holds the boundary between the parts"))?;
            (Some(format!("multipart/form-data; boundary={boundary}")), body)
        }
        // What stands in it is filled in when the records are known.
        Body::Mixed(_) => {
            (Some(format!("multipart/mixed; boundary={}", frame::BOUNDARY)), frame::mark("").into_bytes())
        }
        Body::Bytes(expression) => {
            let bytes = match expression.eval(scope)?.value {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Blob(bytes)) => bytes,
                Some(value) => match value.as_text() {
                    Some(text) => text.into_owned().into_bytes(),
                    None => {
                        let what = format!("`{}` is {}, not bytes", expression.as_str(), value.kind());
                        return Err(Reason::new("encoding", what));
                    }
                },
            };
            (media("application/octet-stream"), bytes)
        }
    })
}

fn encoded(value: &Value) -> Result<Vec<u8>, Reason> {
    match value {
        Value::Map(record) => json::encode(record),
        other => {
            // Inside a list the field has no name.
            let whole: Record = [("", other.clone())].into_iter().collect();
            json::encode(&whole)?;
            Ok(json::value(other))
        }
    }
}

fn form(fields: &[(String, Tree)], scope: &Scope) -> Result<Vec<u8>, Reason> {
    let mut out = String::new();
    for (name, tree) in fields {
        let Some(value) = tree.value(scope)? else { continue };
        let text = match &value {
            Value::Null => String::new(),
            value => match value.as_text() {
                Some(text) => text.into_owned(),
                None => String::from_utf8(encoded(value)?).unwrap_or_default(),
            },
        };
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&escape::form(name));
        out.push('=');
        out.push_str(&escape::form(&text));
    }
    Ok(out.into_bytes())
}

/// Puts words in place of what only answers bring, for whoever wants to see the calls before there is any.
pub fn stand_in(spec: &Spec, operation: &Operation, scope: &mut Scope) {
    let mut link = Record::new();
    let mut steps = Record::new();
    for step in &operation.steps {
        let named = |name: &String, from: &str| (name.clone(), Value::Text(format!("<{from}.{name}>").into()));
        let own: Record = step.capture.iter().map(|(name, _)| named(name, &format!("steps.{}", step.id))).collect();
        steps.set(&step.id, Value::Map(own));
        step.capture.iter().map(|(name, _)| named(name, "link")).for_each(|(name, value)| link.set(&name, value));
    }
    for expression in spec.expressions(operation) {
        for (root, name) in expression.paths() {
            if root == "link" && link.get(&name).is_none() {
                link.push(name.as_str(), Value::Text(format!("<link.{name}>").into()));
            }
        }
    }
    scope.roots.set("link", Value::Map(link));
    scope.roots.set("steps", Value::Map(steps));
}
