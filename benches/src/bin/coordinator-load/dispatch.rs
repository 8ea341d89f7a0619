//! How long a prover waits for work while others are busy.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use crowdfold_bench::payments::ROLLUP;
use crowdfold_bench::report::Measure;
use crowdfold_wire::{FromCoordinator, Offer, Outcome, Progress, Release, ReleaseReason, Segment, UploadId, Within};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::World;
use crate::light::{Light, Proof};
use crate::process::Choices;
use crate::work::{self, Submitted};

/// Provers, each of which folds a segment.
const PROVERS: usize = 500;
/// Steps of a segment: its inputs take more than one frame.
const STEPS: usize = 6;
/// Segments of the job: more than provers.
const SEGMENTS: usize = 640;
/// Seconds that a segment is said to take.
const TARGET_S: u64 = 120;
/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(60);
/// Milliseconds for which a prover folds on average, before it asks for another segment. Shorter than a segment's time,
/// so that there are many samples.
const FOLDS_MS: u64 = 40_000;
/// Time between handing a segment back and asking for the next one.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a prover may wait for work: far longer only where something is stuck.
const PATIENCE: Duration = Duration::from_secs(20);
/// Provers that upload a proof of what they have folded, once, before they ask.
const UPLOADS: usize = 150;

/// A prover that says it folds.
struct Busy {
    light: Light,
    segment: Option<Segment>,
    /// Inputs of it that have come.
    inputs: u64,
    proof: Option<Proof>,
    rng: ChaCha20Rng,
    /// When it asked for the segment that it waits for.
    asked: Option<Instant>,
    /// Milliseconds from asking to the first input.
    waits: Vec<f64>,
    accepted: usize,
}

impl Busy {
    async fn join(world: &World, address: std::net::SocketAddr, number: usize) -> anyhow::Result<Self> {
        let speed = world.programs.rows(ROLLUP) * STEPS as u64 / TARGET_S;
        Ok(Self {
            light: Light::connect(address, number, speed).await?,
            segment: None,
            inputs: 0,
            proof: None,
            rng: ChaCha20Rng::seed_from_u64(number as u64),
            asked: None,
            waits: Vec::new(),
            accepted: 0,
        })
    }

    /// A moment up to twice the mean from now.
    fn later(&mut self, mean_ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(self.rng.next_u64() % (2 * mean_ms))
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        self.light.ready(1)?;
        self.asked = Some(Instant::now());
        self.light.flush().await
    }

    fn heard(&mut self, message: FromCoordinator) -> anyhow::Result<()> {
        match message {
            FromCoordinator::Segment(segment) => {
                self.inputs = 0;
                self.segment = Some(segment);
            }
            FromCoordinator::Inputs(inputs) => {
                if let Some(asked) = self.asked.take() {
                    self.waits.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                self.inputs += inputs.inputs.len() as u64;
            }
            FromCoordinator::Verdict(verdict) => {
                ensure!(matches!(verdict.outcome, Outcome::Accepted(_)), "a proof was {:?}", verdict.outcome);
                self.accepted += 1;
            }
            other => anyhow::bail!("expected work and verdicts, got {other:?}"),
        }
        Ok(())
    }

    /// Says that it has folded a step, which it will hand in.
    fn report(&mut self) -> anyhow::Result<()> {
        if let Some(segment) = self.segment.as_ref().filter(|_| self.proof.is_some()) {
            self.light.send(Progress { task: segment.task, steps: Within::new(1)? })?;
        }
        Ok(())
    }

    /// Hands its segment back, and a proof of its first step in if it has one.
    fn hand_back(&mut self) -> anyhow::Result<()> {
        let segment = self.segment.take().context("a segment")?;
        self.light.ready(0)?;
        let mut kept = 0;
        if let Some(proof) = self.proof.take() {
            let (upload, bytes) = (UploadId::of(&proof), Within::new(proof.len() as u64)?);
            let offer = Offer { upload, task: segment.task, first: segment.first, steps: Within::new(1)?, bytes };
            self.light.offer(offer, proof)?;
            kept = 1;
        }
        self.light.send(Release { task: segment.task, kept: Within::new(kept)?, reason: ReleaseReason::Paused })
    }

    /// Works till then, and some more until it has what it asked for.
    async fn work(mut self, until: Instant) -> anyhow::Result<Self> {
        let mut turn = self.later(FOLDS_MS);
        // As long as it said that a step takes it.
        let mut report = Some(self.later(1000 * TARGET_S / STEPS as u64));
        loop {
            let now = Instant::now();
            if now >= until && self.asked.is_none() {
                return Ok(self);
            }
            ensure!(self.asked.is_none_or(|asked| asked.elapsed() < PATIENCE), "a prover gets no work");
            if report.take_if(|report| *report <= now).is_some() {
                self.report()?;
            }
            if now >= turn && now < until && self.asked.is_none() {
                if self.segment.is_some() {
                    self.hand_back()?;
                    turn = now + PAUSE;
                } else {
                    self.ask().await?;
                    turn = self.later(FOLDS_MS);
                }
            }
            let wake = if let Some(asked) = self.asked { asked + PATIENCE } else { turn.min(until) };
            let wake = report.map_or(wake, |report| report.min(wake));
            if let Some(message) = self.light.next_before(wake).await? {
                self.heard(message)?;
            }
        }
    }
}

/// The value below which such a part of the values lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let place = ((values.len() as f64 * part) as usize).min(values.len() - 1);
    values[place]
}

