//! MinRoot, proved and attacked.

mod guide;

use crowdfold_example_minroot::MinRoot;
use crowdfold_fold::gadgets::num::Num;
use crowdfold_fold::recorder::{Recorder, record};
use crowdfold_fold::{
    Address, Context, Error, Fr, Job, Parameters, ProgramId, Segment, Srs, StepFunction, merge, verify,
};
use crowdfold_programs::{Builtin, PlanError, Program, Step, conformance};
use ff::Field;
use nova_snark::frontend::{ConstraintSystem, Variable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

crowdfold_programs::registry! {
    /// What a network with MinRoot proves.
    pub enum Programs;
    /// An input of one of its steps.
    pub enum ProgramsInput;

    Builtin(Builtin),
    MinRoot(MinRoot),
}

fn start() -> [Fr; 3] {
    [Fr::from(3), Fr::from(4), Fr::ZERO]
}

/// The circuit of one step with these roots, whether or not they are roots, and its variables: the state before, then
/// that after it.
fn circuit(program: &MinRoot, roots: &[Fr]) -> (Recorder<Fr>, [Vec<Variable>; 2]) {
    record(|cs| {
        let before = start().map(|value| Num::alloc(cs, value).map(Num::to_allocated));
        let before = before.into_iter().collect::<Result<Vec<_>, _>>()?;
        let after = program.synthesize(cs, &before, &roots.to_vec())?;
        Ok([before, after].map(|state| state.iter().map(|num| num.get_variable()).collect()))
    })
}

/// The fifth root of a number: the one root of a step of one iteration.
fn fifth_root(number: Fr) -> Fr {
    let program = MinRoot::new(1);
    let plan = program.plan(&program.job(number, Fr::ZERO, 1)).expect("a job");
    plan.inputs.map(|roots| roots.expect("it has a root")[0]).next().expect("a step")
}

/// The roots of the first step.
fn roots(program: &MinRoot) -> Vec<Fr> {
    let job = program.job(start()[0], start()[1], program.per_step() as u64);
    program.plan(&job).expect("a job").inputs.next().expect("a step").expect("it has roots")
}

#[test]
fn it_keeps_the_promises_of_a_program() {
    for per_step in [1, 2, 50] {
        let program = MinRoot::new(per_step);
        conformance::check(&program, &program.job(Fr::from(3), -Fr::ONE, 3 * per_step as u64), 3);
    }
    assert_eq!(MinRoot::from_name("minroot/1/65536"), Some(MinRoot::new(MinRoot::MAX_PER_STEP)));
    for name in ["minroot/1/0", "minroot/1/65537", "minroot/1/+1", "minroot/1/01", "minroot/1", "minroot/2/1"] {
        assert_eq!(MinRoot::from_name(name), None, "{name}");
    }
}

#[test]
fn a_step_is_as_the_paper_defines_it() {
    let program = MinRoot::new(2);
    let roots = roots(&program);
    let [x, y, i] = start();
    let fifth = |root: Fr| root.pow_vartime([5]);
    assert_eq!(fifth(roots[0]), x + y);
    assert_eq!(fifth(roots[1]), roots[0] + (x + i));
    let state = program.apply(&start(), &roots).expect("they are the roots");
    assert_eq!(state, [roots[1], roots[0] + (i + Fr::ONE), i + Fr::from(2)]);
    let fields = program.describe(&state).expect("a state");
    assert_eq!((fields[2].name.as_str(), fields[2].value.as_str()), ("i", "2"));
}

#[test]
fn inputs_that_are_no_roots_are_refused() {
    let program = MinRoot::new(3);
    for k in 0..3 {
        let mut roots = roots(&program);
        roots[k] += Fr::ONE;
        let error = program.apply(&start(), &roots).expect_err("it is no root");
        assert!(matches!(&error, Error::Step(reason) if reason.contains(&format!("root {k} "))), "{error}");
    }
    for roots in [vec![Fr::ONE; 2], vec![Fr::ONE; 4]] {
        assert!(matches!(program.apply(&start(), &roots), Err(Error::Length { .. })));
        program.synthesize(&mut Recorder::<Fr>::new(), &[], &roots).expect_err("it has another form");
    }
}

#[test]
fn a_forged_root_leaves_its_row_unsatisfied() {
    let program = MinRoot::new(3);
    let (honest, _) = circuit(&program, &roots(&program));
    assert!(honest.is_satisfied());
    for k in 0..3 {
        // The prover takes another number for root k, and the true roots of what follows from it.
        let mut forged: Vec<Fr> = Vec::new();
        let [mut x, mut y, mut i] = start();
        for j in 0..3 {
            let root = fifth_root(x + y) + if j == k { Fr::ONE } else { Fr::ZERO };
            [x, y, i] = [root, x + i, i + Fr::ONE];
            forged.push(root);
        }
        let (cs, _) = circuit(&program, &forged);
        assert_eq!(cs.unsatisfied_names(), [format!("iteration {k}")]);
    }
}

/// The circuit has one solution: with the state before it fixed, no other variable can move, neither alone nor
/// together.
#[test]
fn the_circuit_leaves_the_prover_no_choice() {
    let program = MinRoot::new(3);
    let (mut cs, [before, after]) = circuit(&program, &roots(&program));
    assert_eq!(cs.free_variables(), [0; 0]);
    assert_eq!(cs.freedom(&before), 0);
    // A state after the step that is another than the circuit's.
    for var in after {
        let value = cs.get(var);
        cs.set(var, value + Fr::ONE);
        assert!(!cs.is_satisfied());
        cs.set(var, value);
    }
    assert!(cs.is_satisfied());
}

#[test]
fn other_jobs_are_refused() {
    let program = MinRoot::new(10);
    let job = |x: Fr, iterations| program.job(x, Fr::ONE, iterations);
    let decode_error = |job: &[u8]| match program.plan(job) {
        Err(PlanError::Decode { at, .. } | PlanError::Program(Error::Decode { at, .. })) => at,
        other => panic!("{other:?}"),
    };
    let good = job(Fr::ONE, 20);
    assert_eq!(program.plan(&good).expect("a job").steps, 2);
    for length in [0, 7, 8, 96, 103] {
        assert_eq!(decode_error(&good[..length]), length);
    }
    assert!(matches!(program.plan(&[&good[..], &[0]].concat()), Err(PlanError::TooLarge { limit: 104, found: 105 })));
    for iterations in [0, 5, 11, MinRoot::MAX_ITERATIONS + 4, u64::MAX] {
        assert_eq!(decode_error(&job(Fr::ONE, iterations)), 96, "{iterations}");
    }
    for element in 0..3 {
        let mut job = good.clone();
        job[32 * element..32 * (element + 1)].fill(0xff);
        assert_eq!(decode_error(&job), 32 * element);
    }
    // More iterations before the job than anyone can have done.
    let mut late = good;
    late[64 + 6] = 1;
    assert_eq!(decode_error(&late), 64);
}

#[test]
fn a_registry_of_one_s_own_has_it_beside_the_built_in_programs() {
    let name = "minroot/1/7";
    let listed = Programs::from_name(name).expect("it is in the registry");
    assert!(matches!(listed, Programs::MinRoot(_)));
    assert!(matches!(Programs::from_name("squarings/1/7"), Some(Programs::Builtin(_))));
    assert!(Builtin::from_name(name).is_none());
    assert!(Programs::list().len() > Builtin::list().len());
    let alone = ProgramId::of(&MinRoot::new(7)).expect("it has a circuit");
    assert_eq!(ProgramId::of(&listed).expect("it has a circuit"), alone);
    conformance::check(&listed, &MinRoot::new(7).job(Fr::ONE, Fr::ONE, 14), 2);
}

#[test]
fn two_provers_prove_a_job_and_their_proofs_merge() {
    let program = MinRoot::new(5);
    let params = Parameters::generate(program.clone(), &Srs::insecure_development(1 << 16)).expect("parameters");
    let plan = program.plan(&program.job(Fr::from(3), Fr::from(4), 20)).expect("a job");
    let begin = plan.start.clone();
    let steps: Vec<Step<Vec<Fr>>> = plan.execute(&program).map(|step| step.expect("accepted")).collect();
    let (first, second) = steps.split_at(2);

    let job = Job { chain_id: 1, contract: Address([2; 20]), job_id: [3; 32] };
    let prove = |prover: u8, start: &[Fr], steps: &[Step<Vec<Fr>>]| {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(prover));
        let context = Context { job, prover: Address([prover; 20]) };
        let mut segment = Segment::new(params.prover(), context, start.to_vec()).expect("a segment");
        for Step { input, .. } in steps {
            // As it travels: encoded and decoded.
            let input = program.decode_input(&program.encode_input(input)).expect("an input");
            segment.push(&input, &mut rng).expect("accepted");
        }
        segment.finish(&mut rng).expect("it has steps")
    };
    let left = prove(10, &begin, first);
    let right = prove(11, &first[1].state, second);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let root = merge(&params, &left, Some(&right), &mut rng).expect("adjacent");
    verify(&params, &root, &mut rng).expect("it verifies");
    assert_eq!((root.start(), root.end(), root.count()), (&begin[..], &steps[3].state[..], 4));
    assert_eq!(root.end()[2], Fr::from(20));

    // A root that is none does not get into a segment.
    let context = Context { job, prover: Address([10; 20]) };
    let mut segment = Segment::new(params.prover(), context, begin).expect("a segment");
    let mut forged = first[0].input.clone();
    forged[0] += Fr::ONE;
    assert!(matches!(segment.push(&forged, &mut rng), Err(Error::Step(_))));
}
