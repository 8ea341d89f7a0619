//! The form that every benchmark reports in: a table for people, a list for machines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

/// What an issue asks of a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The value is at most this.
    AtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// Our value over the peer's is at most this.
    Ratio(f64),
}

/// Somebody else's value of the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Whose.
    pub name: String,
    /// How much, in the unit of the measure.
    pub value: f64,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Name for machines.
    pub id: &'static str,
    /// Name for people.
    pub what: String,
    /// Our value.
    pub value: f64,
    /// Unit of all values.
    pub unit: &'static str,
    /// Whom we compare with.
    pub peer: Option<Peer>,
    /// What is asked; `None` for a line that is only told.
    pub target: Option<Target>,
}

impl Measure {
    /// A measure without a peer and without a target.
    pub fn new(id: &'static str, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { id, what: what.into(), value, unit, peer: None, target: None }
    }

    /// With the target that the value is at most `limit`.
    #[must_use]
    pub fn at_most(self, limit: f64) -> Self {
        Self { target: Some(Target::AtMost(limit)), ..self }
    }

    /// With the target that the value is at least `limit`.
    #[must_use]
    pub fn at_least(self, limit: f64) -> Self {
        Self { target: Some(Target::AtLeast(limit)), ..self }
    }

    /// With a peer, and the target that the ratio is at most `limit`.
    #[must_use]
    pub fn against(self, name: &str, value: f64, limit: f64) -> Self {
        Self { peer: Some(Peer { name: name.to_owned(), value }), target: Some(Target::Ratio(limit)), ..self }
    }

    /// Our value over the peer's.
    pub fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.value / peer.value)
    }

    /// Whether the target is met; `None` where there is none.
    pub fn met(&self) -> Option<bool> {
        match self.target? {
            Target::AtMost(limit) => Some(self.value <= limit),
            Target::AtLeast(limit) => Some(self.value >= limit),
            Target::Ratio(limit) => Some(self.ratio()? <= limit),
        }
    }
}

/// An element of the list for machines.
#[derive(Serialize)]
struct Record<'a> {
    id: &'a str,
    value: f64,
    unit: &'a str,
    peer: Option<&'a str>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
}

impl<'a> From<&'a Measure> for Record<'a> {
    fn from(measure: &'a Measure) -> Self {
        let Measure { id, value, unit, peer, .. } = measure;
        Self {
            id,
            value: *value,
            unit,
            peer: peer.as_ref().map(|peer| peer.name.as_str()),
            peer_value: peer.as_ref().map(|peer| peer.value),
            ratio: measure.ratio(),
        }
    }
}

/// Prints the table of the benchmark `name`, and writes the list to `target/bench/NAME.json` unless it is only a part.
///
/// # Errors
/// If the file can't be written.
pub fn tell(name: &str, measures: &[Measure], is_part: bool) -> anyhow::Result<()> {
    print!("{}", table(measures));
    if !is_part {
        let path = root()?.join(format!("target/bench/{name}.json"));
        write_json(&path, measures)?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// The repository.
///
/// # Errors
/// If this crate does not lie in it.
pub fn root() -> anyhow::Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("benches lies in the workspace's root")
}

/// The end of the benchmark `name`: says why it failed if it did.
pub fn exit(name: &str, outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_json(path: &Path, measures: &[Measure]) -> anyhow::Result<()> {
    let records: Vec<Record<'_>> = measures.iter().map(Record::from).collect();
    let text = serde_json::to_string_pretty(&records)? + "\n";
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The table for people.
fn table(measures: &[Measure]) -> String {
    let mut rows = vec![["id", "measure", "ours", "peer", "ratio", "target", "met"].map(str::to_owned)];
    rows.extend(measures.iter().map(|measure| {
        let with_unit = |value: f64| format!("{} {}", number(value), measure.unit);
        [
            measure.id.to_owned(),
            measure.what.clone(),
            with_unit(measure.value),
            measure.peer.as_ref().map(|peer| with_unit(peer.value)).unwrap_or_default(),
            measure.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            match measure.target {
                Some(Target::AtMost(limit)) => format!("<= {}", number(limit)),
                Some(Target::AtLeast(limit)) => format!(">= {}", number(limit)),
                Some(Target::Ratio(limit)) => format!("ratio <= {limit}"),
                None => String::new(),
            },
            measure.met().map(|met| if met { "yes" } else { "NO" }.to_owned()).unwrap_or_default(),
        ]
    }));
    let widths: [usize; 7] =
        std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or_default());
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let numeric = (2..5).contains(&i);
            let _ = if numeric { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How `parts` make up a whole: a line for each with its percentage, then for what is left and for the whole.
pub fn split(parts: &[(&str, f64)], whole: f64, decimals: usize, unit: &str) -> String {
    let rest = whole - parts.iter().map(|(_, value)| value).sum::<f64>();
    let lines = parts.iter().copied().chain([("everything else", rest), ("the whole", whole)]);
    let width = parts.iter().map(|(name, _)| name.len()).chain([15]).max().unwrap_or_default();
    lines.fold(String::new(), |mut text, (name, value)| {
        let percent = value / whole * 100.0;
        let _ = writeln!(text, "  {name:<width$} {value:>9.decimals$} {unit}  {percent:>5.1} %");
        text
    })
}

/// Counts as they are, anything else with three digits after the point.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::{Measure, split, table, write_json};

    fn measures() -> Vec<Measure> {
        vec![
            Measure::new("size", "a size", 7.0, "rows").at_most(6.0),
            Measure::new("time", "a time", 0.5, "s").against("them", 1.0, 1.05),
            Measure::new("told", "no target", 1.25, "s"),
            Measure::new("rate", "a rate", 7.0, "1/s").at_least(7.0),
            Measure::new("slow", "a rate", 6.0, "1/s").at_least(7.0),
        ]
    }

    #[test]
    fn targets_are_compared() {
        let met: Vec<_> = measures().iter().map(Measure::met).collect();
        assert_eq!(met, [Some(false), Some(true), None, Some(true), Some(false)]);
    }

    #[test]
    fn the_list_has_nulls_where_there_is_no_peer() {
        let path = std::env::temp_dir().join(format!("crowdfold-report-{}.json", std::process::id()));
        write_json(&path, &measures()).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let expected = serde_json::json!([
            { "id": "size", "value": 7.0, "unit": "rows", "peer": null, "peer_value": null, "ratio": null },
            { "id": "time", "value": 0.5, "unit": "s", "peer": "them", "peer_value": 1.0, "ratio": 0.5 },
            { "id": "told", "value": 1.25, "unit": "s", "peer": null, "peer_value": null, "ratio": null },
            { "id": "rate", "value": 7.0, "unit": "1/s", "peer": null, "peer_value": null, "ratio": null },
            { "id": "slow", "value": 6.0, "unit": "1/s", "peer": null, "peer_value": null, "ratio": null },
        ]);
        assert_eq!(read, expected);
    }

    #[test]
    fn a_split_adds_up() {
        let text = split(&[("some", 1.0), ("more", 2.0)], 4.0, 0, "rows");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("everything else") && lines[2].contains("1 rows   25.0 %"), "{text}");
        assert!(lines[3].ends_with("4 rows  100.0 %"), "{text}");
    }

    #[test]
    fn the_table_says_what_is_not_met() {
        let text = table(&measures());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[1].ends_with("NO") && lines[2].ends_with("yes"), "{text}");
        assert!(lines[3].contains("1.250 s"), "{text}");
        assert!(lines[4].contains(">= 7") && lines[4].ends_with("yes") && lines[5].ends_with("NO"), "{text}");
    }
}
