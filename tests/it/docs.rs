//! The documents are true to the tree: what they name is there, and what they link to as well.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the tree.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !["target", "node_modules"].contains(&name) && !name.starts_with('.') {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// What a document names of the tree: relative link targets, seen from its folder, and `code` that begins with a
/// folder of the tree or is a file at its root.
fn named(document: &str) -> (Vec<&str>, Vec<&str>) {
    let links = document
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://"));
    let folders = ["src/", "docs/", "tests/", "examples/", "systemd/", "benches/", ".ci/"];
    let files = ["schema.sql", "deny.toml", "Cargo.toml"];
    let code = document
        .split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .filter_map(|code| code.split_whitespace().next())
        .filter(|word| folders.iter().any(|folder| word.starts_with(folder)) || files.contains(word));
    (links.collect(), code.collect())
}

/// What of it is not there.
fn dangling(document: &str, folder: &Path) -> Vec<String> {
    let (links, code) = named(document);
    let links = links.into_iter().filter(|link| !folder.join(link).exists());
    let code = code.into_iter().filter(|path| !root().join(path).exists());
    links.chain(code).map(str::to_owned).collect()
}

#[test]
fn what_the_documents_name_is_there() {
    let mut found = Vec::new();
    documents(root(), &mut found);
    for must in ["README.md", "CHANGELOG.md", "docs/ARCHITECTURE.md", "docs/QUEUE.md"] {
        assert!(found.contains(&root().join(must)), "{must}");
    }
    for path in found {
        let missing = dangling(&fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        assert!(missing.is_empty(), "{} names what is not there: {missing:?}", path.display());
    }
}

/// The blocks of code in one language.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<&'d str> {
    let opening = format!("```{language}\n");
    document.split(opening.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

fn connectors() -> String {
    fs::read_to_string(root().join("docs/CONNECTORS.md")).unwrap()
}

#[test]
fn every_converter_stands_in_the_page_of_connectors_and_no_other() {
    let page = connectors();
    let section = page.split("### Converters").nth(1).unwrap().split("\n## ").next().unwrap();
    let listed: Vec<&str> = section
        .split("|---|---|\n")
        .skip(1)
        .flat_map(|table| table.lines().take_while(|line| line.starts_with('|')))
        .filter(|line| !line.contains('%'))
        .collect();
    let known: Vec<String> =
        hms_sync::rules::convert::catalog().into_iter().map(|(name, what)| format!("| `{name}` | {what} |")).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_key_stands_in_the_page_of_connectors() {
    let page = connectors();
    for file in ["everything.yaml", "folder/sync.yaml"] {
        let text = fs::read_to_string(root().join("tests/configs/good").join(file)).unwrap();
        for key in text.lines().filter(|line| !line.starts_with([' ', '#'])).filter_map(|line| line.split(':').next()) {
            assert!(page.contains(&format!("`{key}`")), "docs/CONNECTORS.md does not explain `{key}` of {file}");
        }
    }
}

#[test]
fn the_examples_in_the_page_of_connectors_load() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    let page = connectors();
    let blocks = blocks(&page, "yaml");
    for block in &blocks {
        let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
        fs::write(folder.path().join(name), block).unwrap();
    }
    let config = hms_sync::config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.connectors.len() + 1, blocks.len());
}

#[test]
fn the_examples_in_the_page_of_governance_load() {
    let page = fs::read_to_string(root().join("docs/GOVERNANCE.md")).unwrap();
    let blocks = blocks(&page, "yaml");
    assert_eq!(blocks.len(), 4);
    for pair in blocks.chunks(2) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("connectors")).unwrap();
        for block in pair {
            let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
            fs::write(folder.path().join(name), block).unwrap();
        }
        let config = hms_sync::config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.connectors.len(), 1);
    }
}

