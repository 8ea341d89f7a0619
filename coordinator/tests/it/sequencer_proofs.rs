//! From signed transactions to the one proof of a sequence, with real proofs.

use crowdfold_coordinator::catalog::{Catalog, Entry};
use crowdfold_coordinator::sequencer::{Folding, Merge as _, Settings, ToMerge};
use crowdfold_coordinator::store::Store as _;
use crowdfold_fold::{Address, Context, Fr, Parameters, RangeProof, Segment, Srs, StepFunction as _, verify};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_sched::JobId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::Arc;

use crate::sequencer_world::{CHAIN, CONTRACT, Sink, World, genesis, prove, settings, test, transfer};
use crate::store_world::Folder;

/// Folds all steps of a job, as a prover would.
async fn fold(world: &World, entry: &Entry, job: JobId, prover: u8) -> RangeProof {
    let stored = world.storage.store.job(job).await.expect("readable").expect("it is there");
    let program = entry.parameters.prover().step();
    let mut rng = ChaCha20Rng::seed_from_u64(job.0);
    let start = program.decode_state(&stored.start).expect("it was encoded");
    let context = Context { job: stored.name, prover: Address([prover; 20]) };
    let mut segment = Segment::new(entry.parameters.prover(), context, start).expect("a state");
    for input in stored.data.inputs(&world.storage.blobs, 0..stored.data.steps(), 1 << 30).await.expect("there") {
        segment.push(&program.decode_input(&input).expect("canonical"), &mut rng).expect("it is allowed");
    }
    segment.finish(&mut rng).expect("it has steps")
}

#[test]
fn a_sequence_has_one_proof_that_verifies() {
    let folder = Folder::new("seq-proofs");
    genesis(&folder, 4);
    test(async {
        let program = Builtin::from_name("rollup/1").expect("it is built in");
        let parameters = Parameters::generate(program, &Srs::insecure_development(1 << 16)).expect("parameters");
        let mut catalog = Catalog::default();
        catalog.add(Entry::new(parameters));
        let entry = Arc::clone(catalog.named("rollup/1").expect("it was added"));
        let storage = Arc::new(folder.open().await);
        let jobs = Arc::new(Sink { storage: Arc::clone(&storage), parameters: entry.id });
        let merge = Arc::new(Folding(Arc::clone(&entry)));
        let settings = Settings { sequence_batches: 3, ..settings() };
        let world = World::over(&folder, settings, storage, jobs, merge).await.expect("it starts");

        let start = world.sequencer.view().snapshot.head().state;
        for nonce in 0..3 {
            world.accept(&[transfer(2, 3, nonce, 5, 1)]).await;
            world.seal().await;
        }
        let end = world.sequencer.view().snapshot.head().state;
        for batch in 1..=3u8 {
            let job = world.job(batch.into()).await;
            let proof = fold(&world, &entry, job, batch).await;
            prove(&world.storage, job, proof.to_bytes().into()).await.expect("it can be written");
        }
        world.sequencer.job_ended();
        world.until("it is merged", async |world| world.sequence(1).await.root.is_some()).await;

        let (root, ..) = world.sequence(1).await.root.expect("it is there");
        let bytes = world.storage.blobs.proof(root).await.expect("it is there");
        let proof = RangeProof::from_bytes(&entry.parameters, &bytes).expect("it is a proof");
        verify(&entry.parameters, &proof, &mut ChaCha20Rng::seed_from_u64(9)).expect("it is valid");
        assert_eq!((proof.start(), proof.end()), (&start.to_elements()[..], &end.to_elements()[..]));
        assert_eq!((proof.count(), proof.job().chain_id, proof.job().contract), (3, CHAIN, CONTRACT));
        let provers: Vec<_> = proof.receipts().iter().map(|receipt| receipt.prover.0[0]).collect();
        assert_eq!(provers, [1, 2, 3], "all that folded are in it, in order");

        // What is not what was asked for is not taken for it.
        let mut parts = Vec::new();
        for batch in 1..=2 {
            parts.push(world.batch(batch).await.root.expect("it is proved"));
        }
        let encode = |state: &[Fr]| entry.parameters.prover().step().encode_state(state);
        let (start, end) = (encode(&start.to_elements()), world.batch(2).await.end);
        let good = ToMerge { name: *proof.job(), parts, steps: 2, start, end };
        let runtime = tokio::runtime::Handle::current();
        let merge = |work: ToMerge| {
            let (blobs, runtime, folding) = (world.storage.blobs.clone(), runtime.clone(), Folding(Arc::clone(&entry)));
            tokio::task::spawn_blocking(move || {
                folding.merge(&work, &|proof| runtime.block_on(blobs.proof(proof)).map_err(|error| error.to_string()))
            })
        };
        let swapped = ToMerge { parts: good.parts.iter().rev().copied().collect(), ..good.clone() };
        let more = ToMerge { steps: 3, ..good.clone() };
        let none = ToMerge { parts: Vec::new(), ..good };
        for (work, why) in [(swapped, "can't be merged"), (more, "not of the sequence"), (none, "no proofs")] {
            let error = merge(work).await.expect("it does not panic").expect_err("it is not right");
            assert!(error.contains(why) || error.contains("cannot be merged"), "{error}");
        }
        world.stop().await;
    });
}
