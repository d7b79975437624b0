//! `pull:` of an adapter's file, and of a connector without one: what is read, page by page.

use crate::config::adapter::{request, rule};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::secrecy;
use crate::rules::expression::{Expression, Text};
use crate::rules::operation::Call;
use crate::rules::pull::cursor::{Cursor, From, Kind};
use crate::rules::pull::item::{Pick, Shape};
use crate::rules::pull::{Feed, Items, Next, One, Pull, Select, Until};
use crate::rules::verdict::{Extract, Statuses, Test, Word, pointer};

/// What expressions of a pull's requests see.
pub const ROOTS: [(&str, &str); 9] = [
    ("cursor", "where the last run ended, with the overlap; missing in the first run"),
    ("next", "the word for the next page; `next.updated` and `next.key` of the last item; missing on the first page"),
    ("page", "the page's number, from 1"),
    ("offset", "how many items came before, from 0"),
    ("vars", "the adapter's variables"),
    ("office", "the installation's name"),
    ("key", "in `one`: the values of the record's key"),
    ("link", "in `one`: what earlier answers for this record left"),
    ("secret", "what a credential with `body` puts in, in an XML body only"),
];

/// Reads the section of an adapter's file.
pub(super) fn section(found: &Found<'_>) -> Option<Pull> {
    let fields = found.fields()?;
    let request = fields.need("request").and_then(|found| asked(&found));
    let item = fields.take("item").map_or(Some(Shape::default()), |found| {
        let fields = found.fields()?;
        let shape = shape(&fields);
        fields.done();
        shape
    });
    let pull = rest(&fields, request, item);
    fields.done();
    pull
}

/// Reads the section of a connector without an adapter's file: request and item stand among the other keys. `url` = the
/// connector's own base, when the section names no address.
pub(crate) fn flat(fields: &Fields<'_>) -> Option<Pull> {
    let call =
        request::call_of(fields, "GET").map(|call| Call { on_base: call.on_base || is_nothing(&call.url), ..call });
    let query = query(fields);
    let item = shape(fields);
    rest(fields, call.zip(query), item)
}

fn is_nothing(url: &Text) -> bool {
    url.literal() == Some("")
}

type Asked = (Call, Vec<(String, Text)>);

/// `request:` with its `query:`.
fn asked(found: &Found<'_>) -> Option<Asked> {
    let fields = found.fields()?;
    let call = request::call_of(&fields, "GET");
    let query = query(&fields);
    fields.done();
    call.zip(query)
}

fn query(fields: &Fields<'_>) -> Option<Vec<(String, Text)>> {
    let Some(found) = fields.take("query") else { return Some(Vec::new()) };
    let one = |(name, found): (&str, Found<'_>)| {
        secrecy::look(&found, name, "use a credential of type apiKey with `query:`");
        Some((name.to_owned(), request::text(&found)?))
    };
    found.entries()?.into_iter().map(one).collect()
}

