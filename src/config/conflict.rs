//! A conflict file: who wins when both sides changed a record.

use std::sync::Arc;

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::problem::Place;
use crate::rules::conflict::{DELETES, DeleteRule, Group, Guard, Policy, Rule, WINNERS, Winner};

/// The conflict rules of one table.
#[derive(Clone, Debug)]
pub struct ConflictRules {
    /// Its rules.
    pub policy: Policy,
    /// Its key, as the file has it.
    pub key: Vec<String>,
    /// The file.
    pub file: String,
    /// What it names that only a look at the tables and connectors can tell right from wrong.
    pub named: Vec<Named>,
}

/// A name in a conflict file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it should be the name of.
    pub what: What,
    /// The name.
    pub name: String,
    /// Path of the key.
    pub key: String,
    /// Where it stands.
    pub place: Place,
}

/// What a name in a conflict file should be the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The table.
    Table,
    /// A column of the key.
    Key,
    /// A group that is new here: no column's.
    Group,
    /// A column of the table.
    Column,
    /// A column, or a group.
    Unit,
    /// A column that the guard is given.
    Parameter,
    /// A connector, an adapter, the office or `hms`.
    Authority,
}

impl ConflictRules {
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
        let mut named = Vec::new();
        let table = fields.need("table");
        let table = table.and_then(|found| note(&mut named, What::Table, &found));
        let key = fields.need("key").and_then(|found| notes(&mut named, What::Key, &found));
        let items = fields.take("groups").and_then(|found| found.items()).unwrap_or_default();
        let groups = groups(&items, &mut named);
        let read = fields.need("rules").and_then(|found| found.items()).map(|items| rules(&items, &groups, &mut named));
        let delete = fields.take("delete").and_then(|found| delete(&found)).unwrap_or_default();
        let guard = fields.take("guard").map(|found| guard(&found, &mut named));
        let times = fields.take("times").and_then(|found| found.fields());
        let tolerance = times.as_ref().and_then(|times| times.duration("tolerance"));
        let untrusted = times.as_ref().and_then(|times| untrusted(times, &mut named));
        times.into_iter().for_each(Fields::done);
        fields.done();
        let Rules { rules, otherwise } = read?;
        Some(ConflictRules {
            policy: Policy {
                table: table?.into(),
                groups,
                rules,
                otherwise,
                delete,
                guard: guard.flatten(),
                tolerance: tolerance.unwrap_or(Policy::TOLERANCE),
                untrusted: untrusted.unwrap_or(Rule::of(Winner::Manual)),
            },
            key: key?,
            file: found.source.name.clone(),
            named,
        })
    }

    /// Whether these are the rules of a watched table: by its name, or its event type.
    pub fn is_of(&self, table: &str, kind: &str) -> bool {
        let name = &*self.policy.table;
        name == kind || name.eq_ignore_ascii_case(table)
    }
}

/// The rules of a watched table; a table without a file of its own leaves every conflict to a person.
pub fn policy_of(conflicts: &[ConflictRules], table: &str, kind: &str) -> Policy {
    let rules = conflicts.iter().find(|rules| rules.is_of(table, kind)).map(|rules| rules.policy.clone());
    // The metric and the log of conflicts name the table as the application does.
    Policy { table: table.into(), ..rules.unwrap_or_else(|| Policy::none(table)) }
}

/// Takes a name down.
fn note(named: &mut Vec<Named>, what: What, found: &Found<'_>) -> Option<String> {
    let name = found.text()?.to_owned();
    named.push(Named { what, name: name.clone(), key: found.key.clone(), place: found.node.place });
    Some(name)
}

/// Takes one name or several down.
fn notes(named: &mut Vec<Named>, what: What, found: &Found<'_>) -> Option<Vec<String>> {
    let names = found.texts()?;
    let notes = found.one_or_many().iter().filter_map(|item| note(named, what, item)).collect::<Vec<_>>();
    (notes.len() == names.len()).then_some(names)
}

fn groups(items: &[Found<'_>], named: &mut Vec<Named>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for item in items {
        let Some(fields) = item.fields() else { continue };
        let name = fields.need("name").and_then(|found| note(named, What::Group, &found));
        let mut members: Vec<Arc<str>> = Vec::new();
        if let Some(found) = fields.need("fields").filter(|found| found.texts().is_some()) {
            for field in found.one_or_many() {
                let Some(name) = note(named, What::Column, &field) else { continue };
                let elsewhere = groups.iter().find(|group| group.fields.iter().any(|known| **known == *name));
                if members.iter().any(|known| **known == *name) {
                    field.error(format!("names `{name}` a second time"));
                } else if let Some(group) = elsewhere {
                    field.error(format!(
                        "`{name}` is in the group `{}` already: a field is in one group only",
                        group.name
                    ));
                } else {
                    members.push(name.as_str().into());
                }
            }
        }
        fields.done();
        let Some(name) = name else { continue };
        if groups.iter().any(|group| *group.name == *name) {
            item.error(format!("is the second group `{name}`"));
        }
        groups.push(Group { name: name.into(), fields: members });
    }
    groups
}

