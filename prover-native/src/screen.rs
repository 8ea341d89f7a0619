//! What a person or a script sees.

use std::io::IsTerminal as _;

use crowdfold_prover::{Activity, Link, ProofInfo, Status};
use crowdfold_wire::{Outcome, PublicKey, UploadId};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Standard output: a bar on a terminal, else a line of JSON for each event.
#[derive(Debug)]
pub struct Screen {
    bar: Option<ProgressBar>,
    shown: Option<Value>,
}

impl Screen {
    /// The screen.
    pub fn new(json: bool) -> Self {
        let bar = (!json && std::io::stdout().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {prefix} {wide_bar} {pos}/{len} {msg}");
            ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, shown: None }
    }

    fn say(&self, text: &str, event: &Value) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => println!("{event}"),
        }
    }

    /// The prover has begun.
    pub fn started(&self, key: &PublicKey, url: &str, threads: usize) {
        let event = json!({ "event": "started", "key": key.to_string(), "url": url, "threads": threads });
        self.say(&format!("prover {key} dials {url}, {threads} threads"), &event);
    }

    /// Something is worth a line.
    pub fn note(&self, what: &str) {
        self.say(what, &json!({ "event": "note", "text": what }));
    }

    /// A proof has its verdict.
    pub fn verdict(&self, upload: UploadId, info: ProofInfo, outcome: &Outcome) {
        let (name, text) = match outcome {
            Outcome::Accepted(steps) => ("accepted", format!("{} steps credited", steps.get())),
            Outcome::Spare => ("spare", "valid; others work on some of its steps".to_owned()),
            Outcome::Duplicate(steps) => ("duplicate", format!("valid and not needed; {} steps paid for", steps.get())),
            Outcome::NotNeeded => ("not_needed", "not needed any more".to_owned()),
            Outcome::Superseded => ("superseded", "a longer one has taken its place".to_owned()),
            Outcome::Refused(why) => ("refused", format!("refused: {why}")),
        };
        let event = json!({
            "event": "verdict", "proof": upload.to_string(), "task": info.task.0, "first": info.first,
            "steps": info.steps, "outcome": name, "text": text,
        });
        // Check-ins come and go; on a terminal they would hide the rest.
        if self.bar.is_none() || !matches!(outcome, Outcome::Superseded) {
            self.say(&format!("steps {} to {}: {text}", info.first, info.first + info.steps), &event);
        }
    }

    /// The state of things.
    pub fn status(&mut self, status: &Status) {
        let link = match &status.link {
            Link::Waiting(_) => "waiting",
            Link::Dialling => "dialling",
            Link::Greeting => "greeting",
            Link::Open(_) => "open",
            Link::Ending => "ending",
            Link::Refused(_) => "refused",
            Link::Off => "off",
        };
        let (activity, position) = match &status.activity {
            Activity::Idle => ("idle".to_owned(), None),
            Activity::Folding { program, steps, folded, .. } => (format!("folding {program}"), Some((*folded, *steps))),
            Activity::Merging { .. } => ("merging".to_owned(), None),
            Activity::Full => ("full: proofs wait for the coordinator".to_owned(), None),
            Activity::Paused => ("paused".to_owned(), None),
            Activity::Stopping => ("stopping".to_owned(), None),
        };
        let totals = &status.totals;
        if let Some(bar) = &self.bar {
            let (folded, steps) = position.unwrap_or((0, 1));
            bar.set_length(steps);
            bar.set_position(folded);
            bar.set_prefix(if link == "open" { activity } else { format!("{link}, {activity}") });
            bar.set_message(format!("{} rows/s, {} steps credited", status.rows_per_second, totals.credited_steps));
            return;
        }
        let event = json!({
            "event": "status", "link": link, "activity": activity, "waiting": status.waiting,
            "held_proofs": status.held_proofs, "rows_per_second": status.rows_per_second,
            "folded_steps": totals.folded_steps, "credited_steps": totals.credited_steps,
            "accepted": totals.accepted, "superseded": totals.superseded, "spare": totals.spare,
            "duplicate": totals.duplicate, "not_needed": totals.not_needed, "refused": totals.refused,
        });
        // What changes with every step is told with the rest.
        let of = |value: &Value| ["link", "activity", "waiting", "held_proofs"].map(|key| value[key].clone());
        if self.shown.as_ref().map(of) != Some(of(&event)) {
            println!("{event}");
            self.shown = Some(event);
        }
    }

    /// The end.
    pub fn finished(&self, status: &Status) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let totals = &status.totals;
        let event = json!({
            "event": "finished", "folded_steps": totals.folded_steps, "credited_steps": totals.credited_steps,
            "held_proofs": status.held_proofs,
        });
        let text = format!("{} steps folded, {} credited", totals.folded_steps, totals.credited_steps);
        match self.bar {
            Some(_) => println!("{text}"),
            None => println!("{event}"),
        }
    }
}
