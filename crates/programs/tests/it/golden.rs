//! Golden values: what must not change unnoticed. `./just golden` writes `crates/programs/golden.txt` anew.

use std::fmt::Write as _;
use std::path::Path;

use crowdfold_fold::{CircuitSize, ProgramId, StepFunction};
use crowdfold_programs::{Builtin, Program};

/// Set to `refresh`, it makes the test write the file instead of comparing with it.
const VARIABLE: &str = "CROWDFOLD_GOLDEN";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden.txt");
const HEADER: &str = "\
# Golden values of the built-in programs. The test `golden` compares with them; `./just golden` writes them anew.
# A program whose circuit changes gets another version.
";
/// Programs whose values are recorded.
const NAMES: [&str; 2] = ["rollup/1", "squarings/1/10000"];

fn values() -> String {
    let mut text = HEADER.to_owned();
    for name in NAMES {
        let program = Builtin::from_name(name).expect("it is built in");
        let function = CircuitSize::of_function(&program).expect("it has a circuit");
        let step = CircuitSize::of_step(&program).expect("it has a circuit");
        let id = ProgramId::of(&program).expect("it has a circuit");
        let _ = write!(
            text,
            "\n{name}: program = {id}\n{name}: arity = {}\n{name}: largest input = {} bytes\n\
             {name}: largest job = {} bytes\n{name}: constraints = {}, of S = {}\n{name}: entries = {}, of S = {}\n",
            program.arity(),
            program.max_input_bytes(),
            program.max_job_bytes(),
            function.constraints,
            step.constraints,
            function.nnz,
            step.nnz,
        );
    }
    text
}

#[test]
fn golden_values_are_as_recorded() {
    let found = values();
    if std::env::var(VARIABLE).is_ok_and(|value| value == "refresh") {
        std::fs::write(FILE, found).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(Path::new(FILE)).unwrap_or_default();
    assert!(
        golden == found,
        "golden values changed; if that is meant, run `./just golden` and review the difference with git; found:\n{found}"
    );
}

/// The limits that the rollup's step was cut to: an edge function must be able to prove it.
#[test]
fn the_rollup_is_within_its_targets() {
    let program = Builtin::from_name("rollup/1").expect("it is built in");
    let step = CircuitSize::of_step(&program).expect("it has a circuit");
    assert!(step.constraints <= 1 << 16 && step.variables <= 1 << 16, "{step:?}");
    assert!(program.cost().constraints / crowdfold_programs::rollup::SLOTS <= 20_000);
}
