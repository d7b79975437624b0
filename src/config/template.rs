//! The commented files that `init` and `scaffold connector` write. They are the short reference of the keys.

const SYNC: &str = include_str!("template-sync.yaml");
const CONNECTOR: &str = include_str!("template-connector.yaml");

/// A commented `sync.yaml` for a database and the tables to watch.
pub fn sync(database: &str, tables: &[String]) -> String {
    let watch = match tables {
        [] => " {}".to_owned(),
        tables => tables.iter().map(|table| format!("\n  {}: {{}}", quoted(table))).collect(),
    };
    SYNC.replace("{database}", &quoted(database)).replace("{watch}", &watch)
}

/// A commented connector file.
pub fn connector(name: &str) -> String {
    CONNECTOR.replace("{name}", &quoted(name))
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
        let tables = ["appointments".to_owned(), "wei\"rd: #1".to_owned(), "2024".to_owned()];
        std::fs::write(folder.path().join("sync.yaml"), sync("my office, 1.2.db", &tables)).unwrap();
        std::fs::create_dir(folder.path().join("connectors")).unwrap();
        std::fs::write(folder.path().join("connectors/vista.yaml"), connector("a: b")).unwrap();
        let config = config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        let watched: Vec<&str> = config.settings.watch.iter().map(|watch| watch.table.as_str()).collect();
        assert_eq!(watched, ["appointments", "wei\"rd: #1", "2024"]);
        assert_eq!(config.settings.databases[0].path, folder.path().join("my office, 1.2.db"));
        assert_eq!(&*config.connectors[0].name, "a: b");
    }
}