/// Everything beside request and item.
fn rest(fields: &Fields<'_>, request: Option<Asked>, item: Option<Shape>) -> Option<Pull> {
    let place = fields.take("items");
    let list = place.as_ref().map_or_else(|| Some(whole()), items);
    let next = fields.take("next");
    let following = match (&next, &request) {
        (Some(found), Some(request)) => self::next(found, request),
        (None, _) => Some(Next::One),
        (Some(_), None) => None,
    };
    if let (Some(Next::Keyset), Some(item), Some(place)) = (&following, &item, &next)
        && (item.updated.is_none() || item.key.is_none())
    {
        place.error_hint("goes on after the last item, which has no `key` and `updated`", "say both");
    }
    let tombstones = fields.take("tombstones").map(|found| tombstones(&found));
    let deletes = fields.take("deletes").map(|found| deletes(&found));
    let cursor = fields.take("cursor").map(|found| cursor(&found, item.as_ref(), following.as_ref()));
    let mut expired = fields.take("expired").map(|found| rule::cases(&found, Word::Conflict)).unwrap_or_default();
    if cursor.is_some()
        && let Ok(status) = Statuses::parse(["410"])
    {
        let gone = crate::rules::verdict::Rule {
            status: Some(status),
            tests: Vec::new(),
            is: Word::Conflict,
            after: None,
            code: None,
            message: None,
            note: None,
        };
        expired.push(gone);
    }
    let rules = fields.take("classify").map(|found| rule::rules(&found, false)).unwrap_or_default();
    let wait = fields.take("wait").map(|found| found.duration());
    let one = fields.take("one").map(|found| one(&found));
    let tombstones = tombstones.map_or(Some(None), |part| part.map(Some));
    let wait = wait.map_or(Some(None), |part| part.map(Some));
    let deletes = deletes.map_or(Some(None), |part| part.map(Some));
    let cursor = cursor.map_or(Some(None), |part| part.map(Some));
    let one = one.map_or(Some(None), |part| part.map(Some));
    let (call, query) = request?;
    let (items, next, item, tombstones) = (list?, following?, item?, tombstones?);
    if item.key.is_none() && tombstones.is_some() {
        fields.section().error_hint("names deleted records by a key, and the items have none", "say `key:` of an item");
    }
    let deletes = deletes?;
    let tells_deletions = deletes.is_some() || tombstones.is_some() || !item.deleted.is_empty();
    let main = Feed { request: call, query, items, next, item, tombstones, deletions: false };
    let feeds = deletes.into_iter().chain([main]).collect();
    Some(Pull { feeds, cursor: cursor?, tells_deletions, expired, rules, one: one?, wait: wait? })
}

/// The answer itself: a list, or one item.
fn whole() -> Items {
    Items { place: Extract::Json(String::new()), optional: false }
}

/// `json:/PLACE`, `xml:/ROOT/NAME`, or `{at: PLACE, optional: true}`.
fn items(found: &Found<'_>) -> Option<Items> {
    let (place, optional) = match found.is_section() {
        false => (found.clone(), false),
        true => {
            let fields = found.fields()?;
            let at = fields.need("at");
            let optional = fields.flag("optional");
            fields.done();
            (at?, optional)
        }
    };
    let at = super::extract(&place)?;
    match &at {
        Extract::Json(_) => {}
        Extract::Xml(path) if path.attribute.is_none() && path.steps.first().is_some_and(|(deep, _)| !deep) => {}
        Extract::Xml(_) => {
            place.error_hint(
                "does not begin with the name of the answer's outermost element",
                "write `xml:/multistatus/response`: another answer must not look like an empty page",
            );
            return None;
        }
        _ => {
            place.error_hint("holds no items", "write `json:/PLACE` or `xml:/ROOT/NAME`");
            return None;
        }
    }
    Some(Items { place: at, optional })
}

