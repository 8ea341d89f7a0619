//! Where the rows of a step go, and the time of a native one.

use anyhow::ensure;
use crowdfold_bench::{profile, report};
use crowdfold_fold::recorder::Recorder;
use crowdfold_fold::{Fr, StepFunction};
use crowdfold_programs::rollup::{Rollup, SLOTS};
use nova_snark::frontend::ConstraintSystem;
use nova_snark::frontend::num::AllocatedNum;

use crate::setup::Setup;

/// What the namespaces of the circuit stand for: within a slot, and outside. All that is not named is ranges and rules.
const PARTS: [(&str, &[&str], &[&str]); 3] = [
    ("signatures", &["signature"], &[]),
    (
        "hashes of the tree",
        &["debit/path", "debit/old leaf", "debit/new leaf", "credit/path", "credit/old leaf", "credit/new leaf"],
        &["root hash", "new root hash"],
    ),
    ("other hashes", &["message hash", "link"], &["data hash", "sealed hash"]),
];

/// Prints both.
pub(crate) fn print(setup: &Setup) -> anyhow::Result<()> {
    rows(setup)?;
    // The seal's step does less.
    let inputs = &setup.inputs[..setup.inputs.len() - 1];
    profile::print(setup.params.prover(), setup.context, &setup.start, inputs)
}

fn rows(setup: &Setup) -> anyhow::Result<()> {
    let mut cs = Recorder::<Fr>::new();
    let state: Vec<_> =
        setup.start.iter().map(|value| AllocatedNum::alloc(&mut cs, || Ok(*value))).collect::<Result<_, _>>()?;
    Rollup.synthesize(&mut cs, &state, &setup.inputs[0])?;
    let mut parts = Vec::new();
    let mut rules = cs.num_rows();
    for (part, in_slots, outside) in PARTS {
        let in_slots = (0..SLOTS).flat_map(|slot| in_slots.iter().map(move |name| format!("slot {slot}/{name}")));
        let prefixes: Vec<String> = in_slots.chain(outside.iter().map(|name| (*name).to_owned())).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let mut counts = cs.rows_under(&prefixes);
        counts.pop();
        // A name that the circuit no longer has would count as a rule.
        let missing = prefixes.iter().zip(&counts).find(|(_, rows)| **rows == 0);
        ensure!(missing.is_none(), "the circuit has no rows under {missing:?}");
        let rows: usize = counts.iter().sum();
        rules -= rows;
        parts.push((part, rows as f64));
    }
    let whole = setup.params.prover().step_size().constraints;
    parts.push(("ranges and rules", rules as f64));
    parts.push(("folding overhead", (whole - cs.num_rows()) as f64));
    println!("rows of S, a step of {SLOTS} transactions:");
    print!("{}", report::split(&parts, whole as f64, 0, "rows"));
    Ok(())
}
