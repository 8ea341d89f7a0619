//! What a host says about itself.

use crate::limits::HELD_BYTES;
use crowdfold_fold::Address;
use crowdfold_wire::limits::{MAX_CACHED_PARAMETERS, MAX_ORIGIN_BYTES, MAX_SOFTWARE_BYTES, MAX_THREADS, VERSION};
use crowdfold_wire::{Capabilities, Hello, HostKind, List, ParametersId, PublicKey, Ready, Text, Within};

/// What a prover is to the coordinator, and how much it takes on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name and version of the software.
    pub software: Text<MAX_SOFTWARE_BYTES>,
    /// The origin that the host dials.
    pub origin: Text<MAX_ORIGIN_BYTES>,
    /// Who is paid. Proofs bind it.
    pub payout: Address,
    /// What the prover runs on.
    pub host: HostKind,
    /// Memory that it may use.
    pub memory_bytes: u64,
    /// Threads that fold.
    pub threads: Within<1, { MAX_THREADS as u64 }>,
    /// The speed as an earlier run measured it; 0 if none did.
    pub rows_per_second: u64,
    /// Tasks that it takes at once: one is folded, the others wait with their first inputs.
    pub ready: Ready,
    /// Bytes of finished proofs without a verdict, of the one being folded and of merges. Beyond them it does not fold.
    pub held_bytes: u64,
    /// Parameters that the host has and can give at once.
    pub cached: Vec<ParametersId>,
}

impl Config {
    /// A host with the usual limits that folds one segment while the next one waits, and does not merge.
    pub fn new(
        software: Text<MAX_SOFTWARE_BYTES>,
        origin: Text<MAX_ORIGIN_BYTES>,
        payout: Address,
        host: HostKind,
        memory_bytes: u64,
        threads: Within<1, { MAX_THREADS as u64 }>,
    ) -> Self {
        let ready = Ready { tasks: Within::new(2).expect("a small number"), merges: nothing() };
        let (rows_per_second, held_bytes, cached) = (0, HELD_BYTES, Vec::new());
        Self { software, origin, payout, host, memory_bytes, threads, rows_per_second, ready, held_bytes, cached }
    }

    /// The answer to a challenge, still without key and signature.
    pub(crate) fn hello(&self, rows_per_second: u64, loaded: Vec<ParametersId>) -> Hello {
        let mut cached = loaded;
        let others = self.cached.iter().filter(|id| !cached.contains(id)).copied().collect::<Vec<_>>();
        cached.extend(others);
        cached.truncate(MAX_CACHED_PARAMETERS);
        Hello {
            version: VERSION,
            software: self.software.clone(),
            origin: self.origin.clone(),
            key: PublicKey([0; 32]),
            payout: self.payout,
            host: self.host.clone(),
            capabilities: Capabilities {
                memory_bytes: self.memory_bytes,
                threads: self.threads,
                rows_per_second,
                merges: self.ready.merges.get() > 0,
            },
            cached: List::new(cached).unwrap_or_default(),
            signature: [0; 64],
        }
    }
}

/// No tasks.
pub(crate) fn nothing<const MOST: u64>() -> Within<0, MOST> {
    Within::new(0).expect("0 is within")
}
