//! A prover at work: [`crowdfold_prover::Prover`] with the clocks, the WebSocket and the storage of JavaScript.

mod bucket;
mod clock;
mod hooks;
mod line;
mod options;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crowdfold_prover::{Effect, Engine as _, FoldEngine, ProofInfo, Prover, Purpose, RestoreError, Worked};
use crowdfold_wire::limits::{MAX_FRAME_BYTES, MAX_UPLOAD_BYTES};
use crowdfold_wire::{Millis, ParametersId, TaskId, UploadId};
use js_sys::Uint8Array;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;
use wasm_bindgen::prelude::*;

use crate::Programs;
use crate::arguments::{self, field, from_hex, whole};
use crate::error::Error;
use crate::prover::{MAX_PARAMETER_BYTES, rng};

use bucket::Bucket;
use clock::{Clock, Reading};
use hooks::{Hooks, SessionHooks, purpose, status_object};
use line::{Happened, Line};
use options::{Options, SessionOptions};

/// The longest wait that `turn` asks for, in milliseconds.
const MAX_WAIT_MS: u64 = 5_000;
/// Milliseconds until another look at a socket that has taken all it takes: nothing tells when it has room.
const ROOM_LOOK_MS: u64 = 50;
/// The slowest rate that can be set, in bytes a second: at slower ones answers to pings come too late.
const MIN_BYTES_PER_SECOND: u32 = 8_000;
/// Parameters that the host may be asked for at once. Tasks that need others are handed back.
const MAX_WANTED: usize = 64;

#[wasm_bindgen]
extern "C" {
    /// A proof that the host had stored, not checked yet.
    #[wasm_bindgen(typescript_type = "StoredProof")]
    #[derive(Debug)]
    pub type StoredProof;

    /// A status.
    #[wasm_bindgen(typescript_type = "Status")]
    #[derive(Debug)]
    pub type Status;
}

thread_local! {
    /// The engine of the last session that ended, with the parameters that it has loaded: those of the next session
    /// need not be fetched and checked again.
    static ENGINE: RefCell<Option<FoldEngine<Programs>>> = const { RefCell::new(None) };
}

/// A prover at work for a coordinator. It does nothing by itself: call `turn` again and again, with time in between for
/// the events of JavaScript; when it was stopped, until the status has the link `off`. `free` it then.
///
/// It calls the hooks while nothing of it is in use, so that one of them may call the session again.
#[wasm_bindgen]
pub struct Session {
    core: RefCell<Core>,
    hooks: Rc<Hooks>,
    address: String,
}

struct Core {
    prover: Prover<FoldEngine<Programs>>,
    clock: Clock,
    rng: ChaCha20Rng,
    line: Option<Line>,
    bucket: Bucket,
    /// Parameters that the host was asked for, with the program that they are of.
    wanted: BTreeMap<(ParametersId, Purpose), String>,
}

impl Drop for Core {
    fn drop(&mut self) {
        let engine = std::mem::take(self.prover.engine_mut());
        // There is none to keep it for when the thread ends.
        _ = ENGINE.try_with(|kept| kept.borrow_mut().replace(engine));
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("address", &self.address).finish_non_exhaustive()
    }
}

