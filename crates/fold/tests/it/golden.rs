//! Golden values: what must not change unnoticed. `./just golden` writes `crates/fold/golden.txt` anew.

use crate::common::{PARAMS, PER_STEP, context, job, rng, segment};
use crowdfold_fold::limits::MAX_ARITY;
use crowdfold_fold::transcript::{Tag, hash};
use crowdfold_fold::{Address, BindingTree, CIRCUIT_VERSION, CircuitSize, Fr, merge};
use crowdfold_fuzz_bodies::{ParameterLayout, Section};
use ff::PrimeField;
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::path::Path;

/// Set to `refresh`, it makes the test write the file instead of comparing with it.
const VARIABLE: &str = "CROWDFOLD_GOLDEN";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden.txt");
const HEADER: &str = "\
# Golden values of the folding scheme. The test `golden` compares with them; `./just golden` writes them anew.
# A circuit or digest that changes goes with another CIRCUIT_VERSION.
";

/// S without the rows, variables and entries of its program.
fn step_without_program() -> CircuitSize {
    let all = PARAMS.prover().step_size();
    let own = CircuitSize::of_function(PARAMS.prover().step()).expect("it has a circuit");
    CircuitSize {
        constraints: all.constraints - own.constraints,
        variables: all.variables - own.variables,
        nnz: all.nnz - own.nnz,
    }
}

/// Lines of a name and a value.
#[derive(Default)]
struct Values(Vec<String>);

impl Values {
    fn put(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("{name} = {value}"));
    }

    fn sha256(&mut self, name: &str, bytes: &[u8]) {
        self.put(name, hex(&Sha256::digest(bytes)));
    }

    fn element(&mut self, name: &str, element: Fr) {
        let mut bytes = element.to_repr();
        bytes.as_mut().reverse();
        self.put(name, hex(bytes.as_ref()));
    }

    fn size(&mut self, name: &str, size: CircuitSize) {
        self.put(&format!("{name} constraints"), size.constraints);
        self.put(&format!("{name} variables"), size.variables);
        self.put(&format!("{name} entries"), size.nnz);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn circuits(values: &mut Values) {
    values.put("circuit version", CIRCUIT_VERSION.trim());
    values.size("S without program", step_without_program());
    values.size("S", PARAMS.prover().step_size());
    values.size("M", PARAMS.merge_size());
    values.size("CF", PARAMS.prover().cyclefold_size());
}

fn parameters(values: &mut Values) {
    let bytes = PARAMS.to_bytes();
    let layout = ParameterLayout::of(&bytes).expect("a parameter file");
    for (name, section) in [("S", Section::StepShape), ("M", Section::MergeShape), ("CF", Section::CfShape)] {
        let shape = &bytes[layout.range(section)];
        // After the numbers of rows and variables.
        values.put(&format!("{name} public inputs"), u64::from_le_bytes(shape[16..24].try_into().expect("8 bytes")));
        values.sha256(&format!("{name} shape"), shape);
    }
    values.sha256("blinding bases", &bytes[layout.range(Section::Blinding)]);
    values.sha256("CycleFold key", &bytes[layout.range(Section::CfKey)]);
    values.sha256("insecure development key", &bytes[layout.range(Section::Key)]);
    values.put("program", PARAMS.prover().program());
    values.put("parameter digest", PARAMS.prover().digest());
    values.put("parameter file bytes", bytes.len());
    values.sha256("parameter file", &bytes);
    let bytes = PARAMS.prover().to_bytes();
    values.put("prover file bytes", bytes.len());
    values.sha256("prover file", &bytes);
}

fn transcripts(values: &mut Values) {
    values.element("hash of no state", hash(Tag::State, &[]));
    values.element("hash of state 1, 2, 3", hash(Tag::State, &[1, 2, 3].map(Fr::from)));
    let longest: Vec<Fr> = (0..MAX_ARITY as u64).map(Fr::from).collect();
    values.element("hash of the longest state", hash(Tag::State, &longest));
    values.element("context", context(1).hash());
    let leaf = |prover, count| BindingTree::Leaf { prover: Address([prover; 20]), count };
    let node = BindingTree::join(leaf(1, 2), Some(leaf(2, 3))).expect("joins");
    let single = BindingTree::join(leaf(1, 2), None).expect("joins");
    let tree = BindingTree::join(node.clone(), Some(single.clone())).expect("joins");
    for (name, tree) in [("leaf", leaf(1, 2)), ("node", node), ("node with one child", single), ("tree", tree)] {
        values.element(&format!("binding of a {name}"), tree.root(&job()));
    }
}

fn range_proofs(values: &mut Values) {
    let left = segment(1, Fr::from(5), 0, 2, 1);
    let right = segment(2, left.end()[0], 2, 2, 2);
    let merged = merge(&PARAMS, &left, Some(&right), &mut rng(3)).expect("merges");
    for (name, proof) in [("segment", &left), ("merge", &merged)] {
        let bytes = proof.to_bytes();
        values.put(&format!("proof of a {name} bytes"), bytes.len());
        values.sha256(&format!("proof of a {name}"), &bytes);
    }
}

/// Both texts line by line, with what is only in one of them marked.
fn difference(golden: &str, found: &str) -> String {
    let marked = |mark: char, text: &str, other: &str| {
        let missing = text.lines().filter(|line| !other.lines().any(|l| l == *line));
        missing.map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    marked('-', golden, found) + &marked('+', found, golden)
}

#[test]
fn golden_values_are_as_recorded() {
    let mut values = Values::default();
    values.put("squarings in a step", PER_STEP);
    circuits(&mut values);
    parameters(&mut values);
    transcripts(&mut values);
    range_proofs(&mut values);
    let found = format!("{HEADER}\n{}\n", values.0.join("\n"));
    if std::env::var(VARIABLE).is_ok_and(|value| value == "refresh") {
        std::fs::write(FILE, found).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(Path::new(FILE)).unwrap_or_default();
    assert!(
        golden == found,
        "golden values changed; if that is meant, run `./just golden` and review the difference:\n{}",
        difference(&golden, &found)
    );
}

#[test]
fn golden_difference_shows_what_changed() {
    assert_eq!(difference("a = 1\nb = 2\n", "a = 1\nb = 3\n"), "- b = 2\n+ b = 3\n");
    assert_eq!(difference("a = 1\n", "a = 1\n"), "");
}

/// The targets of the scheme: what provers pay in each step, each merge and each upload.
#[test]
fn sizes_are_within_their_targets() {
    assert!(step_without_program().constraints <= 19_500, "{:?}", step_without_program());
    let merge = PARAMS.merge_size();
    assert!(merge.constraints <= 95_000, "{merge:?}");
    assert!(merge.nnz <= 1 << 20, "{merge:?}");
    let cyclefold = PARAMS.prover().cyclefold_size();
    assert!(cyclefold.constraints <= 470, "{cyclefold:?}");
    let upload = segment(1, Fr::from(5), 0, 2, 1).to_bytes().len();
    let rows = PARAMS.prover().step_size().constraints;
    assert!(upload <= 70 * rows, "{upload} bytes for {rows} rows");
}
