//! From the raw numbers of the newest runs to the table and the plots of docs/PERFORMANCE.md, and the short table of the
//! README: what stands between the markers there is written here and nowhere else.

mod charts;
mod targets;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use targets::Target;

/// The newest numbers of each bench.
pub struct Results {
    /// Bench -> its numbers, and the run that they are from.
    newest: BTreeMap<String, (Value, String)>,
    /// Run -> what it was taken on.
    machines: BTreeMap<String, String>,
}

impl Results {
    /// The numbers of a bench; null when it was never run.
    pub fn of(&self, bench: &str) -> &Value {
        self.newest.get(bench).map_or(&Value::Null, |(numbers, _)| numbers)
    }

    fn read(folder: &Path) -> Results {
        let mut runs: Vec<(String, String, Value)> = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let run: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                // The first runs did not say when they were taken; the file's name has the day.
                let taken = run["taken"].as_str().map_or_else(|| name.clone(), str::to_owned);
                runs.push((taken, name, run));
            }
        }
        runs.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        let (mut newest, mut machines) = (BTreeMap::new(), BTreeMap::new());
        for (_, name, run) in runs {
            let machine = &run["machine"];
            let cores = machine["cores"].as_u64().unwrap_or(0);
            machines.insert(
                name.clone(),
                format!("{cores} cores, {}", machine["processor"].as_str().unwrap_or("unknown processor")),
            );
            for (bench, numbers) in run.as_object().unwrap() {
                if numbers.is_object() && bench != "machine" {
                    // Where the two sides ran makes it another measurement.
                    let bench = match numbers["cores"].as_str() {
                        None | Some("Shared") => bench.clone(),
                        Some(cores) => format!("{bench} --cores {}", cores.to_lowercase()),
                    };
                    newest.insert(bench, (numbers.clone(), name.clone()));
                }
            }
        }
        Results { newest, machines }
    }

    /// Which rows are from which run.
    fn sources(&self) -> String {
        let mut by_run: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (bench, (_, run)) in &self.newest {
            by_run.entry(run).or_default().push(bench);
        }
        let lines = by_run.iter().rev().map(|(run, benches)| {
            format!("`benches/results/{run}.json` ({}): {}", self.machines[*run], benches.join(", "))
        });
        format!("Raw numbers: {}.", lines.collect::<Vec<_>>().join("; "))
    }
}

/// Writes it all.
pub fn write(_: impl Iterator<Item = String>) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let results = Results::read(&root.join("benches/results"));
    let targets = targets::all(&results);
    let page = root.join("docs/PERFORMANCE.md");
    fill(&page, "figures", &format!("{}\n{}\n", table(&targets), results.sources()));
    fill(&page, "missed", &missed(&targets));
    fill(&root.join("README.md"), "short figures", &short(&targets));
    let plots = root.join("docs/performance");
    std::fs::create_dir_all(&plots).unwrap();
    for (name, svg) in charts::all(&results) {
        std::fs::write(plots.join(name), svg).unwrap();
    }
    eprintln!("written: docs/PERFORMANCE.md, docs/performance/, the short table of README.md");
}

/// Puts a text between two markers of a document.
fn fill(path: &Path, name: &str, text: &str) {
    let document = std::fs::read_to_string(path).unwrap();
    let (begin, end) = (format!("<!-- {name}: written by benches/report -->\n"), format!("<!-- end of {name} -->"));
    let from = document.find(&begin).unwrap_or_else(|| panic!("{} lacks: {begin}", path.display())) + begin.len();
    let to = from + document[from..].find(&end).unwrap_or_else(|| panic!("{} lacks: {end}", path.display()));
    std::fs::write(path, format!("{}\n{text}\n{}", &document[..from], &document[to..])).unwrap();
}

fn table(targets: &[Target]) -> String {
    let mut text =
        "| # | Target | Measured | Floor beside it | Held | Command |\n|---|---|---|---|---|---|\n".to_owned();
    for target in targets {
        let held = match target.held {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let command = if target.bench.is_empty() { String::new() } else { format!("`benches/run {}`", target.bench) };
        text += &format!(
            "| {} | {} | {} | {} | {held} | {command} |\n",
            target.number, target.wanted, target.measured, target.floor
        );
    }
    text
}

fn missed(targets: &[Target]) -> String {
    let missed: Vec<String> = targets
        .iter()
        .filter(|target| target.held == Some(false))
        .map(|target| format!("- {}: {}. Wanted: {}.\n", target.number, target.measured, target.wanted))
        .collect();
    if missed.is_empty() { "Every target that was measured is held.\n".to_owned() } else { missed.concat() }
}

fn short(targets: &[Target]) -> String {
    let mut text = "| What | Measured | Floor beside it |\n|---|---|---|\n".to_owned();
    for target in targets.iter().filter(|target| !target.short.is_empty()) {
        text += &format!("| {} | {} | {} |\n", target.short, target.measured, target.floor);
    }
    text
}
