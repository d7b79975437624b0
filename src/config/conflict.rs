//! A conflict file: who wins when both sides changed a record. Checked now, so that a file written today still
//! loads when pulling takes effect.

use std::time::Duration;

use crate::config::fields::Fields;
use crate::config::found::Found;

/// The conflict rules of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictRules {
    /// The table.
    pub table: String,
    /// Its key.
    pub key: Vec<String>,
    /// Fields that are decided together.
    pub groups: Vec<Group>,
    /// Rules by field or group; a field without a rule is decided by a person.
    pub rules: Vec<Rule>,
    /// A delete against an update.
    pub delete: DeleteWins,
    /// A query that finds rows that must not be (a double booking).
    pub guard: Option<String>,
    /// Changes closer together than this are a tie; default 5 s.
    pub tolerance: Duration,
    /// What decides when the other side's times cannot be trusted; default a person.
    pub untrusted: Winner,
    /// The file.
    pub file: String,
}

/// Fields that are decided together, never mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name that a rule gives.
    pub name: String,
    /// Its fields.
    pub fields: Vec<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Field or group; none = every field without a rule of its own.
    pub field: Option<String>,
    /// Who wins.
    pub winner: Winner,
}

/// Who wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Winner {
    /// The side that changed it first.
    EarliestChange,
    /// The side that changed it last.
    LatestChange,
    /// The application.
    Local,
    /// The outside system.
    Remote,
    /// The first of these that changed it.
    Authority(Vec<String>),
    /// A person decides.
    Manual,
}

/// A delete against an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeleteWins {
    /// The delete.
    Delete,
    /// The update.
    Update,
    /// A person decides.
    #[default]
    Manual,
}

#[derive(Clone, Copy)]
enum Word {
    Earliest,
    Latest,
    Local,
    Remote,
    Authority,
    Manual,
}

const WINNERS: [(&str, Word); 6] = [
    ("earliest_change", Word::Earliest),
    ("latest_change", Word::Latest),
    ("local", Word::Local),
    ("remote", Word::Remote),
    ("authority", Word::Authority),
    ("manual", Word::Manual),
];

impl ConflictRules {
    /// When the file does not say.
    pub const TOLERANCE: Duration = Duration::from_secs(5);

    /// Reads a file's root: one table's rules, or `conflicts:` with a list of them.
    pub(crate) fn read_file(root: &Found<'_>) -> Vec<ConflictRules> {
        let Some(fields) = root.fields() else { return Vec::new() };
        match fields.take("conflicts") {
            Some(list) => {
                fields.done();
                list.items().unwrap_or_default().iter().filter_map(ConflictRules::read).collect()
            }
            None => ConflictRules::read(root).into_iter().collect(),
        }
    }

    /// Reads one table's rules.
    pub(crate) fn read(found: &Found<'_>) -> Option<ConflictRules> {
        let fields = found.fields()?;
        let place = fields.need("table");
        place.iter().for_each(|table| {
            table.warn("conflict rules are accepted but have no effect in this version", None);
        });
        let table = place.and_then(|found| found.text().map(str::to_owned));
        let key = fields.need("key").and_then(|found| found.texts());
        let groups: Vec<Group> = match fields.take("groups").and_then(|found| found.items()) {
            Some(items) => items.iter().filter_map(group).collect(),
            None => Vec::new(),
        };
        let rules = fields.need("rules").and_then(|found| found.items()).map(|items| rules(&items, &groups));
        let delete = fields.take("delete").and_then(|found| delete(&found)).unwrap_or_default();
        let guard = fields.text("guard");
        let times = fields.take("times").and_then(|found| found.fields());
        let tolerance = times.as_ref().and_then(|times| times.duration("tolerance"));
        let untrusted = times.as_ref().and_then(|times| winner(times, "untrusted"));
        times.into_iter().for_each(Fields::done);
        fields.done();
        Some(ConflictRules {
            table: table?,
            key: key?,
            groups,
            rules: rules?,
            delete,
            guard,
            tolerance: tolerance.unwrap_or(ConflictRules::TOLERANCE),
            untrusted: untrusted.unwrap_or(Winner::Manual),
            file: found.source.name.clone(),
        })
    }
}

fn group(found: &Found<'_>) -> Option<Group> {
    let fields = found.fields()?;
    let name = fields.need("name").and_then(|found| found.text().map(str::to_owned));
    let members = fields.need("fields").and_then(|found| found.texts());
    fields.done();
    Some(Group { name: name?, fields: members? })
}

fn rules(items: &[Found<'_>], groups: &[Group]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for item in items {
        let Some(rule) = (if item.is_text() { sentence(item) } else { rule(item) }) else { continue };
        let member = |group: &&Group| rule.field.as_ref().is_some_and(|field| group.fields.contains(field));
        if let Some(group) = groups.iter().find(member) {
            item.error(format!("is about a field of the group `{}`, which is decided as a whole", group.name));
        } else if rule.field.is_some() && rules.iter().any(|other| other.field == rule.field) {
            item.error("is the second rule for this field");
        }
        rules.push(rule);
    }
    rules
}

fn rule(found: &Found<'_>) -> Option<Rule> {
    let fields = found.fields()?;
    let field = fields.need("field").and_then(|found| found.text().map(str::to_owned));
    let winner = winner(&fields, "winner");
    fields.done();
    Some(Rule { field: Some(field?), winner: winner? })
}

fn winner(fields: &Fields<'_>, key: &'static str) -> Option<Winner> {
    // `untrusted:` has a default, a rule's winner has none.
    let found = if key == "winner" { fields.need(key) } else { fields.take(key) };
    let order = fields.take("order");
    let word = found?.choice("winner", &WINNERS)?;
    if let (Some(order), false) = (&order, matches!(word, Word::Authority)) {
        order.error("has no effect without `winner: authority`");
    }
    Some(match word {
        Word::Earliest => Winner::EarliestChange,
        Word::Latest => Winner::LatestChange,
        Word::Local => Winner::Local,
        Word::Remote => Winner::Remote,
        Word::Manual => Winner::Manual,
        Word::Authority => Winner::Authority(order.or_else(|| fields.need("order"))?.texts()?),
    })
}

/// `if source == lotus_notes then overwrite`: what this source changed wins.
fn sentence(found: &Found<'_>) -> Option<Rule> {
    let text = found.text()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["if", "source", "==" | "=", source, "then", "overwrite"] => {
            let source = source.trim_matches(['"', '\'']).to_owned();
            Some(Rule { field: None, winner: Winner::Authority(vec![source]) })
        }
        _ => {
            found.error_hint("is no rule", "write {field: NAME, winner: WORD} or: if source == NAME then overwrite");
            None
        }
    }
}

fn delete(found: &Found<'_>) -> Option<DeleteWins> {
    const WORDS: [(&str, DeleteWins); 3] =
        [("delete_wins", DeleteWins::Delete), ("update_wins", DeleteWins::Update), ("manual", DeleteWins::Manual)];
    let fields = found.fields()?;
    let wins = fields.need("vsUpdate").and_then(|found| found.choice("such rule", &WORDS));
    fields.done();
    wins
}
