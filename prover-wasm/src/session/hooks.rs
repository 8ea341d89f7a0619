//! What a session tells its host, as objects of JavaScript.

use crowdfold_prover::{Activity, Link, ProofInfo, Purpose, Status};
use crowdfold_wire::{Millis, Outcome, ParametersId, UploadId};
use js_sys::{Function, Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::console_error;
use crate::error::Error;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * What a session tells its host, inside `turn` and other calls of it; `wake` at any time. What a hook throws is written
 * on the console.
 */
export interface SessionHooks {
  /** Something has come: call `turn` soon. */
  wake(): void;
  /** Get these parameters, then call `parameters` or `noParameters`. */
  needParameters(id: string, program: string, purpose: Purpose): void;
  /** Store a finished proof, so that it outlives this session. */
  keep?(proof: StoredProof): void;
  /** The proof of this verdict needs no storing any more. */
  forget(verdict: Verdict): void;
  /** The status is another one. */
  changed(status: Status): void;
  /** Something is worth a line to people. */
  note(text: string): void;
  /** Makes the WebSocket; without it, that is `new WebSocket(url, protocol)`. */
  dial?(url: string, protocol: string): WebSocket;
}

/** What parameters are for. */
export type Purpose = "fold" | "merge";

/** A finished proof without a verdict. */
export interface StoredProof {
  /** Its name: the SHA-256 of its bytes, in hexadecimal. */
  upload: string;
  /** The task that it came from. */
  task: bigint;
  /** The first step that it covers, counted from the job's. */
  first: bigint;
  /** Number of steps. */
  steps: bigint;
  bytes: Uint8Array;
}

/** What became of a proof. */
export interface Verdict {
  /** The proof's name. */
  upload: string;
  /** The first step that it covers, counted from the job's. */
  first: bigint;
  /** Number of steps. */
  steps: bigint;
  outcome: "accepted" | "spare" | "duplicate" | "not_needed" | "refused" | "superseded";
  /** The same for people. */
  text: string;
}

/** What a page would show. */
export interface Status {
  /** The connection. After `refused` connecting again can't help until a person has done what `refusal` says. */
  link: "waiting" | "dialling" | "greeting" | "open" | "ending" | "refused" | "off";
  /** Why the coordinator does not want this prover. */
  refusal?: string;
  /** Milliseconds until it dials again, where `link` is `waiting`. */
  retryInMs?: number;
  /** What it works on; `full` while too many finished proofs wait for the coordinator. */
  activity: "idle" | "folding" | "merging" | "full" | "paused" | "stopping";
  /** Name of the program being folded. */
  program?: string;
  /** The job's name in its contract: 32 bytes in hexadecimal. */
  job?: string;
  /** Steps of the segment. */
  steps?: number;
  /** Steps of it that are folded. */
  folded?: number;
  /** Tasks that wait their turn. */
  waiting: number;
  /** Rows folded in a second, as measured; 0 before. */
  rowsPerSecond: number;
  /** Finished proofs without a verdict, and their bytes. */
  heldProofs: number;
  heldBytes: number;
  /** What became of the work of this session. */
  totals: Totals;
}

/** Numbers of steps, and of proofs by their outcome. */
export interface Totals {
  foldedSteps: number;
  creditedSteps: number;
  accepted: number;
  spare: number;
  duplicate: number;
  notNeeded: number;
  refused: number;
  superseded: number;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The hooks of JavaScript, not checked yet.
    #[wasm_bindgen(typescript_type = "SessionHooks")]
    #[derive(Clone, Debug)]
    pub type SessionHooks;

    #[wasm_bindgen(method, structural, catch)]
    fn wake(this: &SessionHooks) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = needParameters)]
    fn need_parameters(this: &SessionHooks, id: &str, program: &str, purpose: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn keep(this: &SessionHooks, proof: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn forget(this: &SessionHooks, verdict: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn changed(this: &SessionHooks, status: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn note(this: &SessionHooks, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn dial(this: &SessionHooks, url: &str, protocol: &str) -> Result<JsValue, JsValue>;
}

/// Hooks that are there. Nothing of the session may be borrowed when one is called.
#[derive(Debug)]
pub(super) struct Hooks {
    object: SessionHooks,
    has_keep: bool,
    has_dial: bool,
}

impl Hooks {
    /// Checks that all are there that must be.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub(super) fn new(object: SessionHooks) -> Result<Self, Error> {
        let expected = "an object with the functions wake, needParameters, forget, changed and note";
        let wrong = Error::Argument { what: "hooks", expected };
        let hook = |name: &str| Reflect::get(&object, &name.into()).ok();
        let is_function = |name| hook(name).is_some_and(|hook| hook.is_instance_of::<Function>());
        if !["wake", "needParameters", "forget", "changed", "note"].into_iter().all(is_function) {
            return Err(wrong);
        }
        let (has_keep, has_dial) = (is_function("keep"), is_function("dial"));
        Ok(Self { object, has_keep, has_dial })
    }

    pub(super) fn wake(&self) {
        report(self.object.wake());
    }

    pub(super) fn need_parameters(&self, id: ParametersId, program: &str, purpose: Purpose) {
        report(self.object.need_parameters(&id.to_string(), program, name_of(purpose)));
    }

    pub(super) fn keep(&self, upload: UploadId, info: ProofInfo, bytes: &[u8]) {
        if self.has_keep {
            let proof = object([
                ("upload", upload.to_string().into()),
                ("task", info.task.0.into()),
                ("first", info.first.into()),
                ("steps", info.steps.into()),
                ("bytes", Uint8Array::from(bytes).into()),
            ]);
            report(self.object.keep(&proof));
        }
    }

    pub(super) fn forget(&self, upload: UploadId, info: ProofInfo, outcome: &Outcome) {
        let (name, text) = match outcome {
            Outcome::Accepted(steps) => ("accepted", format!("{} steps credited", steps.get())),
            Outcome::Spare => ("spare", "valid; others work on some of its steps".to_owned()),
            Outcome::Duplicate(steps) => ("duplicate", format!("valid and not needed; {} steps paid for", steps.get())),
            Outcome::NotNeeded => ("not_needed", "not needed any more".to_owned()),
            Outcome::Superseded => ("superseded", "a longer one has taken its place".to_owned()),
            Outcome::Refused(why) => ("refused", format!("refused: {why}")),
        };
        let verdict = object([
            ("upload", upload.to_string().into()),
            ("first", info.first.into()),
            ("steps", info.steps.into()),
            ("outcome", name.into()),
            ("text", text.into()),
        ]);
        report(self.object.forget(&verdict));
    }

    pub(super) fn changed(&self, status: &JsValue) {
        report(self.object.changed(status));
    }

    pub(super) fn note(&self, text: &str) {
        report(self.object.note(text));
    }

    /// A WebSocket of the host's making; `None` if it leaves that to us.
    pub(super) fn dial(&self, url: &str, protocol: &str) -> Option<Result<JsValue, JsValue>> {
        self.has_dial.then(|| self.object.dial(url, protocol))
    }
}

/// A hook that throws is the host's mistake: it is shown, and the session goes on.
fn report(called: Result<(), JsValue>) {
    if let Err(thrown) = called {
        console_error(&format!("a hook of a Crowdfold session threw {thrown:?}"));
    }
}

/// What JavaScript calls a purpose.
fn name_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Fold => "fold",
        Purpose::Merge => "merge",
    }
}

/// The purpose of that name.
///
/// # Errors
/// [`Error::Argument`].
pub(super) fn purpose(name: &str) -> Result<Purpose, Error> {
    [Purpose::Fold, Purpose::Merge]
        .into_iter()
        .find(|purpose| name_of(*purpose) == name)
        .ok_or(Error::Argument { what: "purpose", expected: "\"fold\" or \"merge\"" })
}

/// A status as JavaScript sees it.
pub(super) fn status_object(now: Millis, status: &Status) -> JsValue {
    let totals = &status.totals;
    let mut fields: Vec<(&str, JsValue)> = vec![
        ("link", link_name(&status.link).into()),
        ("waiting", number(status.waiting as u64)),
        ("rowsPerSecond", number(status.rows_per_second)),
        ("heldProofs", number(status.held_proofs as u64)),
        ("heldBytes", number(status.held_bytes)),
    ];
    match &status.link {
        Link::Waiting(at) => fields.push(("retryInMs", number(at.since(now)))),
        Link::Refused(goodbye) => fields.push(("refusal", goodbye.text.to_string().into())),
        _ => {}
    }
    let activity = match &status.activity {
        Activity::Idle => "idle",
        Activity::Folding { job, program, steps, folded, .. } => {
            fields.push(("program", program.into()));
            fields.push(("job", hex::encode(job.job_id).into()));
            fields.push(("steps", number(*steps)));
            fields.push(("folded", number(*folded)));
            "folding"
        }
        Activity::Merging { job, .. } => {
            fields.push(("job", hex::encode(job.job_id).into()));
            "merging"
        }
        Activity::Full => "full",
        Activity::Paused => "paused",
        Activity::Stopping => "stopping",
    };
    fields.push(("activity", activity.into()));
    fields.push((
        "totals",
        object([
            ("foldedSteps", number(totals.folded_steps)),
            ("creditedSteps", number(totals.credited_steps)),
            ("accepted", number(totals.accepted)),
            ("spare", number(totals.spare)),
            ("duplicate", number(totals.duplicate)),
            ("notNeeded", number(totals.not_needed)),
            ("refused", number(totals.refused)),
            ("superseded", number(totals.superseded)),
        ]),
    ));
    object(fields)
}

fn link_name(link: &Link) -> &'static str {
    match link {
        Link::Waiting(_) => "waiting",
        Link::Dialling => "dialling",
        Link::Greeting => "greeting",
        Link::Open(_) => "open",
        Link::Ending => "ending",
        Link::Refused(_) => "refused",
        Link::Off => "off",
    }
}

/// A number of JavaScript: exact below 2^53, which no count here gets to.
fn number(number: u64) -> JsValue {
    (number as f64).into()
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, JsValue)>) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // A fresh object takes any property.
        _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}