fn next(found: &Found<'_>, (call, query): &Asked) -> Option<Next> {
    if !found.is_section() {
        return match found.text()? {
            "link" => Some(Next::Link),
            "offset" => numbered(found, call, query, "offset").map(|()| Next::Offset(Until::default())),
            "page" => numbered(found, call, query, "page").map(|()| Next::Page(Until::default())),
            "keyset" => numbered(found, call, query, "next").map(|()| Next::Keyset),
            _ => {
                let from = super::extract(found)?;
                let select = Select { from, choice: None };
                // A word is repeated in the request; what the request does not name is an address.
                Some(if names(call, query, "next") { Next::Token(select) } else { Next::Url(select) })
            }
        };
    }
    let fields = found.fields()?;
    let given: Vec<(&str, Found<'_>)> =
        ["url", "token", "offset", "page"].iter().filter_map(|key| Some((*key, fields.take(key)?))).collect();
    fields.done();
    let [(key, inner)] = given.as_slice() else {
        found.error_hint(
            "does not say one way to the next page",
            "write one of url, token, offset, page, or `link`, `keyset`",
        );
        return None;
    };
    match *key {
        "url" => select(inner).map(Next::Url),
        "token" => numbered(inner, call, query, "next").and_then(|()| select(inner).map(Next::Token)),
        key => {
            numbered(inner, call, query, key)?;
            let fields = inner.fields()?;
            let more = fields.take("more").map(|found| super::extract(&found));
            fields.done();
            let until = Until { more: more.map_or(Some(None), |more| more.map(Some))? };
            Some(if key == "offset" { Next::Offset(until) } else { Next::Page(until) })
        }
    }
}

/// A request that does not say which page it wants gets the first one for ever.
fn numbered(found: &Found<'_>, call: &Call, query: &[(String, Text)], name: &str) -> Option<()> {
    if names(call, query, name) {
        return Some(());
    }
    found.error_hint(
        format!("the request does not say `{{{name}}}`, so that every page would be the first one"),
        "put it in",
    );
    None
}

fn names(call: &Call, query: &[(String, Text)], name: &str) -> bool {
    let own = call.expressions();
    let asked = query.iter().flat_map(|(_, text)| text.expressions());
    own.into_iter().chain(asked).any(|expression| expression.names().iter().any(|known| known == name))
}

/// A place, or `{from: json:/link/*, where: {/relation: next}, take: /url}`.
fn select(found: &Found<'_>) -> Option<Select> {
    if !found.is_section() {
        return super::extract(found).map(|from| Select { from, choice: None });
    }
    let fields = found.fields()?;
    let from = fields.need("from").and_then(|found| super::extract(&found));
    let take = fields.need("take").and_then(|found| pointed(&found));
    let choice = fields.need("where").and_then(|found| {
        let entries = found.entries()?;
        let [(place, text)] = entries.as_slice() else {
            found.error("names one place and the text that stands there");
            return None;
        };
        let place = pointer(place).map_err(|message| found.error(message)).ok()?;
        Some((place, text.word()?))
    });
    fields.done();
    let (place, text) = choice?;
    Some(Select { from: from?, choice: Some((place, text, take?)) })
}

fn pointed(found: &Found<'_>) -> Option<String> {
    pointer(found.text_or_nothing()?).map_err(|message| found.error(message)).ok()
}

/// `/PLACE`, `/PLACE | FILTER`, `{at: /PLACE, as: EXPRESSION}`, or `{at: /LIST, where: {/system: urn:x}, take: /value}`.
fn pick(found: &Found<'_>) -> Option<Pick> {
    if !found.is_section() {
        let text = found.text_or_nothing()?;
        let (place, filters) = text.split_once('|').map_or((text, None), |(place, filters)| (place, Some(filters)));
        let at = place_in(found, place)?;
        let then = match filters {
            None => None,
            Some(filters) => Some(making(found, &format!("value | {}", filters.trim()))?),
        };
        return Some(Pick { at, choice: None, then });
    }
    let fields = found.fields()?;
    let at = fields.need("at").and_then(|found| place_in(&found, found.text_or_nothing()?));
    let then = fields.take("as").map_or(Some(None), |found| making(&found, found.text()?).map(Some));
    let chosen = fields.take("where").map_or(Some(None), |found| {
        let entries = found.entries()?;
        let [(place, wanted)] = entries.as_slice() else {
            found.error("names one place and the text that stands there");
            return None;
        };
        let place = pointer(place).map_err(|message| found.error(message)).ok()?;
        let take = fields.need("take").and_then(|found| pointed(&found))?;
        let wanted = request::text(wanted)?;
        known(&found, wanted.expressions(), &["vars", "office"])?;
        Some(Some((place, wanted, take)))
    });
    fields.know(&["take"]);
    fields.done();
    Some(Pick { at: at?, choice: chosen?, then: then? })
}

/// A pointer in an item, in which variables may stand.
fn place_in(found: &Found<'_>, text: &str) -> Option<Text> {
    let text = pointer(text).map_err(|message| found.error(message)).ok()?;
    let text = Text::parse(&text).map_err(|message| found.error(message)).ok()?;
    known(found, text.expressions(), &["vars", "office"])?;
    Some(text)
}

/// What is made of a value.
fn making(found: &Found<'_>, text: &str) -> Option<Expression> {
    let then = Expression::compile(text).map_err(|message| found.error(message)).ok()?;
    known(found, std::iter::once(&then), &["value", "vars", "office"])?;
    Some(then)
}

fn known<'e>(found: &Found<'_>, all: impl Iterator<Item = &'e Expression>, names: &[&str]) -> Option<()> {
    for expression in all {
        if let Some(other) = expression.names().iter().find(|name| !names.contains(&name.as_str())) {
            let what = format!("`{}`: an item knows no `{other}`", expression.as_str());
            found.error_hint(what, format!("known here: {}", names.join(", ")));
            return None;
        }
    }
    Some(())
}

