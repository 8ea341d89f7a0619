//! What is counted and measured, for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use crowdfold_wire::GoodbyeCode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What was refused. Each is counted, and nothing else comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refusal {
    /// A request without a token that is known, or with one of another role.
    Token,
    /// A request that can't be granted.
    Request,
    /// A request, or a job, that is too large.
    Size,
    /// A request of an address that sends too many.
    Rate,
    /// A connection beyond the limits.
    Connection,
    /// A connection whose request, or whose part in the protocol, did not come in time.
    Slow,
    /// A prover's frame, or the order of some, against the protocol.
    Protocol,
    /// A prover that speaks another version.
    Version,
    /// A prover whose signature is not that of its key over the challenge: it may be replayed.
    Signature,
    /// A prover that dialled another origin.
    Origin,
    /// A prover that is suspended.
    Suspended,
    /// A proof that has more bytes than one of its program.
    Oversized,
    /// An upload that is not what its hash says.
    Upload,
    /// A proof whose job ended or whose steps are proved.
    NotNeeded,
    /// A proof that came too late for any credit.
    Late,
    /// A proof that does not prove what was asked for: it is forged, or of another range or job.
    Proof,
    /// A merge that is not one of its parts.
    Merge,
}

impl Refusal {
    /// What it means that a session was ended with a code.
    pub fn of(code: GoodbyeCode) -> Option<Self> {
        match code {
            GoodbyeCode::Closing | GoodbyeCode::Replaced => None,
            GoodbyeCode::UnknownVersion => Some(Self::Version),
            GoodbyeCode::BadSignature => Some(Self::Signature),
            GoodbyeCode::WrongOrigin => Some(Self::Origin),
            GoodbyeCode::Suspended => Some(Self::Suspended),
            GoodbyeCode::Full => Some(Self::Connection),
            GoodbyeCode::HandshakeTimeout
            | GoodbyeCode::Idle
            | GoodbyeCode::NoPong
            | GoodbyeCode::SlowPeer
            | GoodbyeCode::Stalled => Some(Self::Slow),
            _ => Some(Self::Protocol),
        }
    }
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// What was refused.
    pub kind: Refusal,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct State {
    /// `open`, `done`, `cancelled`, `expired` or `failed`.
    pub state: &'static str,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Judged {
    /// `counted`, `spare`, `compensated`, `superseded`, `late` or `refused`.
    pub verdict: &'static str,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Place {
    /// `here` or `prover`.
    pub r#where: &'static str,
}

/// Labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// The pattern of the path, `other` if there is none.
    pub route: String,
    /// The status of the answer.
    pub status: u16,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    /// The pattern of the path, `other` if there is none.
    pub route: String,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Decision {
    /// `accepted`, `duplicate`, or why a transaction is not accepted.
    pub decision: &'static str,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Pushed {
    /// `whole`, `part`, `refused`, `busy`, `late`, `failed` or `cancelled`.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Makes histograms of requests.
#[derive(Clone, Copy, Debug)]
pub struct Requests;

impl MetricConstructor<Histogram> for Requests {
    fn new_metric(&self) -> Histogram {
        seconds()
    }
}

/// From a tenth of a millisecond to a minute and a half.
fn seconds() -> Histogram {
    Histogram::new([0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 90.0])
}

/// All of it. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// What was refused, by kind.
    pub refused: Family<Kind, Counter>,
    /// Verdicts.
    pub proofs: Family<Judged, Counter>,
    /// Steps whose proofs count.
    pub steps_verified: Counter,
    /// Merges that were made.
    pub merges: Family<Place, Counter>,
    /// Tasks that were posted to functions, by what came of them.
    pub pushes: Family<Pushed, Counter>,
    /// Of one native merge, with its verification.
    pub merge_seconds: Histogram,
    /// Of one batch of verifications.
    pub verify_seconds: Histogram,
    /// Of one write of records.
    pub commit_seconds: Histogram,
    /// Of one turn of the hub's loop.
    pub hub_loop_seconds: Histogram,
    /// Commands that wait for the hub.
    pub hub_inbox: Gauge,
    /// Writes that found no room.
    pub store_full: Counter,
    /// Times that the system's clock jumped by more than ten seconds.
    pub clock_jumps: Counter,
    /// Answers.
    pub requests: Family<Request, Counter>,
    /// Time from request to answer.
    pub request_seconds: Family<Route, Histogram, Requests>,
    /// Jobs by state.
    pub jobs: Family<State, Gauge>,
    /// Steps of open jobs that are not covered.
    pub steps_open: Gauge,
    /// Provers that are connected.
    pub provers_connected: Gauge,
    /// Provers ever seen.
    pub provers_known: Gauge,
    /// Connections of all kinds.
    pub connections: Gauge,
    /// Segments that are handed out.
    pub leases: Gauge,
    /// Proofs that wait for verification.
    pub unverified: Gauge,
    /// Bytes of the database.
    pub database_bytes: Gauge,
    /// Free bytes where the data folder is.
    pub disk_free_bytes: Gauge,
    /// Transactions that wait.
    pub pending: Gauge,
    /// Seconds for which the oldest of them has waited.
    pub oldest_pending_seconds: Gauge,
    /// The last batch.
    pub head_batch: Gauge,
    /// Transactions by what was decided in this run.
    pub decided: Family<Decision, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            refused: Family::default(),
            proofs: Family::default(),
            steps_verified: Counter::default(),
            merges: Family::default(),
            pushes: Family::default(),
            merge_seconds: seconds(),
            verify_seconds: seconds(),
            commit_seconds: seconds(),
            hub_loop_seconds: seconds(),
            hub_inbox: Gauge::default(),
            store_full: Counter::default(),
            clock_jumps: Counter::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(Requests),
            jobs: Family::default(),
            steps_open: Gauge::default(),
            provers_connected: Gauge::default(),
            provers_known: Gauge::default(),
            connections: Gauge::default(),
            leases: Gauge::default(),
            unverified: Gauge::default(),
            database_bytes: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            pending: Gauge::default(),
            oldest_pending_seconds: Gauge::default(),
            head_batch: Gauge::default(),
            decided: Family::default(),
        };
        metrics.registry = Arc::new(metrics.registry());
        metrics
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("crowdfold");
        registry.register("refused", "What was refused, by kind", self.refused.clone());
        registry.register("proofs", "Proofs by verdict", self.proofs.clone());
        registry.register("steps_verified", "Steps whose proofs count", self.steps_verified.clone());
        registry.register("merges", "Merges that were made", self.merges.clone());
        registry.register("pushes", "Tasks that were posted to functions, by outcome", self.pushes.clone());
        registry.register("merge_seconds", "A native merge with its verification", self.merge_seconds.clone());
        registry.register("verify_seconds", "A batch of verifications", self.verify_seconds.clone());
        registry.register("commit_seconds", "A write of records", self.commit_seconds.clone());
        registry.register("hub_loop_seconds", "A turn of the hub's loop", self.hub_loop_seconds.clone());
        registry.register("hub_inbox", "Commands that wait for the hub", self.hub_inbox.clone());
        registry.register("store_full", "Writes that found no room", self.store_full.clone());
        registry.register("clock_jumps", "Jumps of the system's clock", self.clock_jumps.clone());
        registry.register("http_requests", "Answers to requests", self.requests.clone());
        registry.register("http_seconds", "From request to answer", self.request_seconds.clone());
        registry.register("jobs", "Jobs by state", self.jobs.clone());
        registry.register("job_steps_open", "Steps of open jobs that are not covered", self.steps_open.clone());
        registry.register("provers_connected", "Provers that are connected", self.provers_connected.clone());
        registry.register("provers_known", "Provers ever seen", self.provers_known.clone());
        registry.register("links", "Connections of all kinds", self.connections.clone());
        registry.register("leases", "Segments that are handed out", self.leases.clone());
        registry.register("proofs_unverified", "Proofs that wait for verification", self.unverified.clone());
        registry.register("database_bytes", "Bytes of the database", self.database_bytes.clone());
        registry.register("disk_free_bytes", "Free bytes where the data folder is", self.disk_free_bytes.clone());
        registry.register("sequencer_pending", "Transactions that wait", self.pending.clone());
        let oldest = self.oldest_pending_seconds.clone();
        registry.register("sequencer_oldest_pending_seconds", "Age of the oldest of them", oldest);
        registry.register("sequencer_head_batch", "The last batch", self.head_batch.clone());
        registry.register("sequencer_decided", "Transactions by decision in this run", self.decided.clone());
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "The version that runs", build);
        registry
    }

    /// Counts something that was refused.
    pub fn refuse(&self, kind: Refusal) {
        self.refused.get_or_create(&Kind { kind }).inc();
    }

    /// All of it as Prometheus reads it.
    ///
    /// # Errors
    /// If memory is short.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Sets a gauge to a number that is never so large as not to fit.
pub fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

/// Observes a time.
pub fn observe(histogram: &Histogram, took: Duration) {
    histogram.observe(took.as_secs_f64());
}