/// What stands under `rules:`.
struct Rules {
    rules: Vec<(Arc<str>, Rule)>,
    otherwise: Option<Rule>,
}

fn rules(items: &[Found<'_>], groups: &[Group], named: &mut Vec<Named>) -> Rules {
    let mut read = Rules { rules: Vec::new(), otherwise: None };
    for item in items {
        if item.is_text() {
            let Some(source) = sentence(item, named) else { continue };
            // Of several sentences the first comes first.
            let all = read.otherwise.get_or_insert_with(|| Rule::of(Winner::Authority));
            if all.order.contains(&source) {
                item.error("says the same a second time");
            }
            all.order.push(source);
            continue;
        }
        let Some((field, rule)) = rule(item, named) else { continue };
        let member = |group: &&Group| *group.name != *field && group.fields.iter().any(|known| **known == *field);
        if let Some(group) = groups.iter().find(member) {
            item.error_hint(
                format!("is about a field of the group `{0}`, which is decided as a whole", group.name),
                format!("write `field: {}`", group.name),
            );
        } else if read.rules.iter().any(|(other, _)| **other == *field) {
            item.error("is the second rule for this field");
        }
        read.rules.push((field.into(), rule));
    }
    read
}

fn rule(found: &Found<'_>, named: &mut Vec<Named>) -> Option<(String, Rule)> {
    let fields = found.fields()?;
    let field = fields.need("field").and_then(|found| note(named, What::Unit, &found));
    let winner = fields.need("winner").and_then(|found| found.choice("winner", &WINNERS));
    let rule = ordered(&fields, winner, named);
    fields.done();
    Some((field?, rule?))
}

/// A rule with its order of authority: that of `authority`, and what decides a tie of the rules by time.
fn ordered(fields: &Fields<'_>, winner: Option<Winner>, named: &mut Vec<Named>) -> Option<Rule> {
    let order = fields.take("order");
    let winner = winner?;
    if let Some(order) = order.as_ref().filter(|_| winner != Winner::Authority && !winner.by_time()) {
        order.error_hint(
            format!("has no effect with `{}`", winner.word()),
            "it is for `authority`, and for a tie of `earliest_change` and `latest_change`",
        );
    }
    let order = match order {
        Some(found) => notes(named, What::Authority, &found)?,
        None if winner == Winner::Authority => {
            fields.need("order")?;
            return None;
        }
        None => Vec::new(),
    };
    Some(Rule { winner, order })
}

/// `times.untrusted`; none = it does not say.
fn untrusted(times: &Fields<'_>, named: &mut Vec<Named>) -> Option<Rule> {
    let found = times.take("untrusted");
    let winner = found.as_ref().and_then(|found| found.choice("rule", &WINNERS));
    if let (Some(found), Some(winner)) = (&found, winner.filter(|winner| winner.by_time())) {
        found.error_hint(
            format!("`{}` would ask for the times that cannot be trusted", winner.word()),
            "write manual, local, remote or authority",
        );
    }
    if found.is_none() {
        if let Some(order) = times.take("order") {
            order.error_hint("has no effect here", "it goes with `untrusted: authority`");
        }
        return None;
    }
    ordered(times, winner, named)
}

/// `if source == lotus_notes then overwrite`: what this source changed wins.
fn sentence(found: &Found<'_>, named: &mut Vec<Named>) -> Option<String> {
    let text = found.text()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["if", "source", "==" | "=", source, "then", "overwrite"] => {
            let name = source.trim_matches(['"', '\'']).to_owned();
            named.push(Named {
                what: What::Authority,
                name: name.clone(),
                key: found.key.clone(),
                place: found.node.place,
            });
            Some(name)
        }
        _ => {
            found.error_hint("is no rule", "write {field: NAME, winner: WORD} or: if source == NAME then overwrite");
            None
        }
    }
}

fn delete(found: &Found<'_>) -> Option<DeleteRule> {
    let fields = found.fields()?;
    let wins = fields.need("vsUpdate").and_then(|found| found.choice("such rule", &DELETES));
    fields.done();
    wins
}

fn guard(found: &Found<'_>, named: &mut Vec<Named>) -> Option<Guard> {
    let guard = Guard::parse(found.text()?).map_err(|why| found.error(why)).ok()?;
    named.extend(guard.parameters.iter().map(|name| Named {
        what: What::Parameter,
        name: name.to_string(),
        key: found.key.clone(),
        place: found.node.place,
    }));
    Some(guard)
}