#[wasm_bindgen]
impl Session {
    /// A session that wants to connect. In a module it takes over the parameters that the session before had loaded,
    /// if that one was freed.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Argument` names the option or hook that is wrong; `Randomness`.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &SessionOptions, hooks: SessionHooks) -> Result<Self, Error> {
        let Options { socket: address, key, config } = options.read()?;
        let hooks = Rc::new(Hooks::new(hooks)?);
        let rng = rng()?;
        let engine = ENGINE.with(|kept| kept.borrow_mut().take()).unwrap_or_default();
        let core = Core {
            prover: Prover::new(Millis(0), config, engine, key),
            clock: Clock::new(Reading::take()),
            rng,
            line: None,
            bucket: Bucket::new(Millis(0)),
            wanted: BTreeMap::new(),
        };
        Ok(Self { core: RefCell::new(core), hooks, address })
    }

    /// Hears what has come, looks at the clock, sends what can be sent, and does at most one unit of work: a step, or a
    /// proof. Milliseconds until it wants to be called again: 0 for as soon as events of JavaScript had their turn. It
    /// wants to be called earlier after the hook `wake`.
    pub fn turn(&self) -> f64 {
        self.hear();
        self.with(|core, now| core.prover.tick(now));
        self.follow();
        let worked = self.with(|core, now| core.prover.work(now, &mut core.rng));
        self.follow();
        if worked == Worked::Idle { self.wait_ms() as f64 } else { 0.0 }
    }

    /// Stops folding: what is folded becomes a proof and is delivered, the rest is handed back. Go on with `turn`.
    pub fn pause(&self) {
        self.with(|core, now| core.prover.pause(now));
        self.follow();
    }

    /// Goes on after `pause` or `stop`, or connects again after `refused`.
    pub fn resume(&self) {
        self.with(|core, now| core.prover.resume(now));
        self.follow();
    }

    /// Ends in order: as `pause`, then delivers what it has and says goodbye, until the link is `off`. Go on with
    /// `turn`.
    pub fn stop(&self) {
        self.with(|core, now| core.prover.stop(now));
        self.follow();
    }

    /// The network may be back: dials at once if it waits to. Go on with `turn`.
    pub fn nudge(&self) {
        self.with(|core, now| core.prover.dial_now(now));
        self.follow();
    }

    /// Parameters that the hook `needParameters` asked for. They are checked and loaded; when it throws, they are
    /// still wanted: give others, or call `noParameters`.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError`: `Unusable` for those that are damaged, or not the ones wanted; `Argument` for those
    /// that nobody wants; `Limit`; `Memory`.
    pub fn parameters(
        &self,
        id: &str,
        #[wasm_bindgen(unchecked_param_type = "Purpose")] purpose: &str,
        bytes: &Uint8Array,
    ) -> Result<(), Error> {
        let key = self.wanted(id, purpose)?;
        let bytes = arguments::bytes("parameters", bytes, MAX_PARAMETER_BYTES)?;
        self.with(|core, now| {
            let program = core.wanted.get(&key).map_or("", String::as_str);
            core.prover.engine_mut().load(program, &key.0, key.1, &bytes)?;
            core.wanted.remove(&key);
            core.prover.tick(now);
            Ok(())
        })
        .map_err(Error::Unusable)?;
        self.follow();
        Ok(())
    }

    /// Parameters that the hook `needParameters` asked for can't be had: tasks that need them are handed back. `why` is
    /// told to the coordinator.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError` of kind `Argument` for those that nobody wants.
    #[wasm_bindgen(js_name = noParameters)]
    pub fn no_parameters(
        &self,
        id: &str,
        #[wasm_bindgen(unchecked_param_type = "Purpose")] purpose: &str,
        why: &str,
    ) -> Result<(), Error> {
        let key = self.wanted(id, purpose)?;
        self.with(|core, now| {
            core.wanted.remove(&key);
            core.prover.parameters(now, key.0, key.1, Err(why));
        });
        self.follow();
        Ok(())
    }

    /// Takes a proof that an earlier session has kept, to deliver it. `full`: there is no room now, give it again after
    /// the next verdict. `damaged`: no prover made that, remove it.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError` of kind `Memory`.
    #[wasm_bindgen(unchecked_return_type = "\"taken\" | \"full\" | \"damaged\"")]
    pub fn restore(&self, proof: &StoredProof) -> Result<String, Error> {
        let outcome = match stored(proof) {
            Ok((info, bytes)) => self.with(|core, now| core.prover.proof_restored(now, info, bytes)),
            Err(error @ Error::Memory(_)) => return Err(error),
            Err(_) => Err(RestoreError::Damaged),
        };
        self.follow();
        Ok(match outcome {
            Ok(()) => "taken",
            Err(RestoreError::Full) => "full",
            Err(RestoreError::Damaged) => "damaged",
        }
        .to_owned())
    }

    /// Sends at most so many bytes a second in the long run; 0 for no limit. Less than 8000 is taken for 8000.
    ///
    /// # Errors
    /// Throws a `CrowdfoldError` of kind `Argument`.
    #[wasm_bindgen(js_name = setBandwidth)]
    pub fn set_bandwidth(&self, bytes_per_second: f64) -> Result<(), Error> {
        if bytes_per_second.is_nan() || bytes_per_second < 0.0 {
            return Err(Error::Argument { what: "bytesPerSecond", expected: "a number of at least 0" });
        }
        // What is beyond any line's rate saturates.
        let rate = (bytes_per_second > 0.0).then_some((bytes_per_second as u32).max(MIN_BYTES_PER_SECOND));
        self.with(|core, now| core.bucket.set_rate(now, rate));
        Ok(())
    }

    /// What there is to show.
    #[must_use]
    pub fn status(&self) -> Status {
        let (now, status) = self.with(|core, now| (now, core.prover.status()));
        status_object(now, &status).unchecked_into()
    }
}

impl Session {
    /// Does something with what it has and the time. Nothing in it may call JavaScript, which could call us.
    fn with<T>(&self, act: impl FnOnce(&mut Core, Millis) -> T) -> T {
        let reading = Reading::take();
        let core = &mut *self.core.borrow_mut();
        let now = core.clock.at(reading);
        act(core, now)
    }

    /// Tells the prover what has come over the connection.
    fn hear(&self) {
        while let Some(happened) = self.with(|core, now| {
            let line = core.line.as_mut()?;
            let late = || Happened::Gone("the coordinator did not answer in time".to_owned());
            line.next().or_else(|| (line.gives_up_in(now) == Some(0)).then(late))
        }) {
            match happened {
                Happened::Connected => self.with(|core, now| core.prover.connected(now)),
                Happened::Frame(frame) => match arguments::bytes("frame", &Uint8Array::new(&frame), MAX_FRAME_BYTES) {
                    Ok(frame) => self.with(|core, now| core.prover.frame(now, &frame)),
                    Err(error) => self.hang_up(Some(&error.to_string())),
                },
                Happened::Gone(why) => self.hang_up(Some(&why)),
            }
        }
    }