#[test]
fn the_examples_in_the_page_of_conflicts_load_and_it_explains_every_word() {
    use hms_sync::rules::conflict::{DELETES, WINNERS};
    let page = fs::read_to_string(root().join("docs/CONFLICTS.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("conflicts")).unwrap();
    fs::write(folder.path().join("sync.yaml"), "office: OF042\n").unwrap();
    let blocks = blocks(&page, "yaml");
    for block in &blocks {
        let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
        fs::write(folder.path().join(name), block).unwrap();
    }
    let config = hms_sync::config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((config.conflicts.len(), blocks.len()), (2, 2));
    for word in WINNERS.map(|(word, _)| word).iter().chain(&DELETES.map(|(word, _)| word)) {
        assert!(page.contains(&format!("`{word}`")), "docs/CONFLICTS.md does not explain `{word}`");
    }
}

#[test]
fn what_the_page_of_files_shows_is_what_is_known() {
    use hms_sync::rules::calendar::{Calendar, CalendarFile};
    use hms_sync::rules::{naming, total::Expression};
    let page = fs::read_to_string(root().join("docs/FILES.md")).unwrap();
    let rows = |title: &str| {
        let table = page.split(title).nth(1).unwrap().split("\n|---|---|").nth(1).unwrap();
        table.lines().skip(1).take_while(|line| line.starts_with('|')).map(str::to_owned).collect::<Vec<_>>()
    };
    let places = |place| match place {
        naming::Place::Name => "names and all texts",
        naming::Place::Beside => "names of files beside it, headers, trailers, control files",
        naming::Place::Control => "control files",
        _ => "control and trigger files",
    };
    let known: Vec<String> = naming::placeholders()
        .map(|(name, place, what)| format!("| `{{{name}}}` | {what} | {} |", places(place)))
        .collect();
    assert_eq!(rows("## Names and lines"), known);
    let totals = rows("## Totals");
    assert!(totals.len() > 8);
    for row in totals {
        Expression::parse(row.split('`').nth(1).unwrap()).unwrap();
    }
    let text = Calendar::parse(blocks(&page, "text")[0]).unwrap();
    let file: CalendarFile = serde_saphyr::from_str(blocks(&page, "yaml")[0]).unwrap();
    assert_eq!(Calendar::from_file(&file), Ok(text));
}

/// Writes the blocks of a page that begin with the name of their file.
fn write_blocks(page: &str, folder: &Path) -> usize {
    let mut written = 0;
    for language in ["yaml", "cobol", "text"] {
        for block in blocks(page, language) {
            let name = block.lines().next().unwrap().trim().trim_start_matches(['#', '*', ' ']);
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, block).unwrap();
            written += 1;
        }
    }
    written
}

#[test]
fn the_examples_in_the_page_of_drops_load() {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(root().join("docs/DROPS.md")).unwrap();
    assert_eq!(write_blocks(&page, folder.path()), 5);
    let config = hms_sync::config::load(folder.path()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((config.drops.len(), config.connectors.len()), (2, 0));
    for drop in config.drops {
        hms_sync::config::build::drop(drop, &config.settings, [0; 32]).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn the_examples_in_the_page_of_credentials_load() {
    use hms_sync::config::credential::Credential;
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(root().join("docs/CREDENTIALS.md")).unwrap();
    assert_eq!(write_blocks(&page, folder.path()), 5);
    let mut kinds = HashSet::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let config = hms_sync::config::load(&entry.unwrap().path()).unwrap_or_else(|problems| panic!("{problems}"));
        for credential in config.settings.credentials.values() {
            kinds.insert(credential.auth_type().word());
            if let Credential::Several(parts) = credential {
                kinds.extend(parts.iter().map(|part| part.auth_type().word()));
            }
        }
    }
    // Each has an example, and each is in the table.
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    for kind in kinds.iter().filter(|kind| **kind != "a list") {
        assert!(page.to_lowercase().contains(&format!("| `{}` |", kind.to_lowercase())), "{kind}");
    }
}

#[test]
fn every_key_of_a_drop_stands_in_its_page() {
    let page = fs::read_to_string(root().join("docs/DROPS.md")).unwrap();
    let file = fs::read_to_string(root().join("tests/configs/good/drop-pipe.yaml")).unwrap();
    let below = file.split("\ndrop:\n").nth(1).unwrap();
    let keys = below.split(['{', '\n', ',', '-']).filter_map(|part| part.trim().split_once(": ").map(|(key, _)| key));
    let keys = keys.filter(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let words: HashSet<&str> = page.split(['`', '{', ',', ' ', ':', '}', '|']).collect();
    let missing: Vec<&str> = keys.filter(|key| !words.contains(key)).collect();
    assert!(missing.is_empty(), "docs/DROPS.md does not explain {missing:?}");
}

#[test]
fn after_removal_as_described_nothing_of_the_agent_is_left() {
    let desk = crate::support::desk::Desk::new("CREATE TABLE visits(id INTEGER PRIMARY KEY, name TEXT)");
    desk.settings("");
    desk.ends(0, &["watch", "visits"]);
    desk.app.execute_batch("INSERT INTO visits VALUES(1, 'a')").unwrap();
    desk.ends(0, &["unwatch", "visits"]);
    let page = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let [statements] = blocks(&page, "sql")[..] else { panic!("one block of SQL is expected") };
    desk.app.execute_batch(statements).unwrap();
    let count = |sql: &str| desk.app.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM sqlite_master WHERE sql LIKE '%hms_sync%'"), 0);
    desk.app.execute_batch("UPDATE visits SET name = 'b'").unwrap();
}

/// The names of all tests below a folder.
fn tests_of(folder: &Path, found: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_of(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let named = text.split("#[test]").skip(1).filter_map(|after| after.split("fn ").nth(1)?.split('(').next());
            found.extend(named.map(str::to_owned));
        }
    }
}

/// Lines of a page's tables that are not backed by a test, and names of tests in them that do not exist.
fn unbacked(page: &str, tests: &HashSet<String>) -> Vec<String> {
    let lines: Vec<&str> = page.lines().collect();
    let ruler = |at: usize| lines.get(at).is_some_and(|line| line.starts_with("|---"));
    let rows = (0..lines.len()).filter(|at| lines[*at].starts_with('|') && !ruler(*at) && !ruler(at + 1));
    let mut wrong = Vec::new();
    for row in rows.map(|at| lines[at]) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let names: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        wrong.extend(names.iter().filter(|name| !tests.contains(**name)).map(|name| format!("no such test: {name}")));
    }
    wrong
}

#[test]
fn every_line_of_the_page_of_the_queue_is_backed_by_a_test() {
    let mut tests = HashSet::new();
    tests_of(&root().join("tests/it"), &mut tests);
    tests_of(&root().join("src"), &mut tests);
    for (page, lines) in [("docs/QUEUE.md", 100), ("docs/PUBLISHING.md", 40)] {
        let page = fs::read_to_string(root().join(page)).unwrap();
        assert_eq!(unbacked(&page, &tests), Vec::<String>::new());
        assert!(page.lines().filter(|line| line.starts_with('|')).count() > lines);
        // Also in prose: what is written like the name of a test is one.
        let prose =
            page.lines().filter(|line| !line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
        let like_a_test = |name: &&str| name.matches('_').count() > 3 && name.starts_with(char::is_lowercase);
        assert_eq!(prose.filter(like_a_test).find(|name| !tests.contains(*name)), None);
    }
}

#[test]
fn a_line_without_a_test_is_seen() {
    let page = "| State | Test |\n|---|---|\n| a | `that_there_is` |\n| b | none |\n| c | `that_is_gone` |\n\ntext";
    let tests = HashSet::from(["that_there_is".to_owned()]);
    assert_eq!(unbacked(page, &tests), ["no test: | b | none |", "no such test: that_is_gone"]);
}

#[test]
fn a_name_without_a_file_is_seen() {
    let text = "see [a](docs/none.md), [b](README.md#top), [c](https://x.example/), `src/none.rs`, `src/lib.rs`, `tests/run --full`\n\
                ```sh\ncat `src/also-none.rs`\n```\nand `src/nowhere/`";
    assert_eq!(dangling(text, root()), ["docs/none.md", "src/none.rs", "src/nowhere/"]);
}

#[test]
fn every_layer_of_the_tree_stands_in_the_architecture_page() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = format!("`src/{}`", path.file_name().unwrap().to_str().unwrap());
            assert!(page.contains(&name), "docs/ARCHITECTURE.md does not say what {name} is");
        }
    }
}
