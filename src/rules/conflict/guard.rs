//! The guard's query, as far as it can be read without a database.

use std::sync::Arc;

use super::Guard;

impl Guard {
    /// Reads a query: one that only reads, with parameters like `:start` that name columns. Whether the tables have what it says
    /// shows when a database prepares it.
    ///
    /// # Errors
    /// What it is instead, in words.
    pub fn parse(sql: &str) -> Result<Guard, String> {
        let sql = sql.trim().trim_end_matches(';').trim_end();
        let first: String = sql.chars().take_while(char::is_ascii_alphabetic).collect();
        if !["select", "with"].contains(&first.to_ascii_lowercase().as_str()) {
            return Err("is not one query that begins with `SELECT` or `WITH`".to_owned());
        }
        let mut parameters: Vec<Arc<str>> = Vec::new();
        let mut rest = sql;
        while let Some(next) = rest.chars().next() {
            let (end, skip) = match next {
                '\'' | '"' | '`' => (next.to_string(), 1),
                '[' => ("]".to_owned(), 1),
                '/' if rest.starts_with("/*") => ("*/".to_owned(), 2),
                '-' if rest.starts_with("--") => ("\n".to_owned(), 2),
                _ => (String::new(), next.len_utf8()),
            };
            let behind = rest.get(skip..).unwrap_or_default();
            if !end.is_empty() {
                let Some(at) = behind.find(&end) else {
                    return Err(format!("has no end to what begins with `{}`", rest.get(..skip).unwrap_or_default()));
                };
                rest = behind.get(at + end.len()..).unwrap_or_default();
                continue;
            }
            match next {
                ';' => return Err("is more than one query".to_owned()),
                ':' | '@' | '$' => {
                    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
                    let name = behind.split(|letter| !is_name(letter)).next().unwrap_or_default();
                    if next != ':' || name.is_empty() {
                        return Err(format!(
                            "has a parameter `{next}{name}`: write the column's name with a colon, like `:start`"
                        ));
                    }
                    if !parameters.iter().any(|known| **known == *name) {
                        parameters.push(name.into());
                    }
                    rest = behind.get(name.len()..).unwrap_or_default();
                }
                '?' => {
                    return Err("has a parameter `?`: write the column's name with a colon, like `:start`".to_owned());
                }
                _ => rest = behind,
            }
        }
        if parameters.is_empty() {
            return Err("names no column of the row as it would become, like `:start`".to_owned());
        }
        Ok(Guard { sql: sql.to_owned(), parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_that_a_query_names_are_found_outside_of_texts_and_comments() {
        let text =
            "SELECT 1 FROM a WHERE a.room = :room AND a.id <> :id -- not :this\n AND b <> ':that' AND \":x\" < :room;";
        let guard = Guard::parse(text).unwrap_or_else(|why| unreachable!("{why}"));
        assert_eq!(guard.parameters, ["room".into(), "id".into()] as [Arc<str>; 2]);
        assert!(!guard.sql.ends_with(';'));
        for bad in [
            "",
            "DELETE FROM a WHERE id = :id",
            "SELECT 1; SELECT :id",
            "SELECT ?",
            "SELECT @id",
            "SELECT 1",
            "SELECT ':id",
            "SELECT :",
            "selection :id",
        ] {
            assert!(Guard::parse(bad).is_err(), "{bad}");
        }
    }
}
