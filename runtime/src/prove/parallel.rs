//! Jobs on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Told how many jobs of how many are done; may be called from any thread.
pub type Progress<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// Runs every job; the results are in the order of the jobs.
pub(super) fn run<T: Sync, R: Send>(jobs: &[T], progress: &Progress<'_>, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let worker = || {
        while let Some((index, job)) = take(&next, jobs) {
            let result = work(job);
            if let Ok(mut results) = results.lock() {
                results.push((index, result));
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len());
        }
    };
    thread::scope(|scope| {
        // This thread works too.
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, jobs: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(index).map(|job| (index, job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<usize> = (0..100).collect();
        let seen = AtomicUsize::new(0);
        let progress = |_, total| {
            assert_eq!(total, 100);
            seen.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(run(&jobs, &progress, |job| job * 2), (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(seen.into_inner(), 100);
        assert!(run(&[] as &[u8], &|_, _| {}, |job| *job).is_empty());
    }
}
