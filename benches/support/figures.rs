//! Medians, percentiles, tables.

use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// The value below which a part (0 to 1) of all values lies.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[at]
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The median of the ratios of pairs that were measured beside each other.
pub fn paired(values: &[f64], floors: &[f64]) -> f64 {
    median(&values.iter().zip(floors).map(|(value, floor)| value / floor).collect::<Vec<_>>())
}

/// Prints a table under a title.
pub fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head).add_rows(rows);
    println!("{title}\n{table}\n");
}