/// What is taken of an item.
pub(crate) fn shape(fields: &Fields<'_>) -> Option<Shape> {
    let one = |key| fields.take(key).map_or(Some(None), |found| pick(&found).map(Some));
    let record = fields.take("record").map_or(Some(None), |found| pointed(&found).map(Some));
    let key_place = fields.take("key");
    let key = key_place.as_ref().map_or(Some(None), |found| pick(found).map(Some));
    let (version, updated) = (one("version"), one("updated"));
    let named = |key| -> Option<Vec<(String, Pick)>> {
        let Some(found) = fields.take(key) else { return Some(Vec::new()) };
        found.entries()?.into_iter().map(|(name, found)| Some((name.to_owned(), pick(&found)?))).collect()
    };
    let (further, links) = (named("fields"), named("links"));
    let deleted = fields.take("deleted").map_or(Some(Vec::new()), |found| {
        if !found.is_section() {
            return found.one_or_many().iter().map(|found| Some((pick(found)?, None))).collect();
        }
        tests(&found).map(|tests| tests.into_iter().map(|(pick, test)| (pick, Some(test))).collect())
    });
    let wanted = fields.take("where").map_or(Some(Vec::new()), |found| tests(&found));
    let (record, key) = (record?, key?);
    let key_field = key.as_ref().and_then(|key| field_of(key.at.literal()?, record.as_deref()));
    let further = further?;
    // A record that is said field by field has no others.
    let key_field = key_field.filter(|_| record.is_some() || further.is_empty());
    Some(Shape {
        record,
        fields: further,
        key,
        key_field,
        version: version?,
        updated: updated?,
        deleted: deleted?,
        wanted: wanted?,
        links: links?,
    })
}

/// The field of the record that a pointer in the item names, where it is one.
fn field_of(pointer: &str, record: Option<&str>) -> Option<String> {
    let within = pointer.strip_prefix(record.unwrap_or_default()).unwrap_or(pointer);
    let name = within.strip_prefix('/')?;
    (!name.contains('/') && !name.is_empty()).then(|| name.replace("~1", "/").replace("~0", "~"))
}

/// `{/PLACE: TEST}`.
fn tests(found: &Found<'_>) -> Option<Vec<(Pick, Test)>> {
    let one = |(place, found): (&str, Found<'_>)| {
        Some((Pick { at: place_in(&found, place)?, choice: None, then: None }, rule::test(&found)?))
    };
    found.entries()?.into_iter().map(one).collect()
}

/// Keys of deleted records in the same answer.
fn tombstones(found: &Found<'_>) -> Option<(Items, Shape)> {
    let fields = found.fields()?;
    let list = fields.need("items").and_then(|found| items(&found));
    let shape = shape(&fields);
    let named = fields.text("as");
    fields.done();
    let (mut list, mut shape) = (list?, shape?);
    // There may be none.
    list.optional = true;
    if shape.key.is_none() {
        shape.key = Some(Pick { at: Text::parse("").ok()?, choice: None, then: None });
    }
    shape.key_field = named.or(shape.key_field);
    Some((list, shape))
}

