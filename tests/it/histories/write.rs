//! The statements of a history: every way to write a row, a third of them bound to collide.

use super::make::{Column, Kind, Maker, Sketch, q};

impl Maker {
    /// One statement on a table.
    pub fn statement(&mut self, table: &Sketch) -> String {
        let on = q(&table.name);
        let or = self.one(&[
            "",
            "",
            "",
            " OR REPLACE",
            " OR REPLACE",
            " OR IGNORE",
            " OR FAIL",
            " OR ROLLBACK",
            " OR ABORT",
        ]);
        let or = if !self.fail && or == " OR FAIL" { "" } else { or };
        match self.dice.u32(..100) {
            0..=24 => {
                let (names, rows) = self.rows(table);
                format!("INSERT{or} INTO {on}({names}) VALUES {rows}")
            }
            25..=36 => {
                let (names, rows) = self.rows(table);
                format!("REPLACE INTO {on}({names}) VALUES {rows}")
            }
            37..=44 if table.upsert => {
                let (names, rows) = self.rows(table);
                let keys: Vec<String> = table.key.iter().map(|at| q(&table.columns[*at].name)).collect();
                let action = match self.dice.u32(..4) {
                    0 => "NOTHING".to_owned(),
                    _ => format!("UPDATE SET {}", self.sets(table)),
                };
                format!("INSERT INTO {on}({names}) VALUES {rows} ON CONFLICT({}) DO {action}", keys.join(","))
            }
            45..=48 => {
                let names: Vec<String> = writable(table).map(|column| q(&column.name)).collect();
                let from: Vec<String> = writable(table)
                    .map(|column| match column.kind {
                        Kind::Int if self.chance(40) => format!("{} + 1", q(&column.name)),
                        _ => q(&column.name),
                    })
                    .collect();
                format!("INSERT{or} INTO {on}({}) SELECT {} FROM {on}", names.join(","), from.join(","))
            }
            49..=74 => format!("UPDATE{or} {on} SET {}{}", self.sets(table), self.condition(table)),
            75..=84 => format!("DELETE FROM {on}{}", self.condition(table)),
            85 | 86 => "BEGIN".to_owned(),
            87..=89 => "COMMIT".to_owned(),
            90 => "ROLLBACK".to_owned(),
            91 | 92 => "SAVEPOINT s".to_owned(),
            93 => "ROLLBACK TO s".to_owned(),
            94 => "RELEASE s".to_owned(),
            95 | 96 => "PRAGMA recursive_triggers = ON".to_owned(),
            97 => "PRAGMA recursive_triggers = OFF".to_owned(),
            98 => "PRAGMA defer_foreign_keys = ON".to_owned(),
            _ => format!("UPDATE {on} SET {0} = {0}", q(&table.columns[table.columns.len() - 1].name)),
        }
    }

    /// Column names and rows of an INSERT.
    fn rows(&mut self, table: &Sketch) -> (String, String) {
        let mut columns: Vec<(usize, &Column)> =
            table.columns.iter().enumerate().filter(|(_, column)| column.kind != Kind::Generated).collect();
        if self.chance(20) {
            columns.retain(|(at, _)| table.key.contains(at) || self.dice.bool());
        }
        let names: Vec<String> = columns.iter().map(|(_, column)| q(&column.name)).collect();
        let rows: Vec<String> = (0..self.dice.usize(1..4))
            .map(|_| {
                let values: Vec<String> = columns
                    .iter()
                    .map(
                        |(at, column)| {
                            if table.key.contains(at) { self.key_value(column.kind) } else { self.value(column.kind) }
                        },
                    )
                    .collect();
                format!("({})", values.join(","))
            })
            .collect();
        (names.join(","), rows.join(","))
    }

    fn sets(&mut self, table: &Sketch) -> String {
        let mut sets = Vec::new();
        for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| column.kind != Kind::Generated) {
            let key = table.key.contains(&at);
            if !self.chance(if key { 25 } else { 30 }) {
                continue;
            }
            let name = q(&column.name);
            sets.push(match column.kind {
                Kind::Int if self.chance(40) => format!("{name} = {name} {} 1", self.one(&["+", "-"])),
                Kind::Text if self.chance(25) => format!("{name} = {}({name})", self.one(&["upper", "lower", "rtrim"])),
                kind if key => format!("{name} = {}", self.key_value(kind)),
                kind => format!("{name} = {}", self.value(kind)),
            });
        }
        if sets.is_empty() {
            let column = &table.columns[table.key[0]];
            sets.push(format!("{0} = {0}", q(&column.name)));
        }
        sets.join(", ")
    }

    fn condition(&mut self, table: &Sketch) -> String {
        if self.chance(20) {
            return String::new();
        }
        let at = self.dice.usize(..table.columns.len());
        let column = &table.columns[at];
        let value = if table.key.contains(&at) { self.key_value(column.kind) } else { self.value(column.kind) };
        let sign = self.one(&["=", "=", "IS", ">", "<"]);
        format!(" WHERE {} {sign} {value}", q(&column.name))
    }
}

fn writable(table: &Sketch) -> impl Iterator<Item = &Column> {
    table.columns.iter().filter(|column| column.kind != Kind::Generated)
}
