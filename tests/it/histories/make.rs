//! Makes random applications: a schema, triggers of its own, and a history of statements over few enough values
//! that collisions are the rule.

use hms_sync::store::capture::{Depth, WatchSpec};

use super::engine::Ability;

/// One application and what it does.
#[derive(Debug)]
pub struct History {
    /// Tables and indexes.
    pub schema: Vec<String>,
    /// The application's own triggers that exist before ours.
    pub older: Vec<String>,
    /// Its triggers that are made after ours.
    pub newer: Vec<String>,
    /// What is watched.
    pub watch: Vec<WatchSpec>,
    /// What the application runs; any of it may fail.
    pub statements: Vec<String>,
    /// No trigger or self-reference writes a row twice within a statement: `before` must be what the replay held.
    pub plain: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Int,
    Text,
    Real,
    Any,
    /// Refers to the key.
    Parent,
    Generated,
}

pub struct Column {
    pub name: String,
    pub kind: Kind,
}

pub struct Sketch {
    pub name: String,
    pub columns: Vec<Column>,
    pub key: Vec<usize>,
    pub unique: Vec<Vec<usize>>,
    pub upsert: bool,
}

const ODD: [&str; 8] =
    ["select", "na\"me", "naïve 列", "a'b", "wei\"rd 't; DROP TABLE x--", "[x]", "c0", "r.\"x\" -- "];

pub struct Maker {
    pub dice: fastrand::Rng,
    ability: Ability,
    odd: bool,
    used: usize,
    /// Statements may say OR FAIL.
    pub fail: bool,
}

impl Maker {
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.dice.usize(..of.len())]
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.dice.u32(..100) < percent
    }

    fn name(&mut self, plain: &str) -> String {
        self.used += 1;
        if self.odd { format!("{}{}", ODD[self.used % ODD.len()], self.used) } else { plain.to_owned() }
    }

    fn collation(&mut self) -> &'static str {
        self.one(&["", "", " COLLATE NOCASE", " COLLATE RTRIM"])
    }

    fn conflict(&mut self) -> &'static str {
        self.one(&[
            "",
            "",
            "",
            " ON CONFLICT REPLACE",
            " ON CONFLICT REPLACE",
            " ON CONFLICT IGNORE",
            " ON CONFLICT FAIL",
        ])
    }

    fn text(&mut self) -> String {
        self.one(&["'a'", "'A'", "'b'", "'b '", "'B'", "'c'", "'a '", "''", "'1'"]).to_owned()
    }

    pub fn value(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Int | Kind::Parent if self.chance(12) => "NULL".to_owned(),
            Kind::Int | Kind::Parent => self.dice.i32(1..7).to_string(),
            Kind::Text if self.chance(8) => "NULL".to_owned(),
            Kind::Text => self.text(),
            Kind::Real => {
                self.one(&["1.5", "2", "0.1+0.2", "1e999", "-1e999", "NULL", "1.7976931348623157e308"]).to_owned()
            }
            Kind::Any | Kind::Generated => match self.dice.u32(..9) {
                0 => "NULL".to_owned(),
                1 => "5.0".to_owned(),
                2 => "5".to_owned(),
                3 => "x'00ff'".to_owned(),
                4 => "9007199254740993".to_owned(),
                5 => "CAST(x'ff41' AS TEXT)".to_owned(),
                6 => "'x' || char(0) || 'y'".to_owned(),
                7 => self.text(),
                _ => self.dice.i32(1..7).to_string(),
            },
        }
    }

    pub fn key_value(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Text => self.text(),
            Kind::Any => self.one(&["5", "5.0", "'a'", "'A'", "6", "x'61'", "7"]).to_owned(),
            _ => self.dice.i32(1..7).to_string(),
        }
    }
}

