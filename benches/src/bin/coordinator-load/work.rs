//! Programs, jobs for them, and real proofs of their steps.

use std::path::Path;

use anyhow::Context as _;
use crowdfold_bench::payments::{self, ROLLUP};
use crowdfold_fold::{Address, Context, Fr, Job, Parameters, Segment, Srs};
use crowdfold_programs::{Builtin, BuiltinInput, Program as _, Squarings};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rayon::prelude::*;
use serde_json::Value;

use crate::light::{PAYOUT, Proof};
use crate::process::Coordinator;

/// Powers of tau: enough for M.
const POWERS: usize = 1 << 16;
/// The smallest program: almost all of a step is folding itself.
pub(crate) const SMALL: &str = "squarings/1/1";

/// The programs that everything here is measured with.
pub(crate) struct Programs {
    small: Parameters<Builtin>,
    rollup: Parameters<Builtin>,
}

impl Programs {
    /// Makes their parameters, and writes them where coordinators look for them.
    pub(crate) fn generate(folder: &Path) -> anyhow::Result<Self> {
        let srs = Srs::insecure_development(POWERS);
        let params = folder.join("params");
        std::fs::create_dir_all(&params)?;
        let make = |name: &str| {
            let program = Builtin::from_name(name).context("a program that comes with Crowdfold")?;
            let parameters = Parameters::generate(program, &srs)?;
            std::fs::write(params.join(format!("{}.params", name.replace('/', "+"))), parameters.to_bytes())?;
            anyhow::Ok(parameters)
        };
        Ok(Self { small: make(SMALL)?, rollup: make(ROLLUP)? })
    }

    /// The parameters of one of the two.
    pub(crate) fn of(&self, name: &str) -> &Parameters<Builtin> {
        if name == SMALL { &self.small } else { &self.rollup }
    }

    /// Rows of a step.
    pub(crate) fn rows(&self, name: &str) -> u64 {
        self.of(name).prover().step_size().constraints as u64
    }
}

/// A job that a coordinator has, and what is needed to prove its steps.
pub(crate) struct Submitted {
    /// Its number.
    pub(crate) id: u64,
    name: Job,
    program: &'static str,
    /// The state before each step, and its input.
    steps: Vec<(Vec<Fr>, BuiltinInput)>,
}

/// The bytes of a job of so many steps, no two of which are alike.
pub(crate) fn body(program: &'static str, steps: usize, seed: u64) -> anyhow::Result<Vec<u8>> {
    if program == SMALL {
        let inputs: Vec<Fr> = (1..=steps as u64).map(|input| Fr::from(seed << 32 | input)).collect();
        return Ok(Squarings::job(Fr::from(3 + seed), &inputs));
    }
    Ok(payments::batch(steps, seed)?.1.to_bytes())
}

impl Submitted {
    /// Submits a job, and executes it here too.
    pub(crate) fn new(
        coordinator: &Coordinator,
        programs: &Programs,
        program: &'static str,
        body: &[u8],
    ) -> anyhow::Result<Self> {
        let id = coordinator.submit(program, body)?;
        let found = coordinator.job(id)?;
        let text = |key: &str| found.get(key).and_then(Value::as_str).context("a text");
        let (mut job_id, mut contract) = ([0; 32], [0; 20]);
        hex::decode_to_slice(text("job_id")?, &mut job_id)?;
        hex::decode_to_slice(text("contract")?.trim_start_matches("0x"), &mut contract)?;
        let chain_id = found["chain_id"].as_u64().context("a number")?;
        let name = Job { chain_id, contract: Address(contract), job_id };
        let step = programs.of(program).prover().step();
        let plan = step.plan(body)?;
        let mut state = plan.start.clone();
        let mut steps = Vec::new();
        for done in plan.execute(step) {
            let done = done?;
            steps.push((std::mem::replace(&mut state, done.state), done.input));
        }
        Ok(Self { id, name, program, steps })
    }

    /// Proofs of one step each, made by provers that are all paid to [`PAYOUT`].
    pub(crate) fn prove(&self, programs: &Programs, steps: &[usize]) -> anyhow::Result<Vec<Proof>> {
        let prover = programs.of(self.program).prover();
        let context = Context { job: self.name, prover: PAYOUT };
        let prove = |&step: &usize| {
            let (start, input) = self.steps.get(step).context("a step of the job")?;
            let mut rng = ChaCha20Rng::seed_from_u64(self.id << 32 | step as u64);
            let mut segment = Segment::new(prover, context, start.clone())?;
            segment.push(input, &mut rng)?;
            Ok(Proof::new(segment.finish(&mut rng)?.to_bytes()))
        };
        steps.par_iter().map(prove).collect()
    }
}
