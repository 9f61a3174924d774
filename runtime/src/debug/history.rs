//! The moments that a target can go back to at once.

use crate::host;
use crate::machine::Snapshot;

/// Instructions between two snapshots, at the beginning. When there are too many, every second one goes and the distance
/// doubles.
const DISTANCE: u64 = 4_096;

/// The most snapshots that are kept.
const MOST: usize = 64;

/// Snapshots of one run of a guest.
#[derive(Debug)]
pub(super) struct History {
    /// By rising time; the first is where going back ends.
    snapshots: Vec<Snapshot>,
    distance: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { snapshots: Vec::new(), distance: DISTANCE }
    }
}

impl History {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How many snapshots are at or before a time.
    fn until(&self, time: u64) -> usize {
        self.snapshots.partition_point(|snapshot| snapshot.retired() <= time)
    }

    /// Keeps a snapshot of the present if the last one is old enough.
    pub(super) fn remember(&mut self, guest: &mut host::Machine<'_>) {
        self.keep(guest, self.distance);
    }

    /// The same on the way to a moment that is near: whoever goes back there goes back further, in small steps.
    pub(super) fn remember_before(&mut self, guest: &mut host::Machine<'_>, time: u64) {
        let now = guest.machine().retired();
        if now < time && time - now <= DISTANCE {
            self.keep(guest, DISTANCE);
        }
    }

    fn keep(&mut self, guest: &mut host::Machine<'_>, distance: u64) {
        let now = guest.machine().retired();
        let place = self.until(now);
        let last = self.snapshots.get(place.wrapping_sub(1));
        if last.is_some_and(|last| now - last.retired() < distance) || guest.end().is_some() {
            return;
        }
        let snapshot = guest.snapshot(last);
        self.snapshots.insert(place, snapshot);
        if self.snapshots.len() > MOST {
            // The first stays.
            let mut index = 0;
            self.snapshots.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.distance *= 2;
        }
    }

    /// Brings a guest to the last snapshot at or before a time; false, and nothing changed, if there is none.
    pub(super) fn restore(&self, guest: &mut host::Machine<'_>, time: u64) -> bool {
        let found = self.snapshots.get(self.until(time).wrapping_sub(1));
        found.map(|snapshot| guest.restore(snapshot)).is_some()
    }

    /// The same strictly before a time; says where that is.
    pub(super) fn restore_before(&self, guest: &mut host::Machine<'_>, time: u64) -> Option<u64> {
        self.restore(guest, time.checked_sub(1)?).then(|| guest.machine().retired())
    }

    /// When the last snapshot before a time was taken.
    #[cfg(test)]
    pub(super) fn last_before(&self, time: u64) -> u64 {
        self.snapshots[self.until(time) - 1].retired()
    }
}