    /// Closes the connection, or what is left of it.
    fn hang_up(&self, why: Option<&str>) {
        // Closing it calls JavaScript.
        let line = self.with(|core, _| core.line.take());
        drop(line);
        if let Some(why) = why {
            self.hooks.note(&format!("not connected: {why}"));
        }
        self.with(|core, now| {
            let random = core.rng.next_u64();
            core.prover.disconnected(now, random);
        });
    }

    /// Does what the prover wants done, and sends what there is to send.
    fn follow(&self) {
        while let Some(effect) = self.with(|core, _| core.prover.next_effect()) {
            match effect {
                Effect::Connect => self.dial(),
                Effect::Disconnect => {
                    self.send(true);
                    self.hang_up(None);
                }
                Effect::NeedParameters { parameters, program, purpose } => {
                    self.need_parameters(parameters, &program, purpose);
                }
                Effect::Keep { upload, info, bytes } => self.hooks.keep(upload, info, &bytes),
                Effect::Forget { upload, info, outcome } => self.hooks.forget(upload, info, &outcome),
                Effect::Changed => {
                    let (now, status) = self.with(|core, now| (now, core.prover.status()));
                    self.hooks.changed(&status_object(now, &status));
                }
            }
        }
        self.send(false);
    }

    fn dial(&self) {
        let now = self.with(|_, now| now);
        match Line::dial(now, &self.address, &self.hooks) {
            Ok(line) => self.with(|core, _| core.line = Some(line)),
            Err(why) => self.hang_up(Some(&why)),
        }
    }

    fn need_parameters(&self, id: ParametersId, program: &str, purpose: Purpose) {
        let is_taken = self.with(|core, now| {
            let is_taken = core.wanted.len() < MAX_WANTED;
            if is_taken {
                core.wanted.insert((id, purpose), program.to_owned());
            } else {
                core.prover.parameters(now, id, purpose, Err("this prover waits for many other parameters"));
            }
            is_taken
        });
        if is_taken {
            self.hooks.need_parameters(id, program, purpose);
        }
    }

    /// Sends frames as the socket has room and the rate allows; the last ones of a connection without asking.
    fn send(&self, is_last: bool) {
        let Some(socket) = self.with(|core, _| core.line.as_ref().map(Line::socket)) else { return };
        while is_last || socket.has_room() {
            let frame = self.with(|core, now| {
                let may_go = is_last || core.bucket.wait_ms(now) == 0;
                let frame = may_go.then(|| core.prover.next_frame(now)).flatten()?;
                core.bucket.take(frame.len());
                Some(frame)
            });
            let Some(frame) = frame else { break };
            socket.send(&frame);
        }
    }

    /// Milliseconds until the clock or the line matter.
    fn wait_ms(&self) -> u64 {
        let socket = self.with(|core, _| core.line.as_ref().map(Line::socket));
        let has_room = socket.is_none_or(|socket| socket.has_room());
        self.with(|core, now| {
            let clock = core.prover.wake_at().map(|at| at.since(now));
            let line = core.line.as_ref().map(|line| match line.gives_up_in(now) {
                Some(left) => left,
                None if !has_room => ROOM_LOOK_MS,
                None => match core.bucket.wait_ms(now) {
                    0 => MAX_WAIT_MS,
                    wait => wait,
                },
            });
            [clock, line].into_iter().flatten().fold(MAX_WAIT_MS, u64::min)
        })
    }

    /// Parameters that were asked for.
    fn wanted(&self, id: &str, name: &str) -> Result<(ParametersId, Purpose), Error> {
        let expected = "the digest of parameters that were asked for and not given yet";
        let key = (ParametersId::parse(id).ok_or(Error::Argument { what: "id", expected })?, purpose(name)?);
        let is_wanted = self.with(|core, _| core.wanted.contains_key(&key));
        is_wanted.then_some(key).ok_or(Error::Argument { what: "id", expected })
    }
}

/// Reads a stored proof, and checks that it is what was stored.
fn stored(proof: &JsValue) -> Result<(ProofInfo, Vec<u8>), Error> {
    let wrong = || Error::Argument { what: "proof", expected: "a proof as the hook `keep` got it" };
    let number = |name| whole(&field("proof", proof, name)?).ok_or_else(wrong);
    let info = ProofInfo { task: TaskId(number("task")?), first: number("first")?, steps: number("steps")? };
    let bytes = field("proof", proof, "bytes")?;
    // Nothing longer can be addressed here anyway.
    let limit = usize::try_from(MAX_UPLOAD_BYTES).unwrap_or(usize::MAX);
    let bytes = arguments::bytes("proof", bytes.unchecked_ref::<Uint8Array>(), limit)?;
    let upload = field("proof", proof, "upload")?.as_string().unwrap_or_default();
    let upload = UploadId(from_hex("proof", "32 bytes as hexadecimal", &upload)?);
    if UploadId::of(&bytes) == upload { Ok((info, bytes)) } else { Err(wrong()) }
}