pub fn q(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The history of a seed.
pub fn history(seed: u64, ability: Ability) -> History {
    let mut maker = Maker { dice: fastrand::Rng::with_seed(seed), ability, odd: false, used: 0, fail: true };
    maker.odd = maker.chance(25);
    let mut history = History {
        schema: Vec::new(),
        older: Vec::new(),
        newer: Vec::new(),
        watch: Vec::new(),
        statements: Vec::new(),
        plain: true,
    };
    let main = maker.table(&mut history, None);
    let child = maker.chance(35).then(|| maker.table(&mut history, Some(&main)));
    let log = maker.name("applog");
    history.schema.push(format!("CREATE TABLE {}(n INTEGER PRIMARY KEY, t)", q(&log)));
    for _ in 0..maker.one::<usize>(&[&0, &0, &0, &1, &2]).to_owned() {
        let trigger = maker.trigger(&main, child.as_ref(), &log, history.older.len() + history.newer.len());
        history.plain = false;
        if maker.chance(50) { &mut history.older } else { &mut history.newer }.push(trigger);
    }
    if maker.chance(70) {
        history.statements.push("PRAGMA foreign_keys = ON".to_owned());
    }
    if history.newer.iter().any(|trigger| trigger.contains(" AFTER ")) {
        // A constraint that fails under FAIL inside a newer AFTER trigger ends the statement before ours ran, and
        // the row stays: the same hole as RAISE(FAIL) there.
        maker.fail = false;
        history.schema.iter_mut().for_each(|sql| *sql = sql.replace(" ON CONFLICT FAIL", " ON CONFLICT ABORT"));
    }
    let tables: Vec<&Sketch> = std::iter::once(&main).chain(child.as_ref()).collect();
    for _ in 0..maker.dice.usize(6..36) {
        let table = tables[maker.dice.usize(..tables.len())];
        let statement = maker.statement(table);
        history.statements.push(statement);
    }
    history
}

impl Maker {
    /// A table, its place in the schema and in what is watched.
    fn table(&mut self, history: &mut History, parent: Option<&Sketch>) -> Sketch {
        let mut sketch =
            Sketch { name: self.name("t"), columns: Vec::new(), key: Vec::new(), unique: Vec::new(), upsert: true };
        if parent.is_some() && !self.odd {
            sketch.name = "child".to_owned();
        }
        let mut parts: Vec<String> = Vec::new();
        let mut tail = "";
        let mut configured = false;
        let mut single = true;
        let column = |maker: &mut Maker, sketch: &mut Sketch, plain: &str, kind: Kind| {
            let name = maker.name(plain);
            let quoted = q(&name);
            sketch.columns.push(Column { name, kind });
            quoted
        };
        match self.dice.u32(..7) {
            0 | 1 => {
                let id = column(self, &mut sketch, "id", Kind::Int);
                let conflict = self.conflict();
                parts.push(format!("{id} INTEGER PRIMARY KEY{conflict}"));
                sketch.key = vec![0];
            }
            2 => {
                let k = column(self, &mut sketch, "k", Kind::Text);
                parts.push(format!("{k} TEXT{} NOT NULL PRIMARY KEY{}", self.collation(), self.conflict()));
                sketch.key = vec![0];
                tail = self.one(&["", " WITHOUT ROWID"]);
            }
            3 => {
                let a = column(self, &mut sketch, "a", Kind::Text);
                let b = column(self, &mut sketch, "b", Kind::Int);
                parts.push(format!("{a} TEXT{} NOT NULL", self.collation()));
                parts.push(format!("{b} INT NOT NULL"));
                parts.push(format!("PRIMARY KEY({b}, {a}){}", self.conflict()));
                sketch.key = vec![1, 0];
                tail = self.one(&["", " WITHOUT ROWID"]);
                single = false;
            }
            4 => {
                let k = column(self, &mut sketch, "k", Kind::Any);
                parts.push(format!("{k} {}NOT NULL PRIMARY KEY{}", self.one(&["", "BLOB "]), self.conflict()));
                sketch.key = vec![0];
                tail = self.one(&["", " WITHOUT ROWID"]);
            }
            5 => {
                let id = column(self, &mut sketch, "id", Kind::Int);
                let mrn = column(self, &mut sketch, "mrn", Kind::Text);
                parts.push(format!("{id} INTEGER PRIMARY KEY"));
                parts.push(format!("{mrn} TEXT{} NOT NULL UNIQUE{}", self.collation(), self.conflict()));
                sketch.key = vec![1];
                sketch.unique.push(vec![0]);
                configured = true;
            }
            _ => {
                let k = column(self, &mut sketch, "k", Kind::Text);
                parts.push(format!("{k} TEXT NOT NULL"));
                parts.push(format!("PRIMARY KEY({k} COLLATE NOCASE)"));
                sketch.key = vec![0];
                sketch.upsert = false;
                single = false;
            }
        }
        let mut constraints =
            parts.iter().position(|part| part.starts_with("PRIMARY")).map(|at| parts.split_off(at)).unwrap_or_default();
        for (plain, kind, declared) in [
            ("u", Kind::Text, "TEXT"),
            ("w", Kind::Int, "INT"),
            ("v", Kind::Any, ""),
            ("real", Kind::Real, "REAL"),
            ("touch", Kind::Int, "INT"),
        ] {
            let name = column(self, &mut sketch, plain, kind);
            let at = sketch.columns.len() - 1;
            let collation = if kind == Kind::Text { self.collation() } else { "" };
            let mut part = format!("{name} {declared}{collation}");
            if matches!(plain, "u" | "w") && self.chance(50) {
                if self.chance(20) {
                    part += if kind == Kind::Text { " NOT NULL DEFAULT 'a'" } else { " NOT NULL DEFAULT 2" };
                }
                part += &format!(" UNIQUE{}", self.conflict());
                sketch.unique.push(vec![at]);
            }
            parts.push(part);
        }
        let (u, w) = (sketch.columns.len() - 5, sketch.columns.len() - 4);
        if single && self.chance(30) {
            let name = column(self, &mut sketch, "parent", Kind::Parent);
            sketch.columns.last_mut().unwrap().kind = match sketch.columns[sketch.key[0]].kind {
                Kind::Int => Kind::Parent,
                kind => kind,
            };
            let key = q(&sketch.columns[sketch.key[0]].name);
            parts.push(format!("{name} REFERENCES {}({key}){}", q(&sketch.name), self.actions()));
            history.plain = false;
        }
        if let Some(parent) = parent.filter(|parent| parent.key.len() == 1 && parent.upsert) {
            let key = &parent.columns[parent.key[0]];
            let name = column(self, &mut sketch, "pid", key.kind);
            parts.push(format!("{name} REFERENCES {}({}){}", q(&parent.name), q(&key.name), self.actions()));
        }
        if self.ability.generated && self.chance(15) {
            let of = q(&sketch.columns[u].name);
            let name = column(self, &mut sketch, "g", Kind::Generated);
            let stored = self.one(&["", " STORED"]);
            // Not unique where OR REPLACE may turn a NULL of its source into a default: see `Table::warnings`.
            let unique =
                if self.chance(50) && !parts.iter().any(|part| part.contains("DEFAULT 'a'")) { " UNIQUE" } else { "" };
            parts.push(format!("{name} TEXT AS (lower({of})){stored}{unique}"));
        }
        parts.append(&mut constraints);
        if self.chance(15) {
            let (u, w) = (q(&sketch.columns[u].name), q(&sketch.columns[w].name));
            parts.push(format!("UNIQUE({w}, {u}){}", self.conflict()));
        }
        let strict = self.ability.strict && !configured && self.chance(15);
        if strict {
            for part in &mut parts {
                // A STRICT table wants a type everywhere.
                if part.starts_with(&format!("{} ", q(&sketch.columns[w + 1].name))) {
                    *part += "ANY";
                }
                if !part.starts_with("PRIMARY")
                    && (part.contains(" REFERENCES ")
                        || part.contains("BLOB NOT")
                        || part.contains("\" NOT NULL PRIMARY"))
                {
                    *part = part
                        .replace(" REFERENCES ", " ANY REFERENCES ")
                        .replace("BLOB NOT", "ANY NOT")
                        .replace("\" NOT NULL PRIMARY", "\" ANY NOT NULL PRIMARY");
                }
            }
            tail = if tail.is_empty() { " STRICT" } else { " STRICT, WITHOUT ROWID" };
        }
        history.schema.push(format!("CREATE TABLE {}({}){tail}", q(&sketch.name), parts.join(", ")));
        if self.chance(15) {
            let (u, w) = (q(&sketch.columns[u].name), q(&sketch.columns[w].name));
            let index = self.name(if parent.is_some() { "ci" } else { "ti" });
            let sql = match self.dice.u32(..3) {
                0 => format!("CREATE UNIQUE INDEX {} ON {}({u}) WHERE {w} > 2", q(&index), q(&sketch.name)),
                1 => format!("CREATE UNIQUE INDEX {} ON {}({u} COLLATE NOCASE, {w} DESC)", q(&index), q(&sketch.name)),
                _ => format!("CREATE UNIQUE INDEX {} ON {}({w})", q(&index), q(&sketch.name)),
            };
            history.schema.push(sql);
        }
        let mut spec = WatchSpec::table(&sketch.name);
        if configured {
            spec.key = Some(vec![sketch.columns[sketch.key[0]].name.clone()]);
        }
        if self.chance(10) {
            spec.exclude = vec![sketch.columns[u].name.clone()];
        } else if self.chance(5) {
            spec.capture = Depth::Key;
        }
        history.watch.push(spec);
        sketch
    }

    fn actions(&mut self) -> String {
        let delete = self.one(&[
            "",
            " ON DELETE CASCADE",
            " ON DELETE CASCADE",
            " ON DELETE SET NULL",
            " ON DELETE SET DEFAULT",
        ]);
        let update = self.one(&["", " ON UPDATE CASCADE", " ON UPDATE CASCADE", " ON UPDATE SET NULL"]);
        let deferred = self.one(&["", " DEFERRABLE INITIALLY DEFERRED"]);
        format!("{delete}{update}{deferred}")
    }

    /// A trigger of the application itself.
    fn trigger(&mut self, table: &Sketch, child: Option<&Sketch>, log: &str, at: usize) -> String {
        let name = q(&format!("app{at}{}", if self.odd { "'\"" } else { "" }));
        let on = q(&table.name);
        let column = |at: usize| q(&table.columns[at].name);
        let touch = q(&table
            .columns
            .iter()
            .find(|column| column.name.starts_with("touch"))
            .unwrap_or(&table.columns[table.columns.len() - 1])
            .name);
        let touch =
            if table.columns.last().is_some_and(|column| q(&column.name) == touch && column.kind == Kind::Generated) {
                column(table.columns.len() - 2)
            } else {
                touch
            };
        let v = table.columns.iter().find(|column| {
            column.kind == Kind::Any && !table.key.iter().any(|key| table.columns[*key].name == column.name)
        });
        let v = q(&v.unwrap_or(&table.columns[table.columns.len() - 1]).name);
        let is = |row: &str| {
            table.key.iter().map(|at| format!("{0} = {row}.{0}", column(*at))).collect::<Vec<_>>().join(" AND ")
        };
        let key_columns: Vec<String> = table.key.iter().map(|at| column(*at)).collect();
        let old_key: Vec<String> = key_columns.iter().map(|name| format!("OLD.{name}")).collect();
        let key = &key_columns[0];
        let log = q(log);
        let bump = format!("UPDATE {on} SET {touch} = ifnull({touch}, 0) + 1");
        let body = match self.dice.u32(..12) {
            0 | 1 => {
                format!("AFTER UPDATE ON {on} WHEN NEW.{touch} IS OLD.{touch} BEGIN {bump} WHERE {}; END", is("NEW"))
            }
            2 => format!("AFTER INSERT ON {on} BEGIN {bump} WHERE {}; END", is("NEW")),
            3 => format!("AFTER DELETE ON {on} BEGIN INSERT INTO {log}(t) VALUES(OLD.{key}); END"),
            4 => format!("AFTER UPDATE ON {on} WHEN NEW.{touch} > 4 BEGIN DELETE FROM {on} WHERE {}; END", is("NEW")),
            5 => format!(
                "AFTER DELETE ON {on} WHEN OLD.{v} = 4 BEGIN INSERT OR IGNORE INTO {on}({}) VALUES({}); END",
                key_columns.join(","),
                old_key.join(",")
            ),
            6 => format!(
                "BEFORE INSERT ON {on} BEGIN UPDATE {on} SET {touch} = 9 WHERE {key} IN ('a', 1, 5) AND NOT ({}); END",
                is("NEW")
            ),
            7 => format!(
                "BEFORE INSERT ON {on} WHEN NEW.{v} = 6 BEGIN SELECT RAISE({}); END",
                self.one(&["IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'"])
            ),
            8 => format!(
                "BEFORE UPDATE ON {on} WHEN NEW.{v} = 6 BEGIN SELECT RAISE({}); END",
                self.one(&["IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'"])
            ),
            9 => format!(
                "AFTER UPDATE ON {on} WHEN NEW.{touch} > 3 AND NOT (NEW.{key} IS OLD.{key}) BEGIN UPDATE OR IGNORE {on} SET {key} = {} WHERE {}; END",
                self.key_value(table.columns[table.key[0]].kind),
                is("NEW")
            ),
            10 => match child {
                Some(child) => format!(
                    "AFTER {} ON {} BEGIN {bump} WHERE {key} IN ('a', 1, 5, 3); END",
                    self.one(&["DELETE", "UPDATE", "INSERT"]),
                    q(&child.name)
                ),
                None => format!("AFTER DELETE ON {on} BEGIN {bump} WHERE {key} IN ('a', 1, 5); END"),
            },
            _ => format!(
                "AFTER UPDATE ON {on} WHEN NOT ({}) BEGIN INSERT OR IGNORE INTO {on}({}) VALUES({}); END",
                is("OLD").replace(&format!("{key} ="), &format!("NEW.{key} =")),
                key_columns.join(","),
                old_key.join(",")
            ),
        };
        format!("CREATE TRIGGER {name} {body}")
    }
}
