//! Connections of provers that wait for work.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use crowdfold_bench::report::Measure;
use futures_util::{StreamExt as _, stream};

use crate::World;
use crate::light::Light;
use crate::process::Choices;

/// Connections, and how many are made at once.
const CONNECTIONS: usize = 6_000;
const AT_ONCE: usize = 64;
/// How long they are held: pings of both ends go to and fro meanwhile.
const HELD: Duration = Duration::from_secs(40);
/// Rows a second that they say they fold.
const SPEED: u64 = 100_000;

async fn connect(address: std::net::SocketAddr, number: usize) -> anyhow::Result<Light> {
    let mut light = Light::connect(address, number, SPEED).await?;
    light.ready(2)?;
    light.flush().await?;
    Ok(light)
}

/// Whether a connection that is held till then is there at the end.
async fn hold(mut light: Light, until: Instant) -> Option<Light> {
    loop {
        match light.next_before(until).await {
            Ok(None) => return Some(light),
            Ok(Some(_)) => {}
            Err(error) => {
                eprintln!("a connection ended: {error:#}");
                return None;
            }
        }
    }
}

/// How many are held, and what each takes.
pub(crate) fn measure(world: &World) -> anyhow::Result<Vec<Measure>> {
    eprintln!("{CONNECTIONS} connections");
    let coordinator = world.coordinator("idle", Choices { target_s: 120, min_steps: 1 })?;
    let address = coordinator.site.address;
    world.runtime.block_on(async {
        // What the first connection of all brings into memory is not a connection's.
        let first = connect(address, 0).await?;
        let before = coordinator.process.memory()?;
        let began = Instant::now();
        let connecting = stream::iter(1..CONNECTIONS).map(|number| tokio::spawn(connect(address, number)));
        let mut connecting = connecting.buffer_unordered(AT_ONCE);
        let until = |held: &Instant| *held + HELD;
        let mut held = vec![first];
        while let Some(light) = connecting.next().await {
            held.push(light??);
        }
        let connected = began.elapsed().as_secs_f64();
        let (idle, cpu) = (Instant::now(), coordinator.process.cpu()?);
        let holding: Vec<_> = held.into_iter().map(|light| tokio::spawn(hold(light, until(&idle)))).collect();
        let mut alive = Vec::new();
        for light in holding {
            alive.extend(light.await.context("a connection's task")?);
        }
        let (cpu, seconds) = (coordinator.process.cpu()? - cpu, idle.elapsed().as_secs_f64());
        let each = (coordinator.process.memory()? - before) / (CONNECTIONS - 1) as f64;
        let held = format!("idle WebSocket provers held for {} s", HELD.as_secs());
        let rate = (CONNECTIONS - 1) as f64 / connected;
        Ok(vec![
            Measure::new("idle_connections", held, alive.len() as f64, "").at_least(5_000.0),
            Measure::new("kb_per_connection", "resident memory of the coordinator for each", each, "KB").at_most(24.0),
            Measure::new("connects_s", "connections made and greeted a second", rate, "1/s"),
            Measure::new("idle_cpu", "cores that the coordinator uses meanwhile", cpu / seconds, "cores"),
        ])
    })
}
