//! The commented files that `init` and `scaffold connector` write. They are the short reference of the keys.

const SYNC: &str = include_str!("template-sync.yaml");
const CONNECTOR: &str = include_str!("template-connector.yaml");

const ADAPTER: &str = include_str!("template-adapter.yaml");
const FIXTURES: &str = include_str!("template-fixtures.yaml");

/// A commented file of an adapter, and its fixtures.
pub fn adapter(name: &str) -> (String, String) {
    (ADAPTER.replace("{name}", name), FIXTURES.replace("{name}", name))
}

/// A table as `init` found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Its name.
    pub table: String,
    /// Why it cannot be captured; none = it is proposed.
    pub refused: Option<String>,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// A commented `sync.yaml` for a database and its tables; without a database both stand there as examples.
pub fn sync(database: Option<&str>, tables: &[Proposal]) -> String {
    let Some(database) = database else {
        return SYNC
            .replace("database: {database}", "# database: office.db")
            .replace("watch:{watch}", "# watch:\n#   appointments: {}");
    };
    let mut watch = if tables.iter().any(|table| table.refused.is_none()) { "" } else { " {}" }.to_owned();
    for Proposal { table, refused, notes } in tables {
        if refused.is_none() {
            watch.push_str(&format!("\n  {}: {{}}", quoted(table)));
        }
        let refused = refused.iter().map(|why| format!("{table} cannot be captured: it {why}"));
        for comment in refused.chain(notes.iter().cloned()) {
            // A name or reason cannot end the comment it stands in.
            watch.push_str(&format!("\n  # {}", comment.replace(|c: char| c.is_control(), " ")));
        }
    }
    SYNC.replace("{database}", &quoted(database)).replace("{watch}", &watch)
}

/// What a connector's file is written for: an event type and the columns of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Event type.
    pub kind: String,
    /// Columns of the key, in key order.
    pub key: Vec<String>,
}

/// A commented connector file, for a type of events or, when none is known, for appointments.
pub fn connector(name: &str, subject: Option<&Subject>) -> String {
    let text = match subject {
        None => CONNECTOR.replace("{listen}", "appointments").replace("{path}", "appointments/{id}"),
        Some(Subject { kind, key }) => {
            let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let key: String = key.iter().filter(plain).map(|column| format!("/{{{column}}}")).collect();
            CONNECTOR
                .replace("mapping:\n  start: slot.start\n", "# mapping:\n  # start: slot.start\n")
                .replace("{listen}", &quoted(kind))
                .replace("{path}", &format!("records{key}"))
        }
    };
    text.replace("{name}", &quoted(name))
}

/// A text as YAML: plain when it is harmless, else quoted as JSON does.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let word = text.chars().all(harmless) && text.chars().any(|c| c.is_ascii_alphabetic()) && !text.starts_with('-');
    let constant = ["true", "false", "null"].iter().any(|constant| text.eq_ignore_ascii_case(constant));
    // 1e5 and 0x1F are numbers.
    let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !text.contains('/');
    if word && !constant && !number { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn the_written_files_load_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let proposed = |table: &str| Proposal { table: table.to_owned(), ..Proposal::default() };
        let mut tables = ["appointments", "wei\"rd: #1", "2024"].map(proposed).to_vec();
        tables.push(Proposal { refused: Some("has no\nprimary key".into()), ..proposed("notes\r") });
        std::fs::write(folder.path().join("sync.yaml"), sync(Some("my office, 1.2.db"), &tables)).unwrap();
        std::fs::create_dir(folder.path().join("connectors")).unwrap();
        std::fs::write(folder.path().join("connectors/vista.yaml"), connector("a: b", None)).unwrap();
        let subject = Subject { kind: "2024".into(), key: vec!["a".into(), "b c".into()] };
        std::fs::write(folder.path().join("connectors/wo.yaml"), connector("wo", Some(&subject))).unwrap();
        let config = config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let watched: Vec<&str> = config.settings.watch.iter().map(|watch| watch.table.as_str()).collect();
        assert_eq!(watched, ["appointments", "wei\"rd: #1", "2024"]);
        assert_eq!(config.settings.databases[0].path, folder.path().join("my office, 1.2.db"));
        assert_eq!(&*config.connectors[0].name, "a: b");
        assert_eq!(config.connectors[1].listen.patterns(), ["2024"]);
        std::fs::write(folder.path().join("sync.yaml"), sync(None, &[])).unwrap();
        let config = config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.settings.databases.is_empty() && config.settings.watch.is_empty());
    }
}
