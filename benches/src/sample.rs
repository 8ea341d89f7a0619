//! Times of repeated work.

use std::time::Instant;

use anyhow::Context;
use rayon::ThreadPoolBuilder;

/// Runs `work` on a pool of so many threads.
///
/// # Errors
/// If the threads can't be started; the error of `work`.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    ThreadPoolBuilder::new().num_threads(threads).build().context("starting threads")?.install(work)
}

/// Runs `work` and returns its result with the seconds it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64())
}

/// Median seconds of `rounds` runs of `work`.
///
/// # Errors
/// The first one of `work`.
pub fn repeat<T, E>(rounds: usize, mut work: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    let times: Result<Vec<f64>, E> = (0..rounds).map(|_| time_of(&mut work)).collect();
    Ok(median(times?))
}

/// Median seconds of `ours` and of `peer`, run in turn (A B A B ...) so that whatever slows the machine down slows
/// both; the first `warm_up` runs of each don't count.
///
/// # Errors
/// The first one of either.
pub fn interleave<T, U, E>(
    warm_up: usize,
    rounds: usize,
    mut ours: impl FnMut() -> Result<T, E>,
    mut peer: impl FnMut() -> Result<U, E>,
) -> Result<(f64, f64), E> {
    let mut times = (Vec::new(), Vec::new());
    for round in 0..warm_up + rounds {
        let (a, b) = (time_of(&mut ours)?, time_of(&mut peer)?);
        if round >= warm_up {
            times.0.push(a);
            times.1.push(b);
        }
    }
    Ok((median(times.0), median(times.1)))
}

fn time_of<T, E>(work: &mut impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    let (result, seconds) = timed(work);
    result.map(|_| seconds)
}

/// The median; of an even number, the mean of the middle two.
///
/// # Panics
/// If there are no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "the median of nothing");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::{interleave, median};

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_two_take_turns() {
        let order = std::cell::RefCell::new(String::new());
        let run = |name: char| -> Result<(), ()> {
            order.borrow_mut().push(name);
            Ok(())
        };
        interleave(1, 2, || run('a'), || run('b')).unwrap();
        assert_eq!(*order.borrow(), "ababab");
    }
}