/// A request of its own for what was deleted.
fn deletes(found: &Found<'_>) -> Option<Feed> {
    let fields = found.fields()?;
    let request = fields.need("request").and_then(|found| asked(&found));
    let list = fields.take("items").map_or_else(|| Some(whole()), |found| items(&found));
    let next = match (fields.take("next"), &request) {
        (Some(found), Some(request)) => next(&found, request),
        (None, _) => Some(Next::One),
        (Some(_), None) => None,
    };
    let item = fields.need("item").and_then(|found| {
        let fields = found.fields()?;
        let shape = shape(&fields);
        let named = fields.text("as");
        fields.done();
        let shape = shape?;
        if shape.key.is_none() {
            found.error_hint("does not say which record it is", "say `key:`");
            return None;
        }
        Some(Shape { key_field: named.or(shape.key_field.clone()), ..shape })
    });
    fields.done();
    let (request, query) = request?;
    Some(Feed { request, query, items: list?, next: next?, item: item?, tombstones: None, deletions: true })
}

/// `one:`, the request for a single record.
fn one(found: &Found<'_>) -> Option<One> {
    let fields = found.fields()?;
    let request = fields.need("request").and_then(|found| asked(&found));
    let list = fields.take("items").map_or(Some(None), |found| items(&found).map(Some));
    let item = fields.take("item").map_or(Some(None), |found| {
        let fields = found.fields()?;
        let shape = shape(&fields);
        fields.done();
        shape.map(Some)
    });
    fields.done();
    let (request, query) = request?;
    Some(One { request, query, items: list?, item: item? })
}

fn cursor(found: &Found<'_>, item: Option<&Shape>, next: Option<&Next>) -> Option<Cursor> {
    const KINDS: [(&str, u8); 3] = [("opaque", 0), ("timestamp", 1), ("sequence", 2)];
    let fields = found.fields()?;
    let kind = fields.need("kind").and_then(|found| found.choice("kind of cursor", &KINDS));
    let from = match fields.take("from") {
        None => Some(From::Updated),
        Some(found) if found.node_text() == Some("updated") => Some(From::Updated),
        Some(found) if found.node_text().is_some_and(|text| text.starts_with('/')) => pick(&found).map(From::Item),
        Some(found) => select(&found).map(From::Answer),
    };
    let overlap = fields.take("overlap");
    let sorted = fields.take("sorted").map_or(Some(false), |found| found.flag());
    let is_url = fields.flag("url");
    fields.done();
    let (kind, from) = (kind?, from?);
    match (kind, &from) {
        (0, From::Updated | From::Item(_)) => {
            found.error_hint("a word of the source's own stands in its answer", "write `from: \"json:/PLACE\"`");
            return None;
        }
        (2, From::Updated) => {
            found.error_hint(
                "does not say where the number stands",
                "write `from: /PLACE` of an item, or `from: \"json:/PLACE\"`",
            );
            return None;
        }
        (1, From::Updated) if item.is_some_and(|item| item.updated.is_none()) => {
            found.error_hint("the items do not say when they were changed", "say `updated:` of an item");
            return None;
        }
        _ => {}
    }
    if is_url && kind != 0 {
        found.error_hint("only an opaque cursor is an address", "leave `url` out");
    }
    let kind = match (kind, overlap) {
        (0, None) => Kind::Opaque,
        (0, Some(overlap)) => {
            overlap.error_hint("an opaque cursor has no overlap", "leave it out");
            return None;
        }
        (1, None) => Kind::Timestamp(Pull::OVERLAP),
        (1, Some(overlap)) => Kind::Timestamp(span(&overlap)?),
        (_, overlap) => {
            let numbers = overlap.map_or(Some(0), |found| found.integer(0..=1_000_000_000))?;
            Kind::Sequence(u64::try_from(numbers).unwrap_or_default())
        }
    };
    let sorted = sorted? || matches!(next, Some(Next::Keyset));
    Some(Cursor { kind, from, sorted, is_url })
}

/// An overlap; `0` = none.
pub(crate) fn span(found: &Found<'_>) -> Option<std::time::Duration> {
    if matches!(found.node.value, crate::config::tree::Value::Integer(0)) {
        return Some(std::time::Duration::ZERO);
    }
    found.duration()
}
