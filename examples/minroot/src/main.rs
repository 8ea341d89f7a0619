//! Proves a short MinRoot computation with two provers and prints what the proof says.
#![allow(clippy::print_stdout, reason = "it is a program for people")]

use std::error::Error;

use crowdfold_example_minroot::MinRoot;
use crowdfold_fold::{Address, Context, Fr, Job, Parameters, ProgramId, RangeProof, Segment, Srs, merge, verify};
use crowdfold_programs::{Program, Step};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

/// What the proofs are bound to: chain, contract, and the contract's name for the job.
const JOB: Job = Job { chain_id: 31337, contract: Address([0xc0; 20]), job_id: [1; 32] };
/// Who is paid for the first and the second half.
const PROVERS: [Address; 2] = [Address([0xaa; 20]), Address([0xbb; 20])];

fn main() -> Result<(), Box<dyn Error>> {
    let program = MinRoot::from_name("minroot/1/1000").ok_or("there is no such program")?;
    println!("{}\n  program {}", program.summary(), ProgramId::of(&program)?);

    println!("Making INSECURE parameters for development ...");
    let parameters = Parameters::generate(program.clone(), &Srs::insecure_development(1 << 16))?;
    let rows = parameters.prover().step_size().constraints;
    println!("  {rows} rows a step, {} of them the program's own", program.cost().constraints);

    let plan = program.plan(&program.job(Fr::from(1), Fr::from(2), 4000))?;
    let start = plan.start.clone();
    let steps = plan.execute(&program).collect::<Result<Vec<_>, _>>()?;
    println!("Executed {} steps. The state before them:", steps.len());
    print_state(&program, &start)?;

    let (first, second) = steps.split_at(steps.len() / 2);
    let middle = &first.last().ok_or("the first half has no steps")?.state;
    println!("Two provers fold half of them each ...");
    let first = prove(&parameters, PROVERS[0], start, first)?;
    let second = prove(&parameters, PROVERS[1], middle.clone(), second)?;

    // Fixed, so that every run is the same. A real prover's generator is seeded by its system.
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let root = merge(&parameters, &first, Some(&second), &mut rng)?;
    verify(&parameters, &root, &mut rng)?;
    println!(
        "The merged proof of {} steps verifies: {} bytes. The state after them:",
        root.count(),
        root.to_bytes().len()
    );
    print_state(&program, root.end())?;
    for receipt in root.receipts() {
        println!("  {} steps were folded by {}", receipt.count, receipt.prover);
    }
    Ok(())
}

/// Proves steps as one segment.
fn prove(
    parameters: &Parameters<MinRoot>,
    prover: Address,
    start: Vec<Fr>,
    steps: &[Step<Vec<Fr>>],
) -> Result<RangeProof, Box<dyn Error>> {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(prover.0[0]));
    let mut segment = Segment::new(parameters.prover(), Context { job: JOB, prover }, start)?;
    for step in steps {
        segment.push(&step.input, &mut rng)?;
    }
    Ok(segment.finish(&mut rng)?)
}

fn print_state(program: &MinRoot, state: &[Fr]) -> Result<(), Box<dyn Error>> {
    for field in program.describe(state)? {
        println!("  {} = {}   {}", field.name, field.value, field.meaning);
    }
    Ok(())
}
