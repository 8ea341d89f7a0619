//! A crash of the coordinator while a fleet works.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use crowdfold_bench::payments::ROLLUP;
use crowdfold_bench::report::Measure;
use crowdfold_bench::sample::timed;
use crowdfold_fold::Parameters;
use crowdfold_wire::{Offer, Segment, UploadId, Within};
use futures_util::{StreamExt as _, stream};

use crate::World;
use crate::light::{Light, Proof};
use crate::process::{Choices, Site};
use crate::work::{self, SMALL, Submitted};

/// Provers, each with a segment.
const PROVERS: usize = 1_024;
/// Steps of a segment.
const STEPS: usize = 2;
/// Those of them that have checked in: their proofs wait when the coordinator is killed.
const CHECKED_IN: usize = 128;
/// Segments of the job: more than provers, as check-ins keep their steps.
const SEGMENTS: usize = PROVERS + CHECKED_IN;
/// Seconds that a segment is said to take.
const TARGET_S: u64 = 600;
/// Provers that connect at once.
const AT_ONCE: usize = 64;

/// Connects a prover, and waits for its segment and the first inputs.
async fn work(address: SocketAddr, number: usize, speed: u64) -> anyhow::Result<(Light, Segment, Instant)> {
    let mut light = Light::connect(address, number, speed).await?;
    light.ready(1)?;
    let segment = light.segment().await?;
    Ok((light, segment, Instant::now()))
}

/// Connects all of them, each with its segment and when it came.
async fn fleet(address: SocketAddr, speed: u64) -> anyhow::Result<Vec<(Light, Segment, Instant)>> {
    let connecting = stream::iter(0..PROVERS).map(|number| tokio::spawn(work(address, number, speed)));
    let mut connecting = connecting.buffered(AT_ONCE);
    let mut fleet = Vec::new();
    while let Some(working) = connecting.next().await {
        fleet.push(working??);
    }
    Ok(fleet)
}

/// Uploads a proof of the first step of a segment, whose second is still being folded.
async fn check_in(light: &mut Light, segment: &Segment, proof: &Proof) -> anyhow::Result<()> {
    let (upload, bytes) = (UploadId::of(proof), Within::new(proof.len() as u64)?);
    let offer = Offer { upload, task: segment.task, first: segment.first, steps: Within::new(1)?, bytes };
    light.offer(offer, Proof::clone(proof))?;
    while !light.is_stored(upload) {
        light.next_before(Instant::now() + Duration::from_millis(10)).await?;
    }
    Ok(())
}

/// What loading the parameters takes: a part of every start.
fn loading(world: &World) -> anyhow::Result<f64> {
    let files = [SMALL, ROLLUP].map(|name| (name, world.programs.of(name).to_bytes()));
    let (loaded, seconds) = timed(|| {
        files.iter().try_for_each(|(name, bytes)| {
            Parameters::from_bytes(world.programs.of(name).prover().step().clone(), bytes).map(|_| ())
        })
    });
    loaded?;
    Ok(seconds)
}

/// Kills it and starts it again.
pub(crate) fn measure(world: &World) -> anyhow::Result<Vec<Measure>> {
    let choices = Choices { target_s: TARGET_S, min_steps: STEPS as u64 };
    let site = Site::new(&world.binaries, &world.folder, "recovery", choices)?;
    let coordinator = site.start()?;
    let body = work::body(SMALL, STEPS * SEGMENTS, 2)?;
    let job = Submitted::new(&coordinator, &world.programs, SMALL, &body)?;
    let speed = world.programs.rows(SMALL).div_ceil(TARGET_S);
    eprintln!("proving {CHECKED_IN} check-ins");
    let starts: Vec<usize> = (0..CHECKED_IN).map(|segment| segment * STEPS).collect();
    let proofs = job.prove(&world.programs, &starts)?;
    eprintln!("{PROVERS} segments in flight");
    let mut working = world.runtime.block_on(fleet(site.address, speed))?;
    world.runtime.block_on(async {
        for (light, segment, _) in &mut working {
            if let Some(place) = starts.iter().position(|&start| start as u64 == segment.first.get()) {
                check_in(light, segment, &proofs[place]).await?;
            }
        }
        // Nobody who was connected is gone.
        for (light, ..) in &mut working {
            ensure!(light.next_before(Instant::now()).await.is_ok(), "a connection ended");
        }
        anyhow::Ok(())
    })?;
    let killed = Instant::now();
    coordinator.process.kill()?;
    let restarted = site.start()?;
    let listening = killed.elapsed().as_secs_f64();
    drop(working);
    let again = world.runtime.block_on(fleet(site.address, speed))?;
    let came = again.iter().map(|(_, _, at)| at.duration_since(killed).as_secs_f64());
    let (first, last) = (came.clone().reduce(f64::min).context("provers")?, came.fold(0.0, f64::max));
    drop(restarted);
    let loading = loading(world)?;
    let what = format!("kill -9 to first dispatch after restart, {PROVERS} segments in flight, {CHECKED_IN} check-ins");
    Ok(vec![
        Measure::new("recovery_s", what, first, "s").at_most(3.0),
        Measure::new("recovery_listening_s", "of it until the coordinator listens again", listening, "s"),
        Measure::new(
            "recovery_parameters_s",
            "what loading the parameters of both programs takes on a thread",
            loading,
            "s",
        ),
        Measure::new("recovery_all_s", "kill -9 until each prover has a segment again", last, "s"),
    ])
}
