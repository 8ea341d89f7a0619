//! Uploads verified a second.

use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use crowdfold_bench::payments::ROLLUP;
use crowdfold_bench::report::Measure;
use crowdfold_wire::{FromCoordinator, Offer, Outcome, Segment, UploadId, Within};

use crate::World;
use crate::light::{Light, Proof};
use crate::process::Choices;
use crate::work::{self, SMALL, Submitted};

/// Segments that a prover holds at once: the most that it may.
const HELD: usize = 16;
/// Seconds that a step is said to take. All that a prover holds takes less than the longest lease.
const TARGET_S: u64 = 120;

/// A prover with its segments, and the proofs that it will upload.
struct Worker {
    light: Light,
    segments: Vec<Segment>,
}

impl Worker {
    /// Asks for one segment more.
    async fn take(&mut self) -> anyhow::Result<u64> {
        self.light.ready(self.segments.len() as u64 + 1)?;
        let segment = self.light.segment().await?;
        ensure!(segment.steps.get() == 1, "segments of one step were asked for, got {}", segment.steps.get());
        self.segments.push(segment);
        Ok(self.segments[self.segments.len() - 1].first.get())
    }

    /// Uploads a proof for each segment, and waits for all verdicts.
    async fn deliver(mut self, proofs: Vec<Proof>) -> anyhow::Result<()> {
        for (segment, proof) in self.segments.iter().zip(&proofs) {
            let (upload, bytes) = (UploadId::of(proof), Within::new(proof.len() as u64)?);
            let offer = Offer { upload, task: segment.task, first: segment.first, steps: Within::new(1)?, bytes };
            self.light.offer(offer, Proof::clone(proof))?;
        }
        let mut accepted = 0;
        while accepted < proofs.len() {
            let FromCoordinator::Verdict(verdict) = self.light.next().await? else { bail!("expected verdicts") };
            ensure!(matches!(verdict.outcome, Outcome::Accepted(_)), "a proof was {:?}", verdict.outcome);
            accepted += 1;
        }
        Ok(())
    }
}

/// So many proofs of one step each, every other step of a job, so that there is nothing to merge: others hold the steps
/// between.
fn verified(world: &World, program: &'static str, count: usize) -> anyhow::Result<f64> {
    let name = format!("verify-{}", program.split('/').next().context("a family")?);
    let coordinator = world.coordinator(&name, Choices { target_s: TARGET_S, min_steps: 1 })?;
    let body = work::body(program, 2 * count, 1)?;
    let job = Submitted::new(&coordinator, &world.programs, program, &body)?;
    let wanted: Vec<usize> = (0..count).map(|proof| 2 * proof).collect();
    eprintln!("proving {count} steps of {program}");
    let proofs = job.prove(&world.programs, &wanted)?;
    let speed = world.programs.rows(program).div_ceil(TARGET_S);
    world.runtime.block_on(async {
        let mut workers = Vec::new();
        for number in 0..2 * count.div_ceil(HELD) {
            let light = Light::connect(coordinator.site.address, number, speed).await?;
            workers.push(Worker { light, segments: Vec::new() });
        }
        let (folding, holding) = workers.split_at_mut(count.div_ceil(HELD));
        for proof in 0..count {
            let worker = proof / HELD;
            let (own, other) = (folding[worker].take().await?, holding[worker].take().await?);
            ensure!(
                (own, other) == (2 * proof as u64, 2 * proof as u64 + 1),
                "steps {own} and {other} were handed out"
            );
        }
        let began = Instant::now();
        let holding = workers.split_off(count.div_ceil(HELD));
        let mut proofs = proofs.chunks(HELD);
        let mut delivering = Vec::new();
        for worker in workers {
            delivering.push(tokio::spawn(worker.deliver(proofs.next().context("proofs for each")?.to_vec())));
        }
        for delivered in delivering {
            delivered.await??;
        }
        let seconds = began.elapsed().as_secs_f64();
        drop(holding);
        Ok(count as f64 / seconds)
    })
}

/// Both programs.
pub(crate) fn measure(world: &World) -> anyhow::Result<Vec<Measure>> {
    let what = |program| format!("distinct proofs uploaded and verified a second, {program}");
    let (small, rollup) = (verified(world, SMALL, 256)?, verified(world, ROLLUP, 128)?);
    Ok(vec![
        Measure::new("verified_ranges_s", what(SMALL), small, "1/s"),
        Measure::new("verified_ranges_rollup_s", what(ROLLUP), rollup, "1/s"),
    ])
}
