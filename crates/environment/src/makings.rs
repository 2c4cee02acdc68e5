//! Layers that are being made, and who of this process waits for each: a layer is made as long as anybody wants it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anima_buildroot::{Most, Stop, Terms, Took};
use anima_sandbox::Outcome;

/// What is being made, by the names of the layers.
#[derive(Debug, Default)]
pub(crate) struct Makings(Mutex<HashMap<String, Making>>);

#[derive(Debug, Default)]
struct Making {
    stop: Stop,
    /// Whoever began it may have gone before it ended: who gets the layer first, gets this.
    took: Took,
    waiter_count: usize,
}

/// Somebody who waits for a layer. The last who goes ends the making of it; dropping is going.
#[derive(Debug)]
pub(crate) struct Waiter<'a> {
    makings: &'a Makings,
    name: String,
    stop: Stop,
    took: Took,
    is_gone: bool,
}

impl Makings {
    /// Adds one who waits. Who comes after all others have gone waits for a making of his own.
    pub(crate) fn join(&self, name: String) -> Waiter<'_> {
        let mut all = self.all();
        let making = all.entry(name.clone()).or_default();
        making.waiter_count += 1;
        let (stop, took) = (making.stop.clone(), making.took.clone());
        Waiter { makings: self, name, stop, took, is_gone: false }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Making>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Returns the terms of the making, if it is this one's to begin.
    pub(crate) fn terms(&self, most: Most) -> Terms {
        Terms { most, stop: self.stop.clone(), took: self.took.clone() }
    }

    /// Returns what the making took, to the first who asks when the layer is there.
    pub(crate) fn took(&self) -> Option<Outcome> {
        self.took.take()
    }

    /// Waits no more; returns whether nobody does, so that the making ends.
    pub(crate) fn go(mut self) -> bool {
        self.leave()
    }

    fn leave(&mut self) -> bool {
        if std::mem::replace(&mut self.is_gone, true) {
            return false;
        }
        let mut all = self.makings.all();
        let making = all.get_mut(&self.name).expect("it is there as long as anybody waits");
        making.waiter_count -= 1;
        if making.waiter_count > 0 {
            return false;
        }
        all.remove(&self.name);
        drop(all);
        self.stop.stop();
        true
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_goes_ends_the_making_and_who_comes_later_has_another() {
        let makings = Makings::default();
        let (first, second, other) =
            (makings.join("a".to_owned()), makings.join("a".to_owned()), makings.join("b".to_owned()));
        let (stop, others) = (first.stop.clone(), other.stop.clone());

        assert!(!first.go() && !stop.is_stopped());
        drop(second);
        assert!(stop.is_stopped() && !others.is_stopped());

        let later = makings.join("a".to_owned());
        assert!(!later.stop.is_stopped());
        assert!(later.go() && other.go());
    }
}
