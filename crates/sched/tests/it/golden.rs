//! The effects of a short scenario, word for word. `CROWDFOLD_GOLDEN=refresh` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use crowdfold_sched::{Effect, Event, ProverId};

use crate::world::{World, spec};

#[test]
fn golden_effects_of_a_small_job() {
    let mut world = World::new();
    let mut text = String::new();
    let mut note = |what: &str, effects: &[Effect]| {
        let _ = writeln!(text, "{what}");
        effects.iter().for_each(|effect| writeln!(text, "    {effect:?}").expect("text"));
    };
    note("a job of 24 steps", &world.job(1, spec(24)));
    let workers = [1, 2].map(|prover| world.worker(prover));
    note("two provers took", &[]);
    workers.iter().for_each(|segment| note(&format!("    {segment:?}"), &[]));
    world.now = 5_000;
    note("progress", &world.progress(workers[0], 5));
    let (proof, effects) = world.receive(workers[0], workers[0].range);
    note("a proof comes", &effects);
    note("and is valid", &world.verify(proof));
    note("its prover goes on", &world.ready(1, 2));
    note("the other leaves", &world.leave(2));
    note("and comes back", &world.join(2, 1000, 1000, true));
    let ready = Event::Ready { prover: ProverId(2), segments: 1, merges: 1 };
    note("for merges too", &world.step(ready));
    note("it hands in what it had", &world.hand_in(workers[1], workers[1].range));
    world.now = 100_000_000;
    note("the deadline passes", &world.at(100_000_000));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden.txt");
    if std::env::var_os("CROWDFOLD_GOLDEN").is_some_and(|value| value == "refresh") {
        std::fs::write(&path, &text).expect("golden.txt can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("golden.txt is there");
    assert_eq!(text, expected, "if this is meant, `./just golden` and look at the difference");
}
