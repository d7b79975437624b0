//! The documents are true to the tree: what they name is there, and what they link to as well.

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
        if path.is_dir() && name != "target" && !name.starts_with('.') {
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
    for must in ["README.md", "CHANGELOG.md", "docs/ARCHITECTURE.md"] {
        assert!(found.contains(&root().join(must)), "{must}");
    }
    for path in found {
        let missing = dangling(&fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        assert!(missing.is_empty(), "{} names what is not there: {missing:?}", path.display());
    }
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