/// The median and the worst of a hundred.
pub(crate) fn measure(world: &World) -> anyhow::Result<Vec<Measure>> {
    let coordinator = world.coordinator("dispatch", Choices { target_s: TARGET_S, min_steps: STEPS as u64 })?;
    let body = work::body(ROLLUP, STEPS * SEGMENTS, 3)?;
    let job = Submitted::new(&coordinator, &world.programs, ROLLUP, &body)?;
    eprintln!("proving {UPLOADS} steps of {ROLLUP}");
    let steps: Vec<usize> = (0..UPLOADS).map(|number| number * STEPS).collect();
    let mut proofs = job.prove(&world.programs, &steps)?.into_iter();
    let fleet = world.runtime.block_on(async {
        let mut fleet = Vec::new();
        for number in 0..PROVERS {
            let mut busy = Busy::join(world, coordinator.site.address, number).await?;
            busy.ask().await?;
            while busy.inputs == 0 {
                let message = busy.light.next().await?;
                busy.heard(message)?;
            }
            busy.waits.clear();
            // They are handed out in order, so each gets the one whose first step was proved.
            let first = busy.segment.as_ref().map(|segment| segment.first.get());
            ensure!(first == Some((number * STEPS) as u64), "prover {number} got the segment from {first:?} on");
            busy.proof = proofs.next();
            fleet.push(busy);
        }
        anyhow::Ok(fleet)
    })?;
    eprintln!("{PROVERS} busy provers for {} s", WATCHED.as_secs());
    let cpu = coordinator.process.cpu()?;
    let (mut waits, mut accepted) = (Vec::new(), 0);
    world.runtime.block_on(async {
        let until = Instant::now() + WATCHED;
        let working: Vec<_> = fleet.into_iter().map(|busy| tokio::spawn(busy.work(until))).collect();
        for busy in working {
            let busy = busy.await??;
            waits.extend(busy.waits);
            accepted += busy.accepted;
        }
        anyhow::Ok(())
    })?;
    let cores = (coordinator.process.cpu()? - cpu) / WATCHED.as_secs_f64();
    waits.sort_by(f64::total_cmp);
    ensure!(waits.len() >= 100, "only {} tasks were asked for", waits.len());
    let what = format!(
        "{} tasks asked to first input received, {PROVERS} busy provers, {accepted} proofs accepted meanwhile",
        waits.len()
    );
    Ok(vec![
        Measure::new("dispatch_p50_ms", format!("{what}; median"), quantile(&waits, 0.5), "ms").at_most(5.0),
        Measure::new("dispatch_p99_ms", "the same; 99 of 100 are faster", quantile(&waits, 0.99), "ms").at_most(50.0),
        Measure::new("dispatch_max_ms", "the same; the slowest", quantile(&waits, 1.0), "ms"),
        Measure::new("dispatch_cpu", "cores that the coordinator uses meanwhile", cores, "cores"),
    ])
}
