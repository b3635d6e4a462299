//! Stages in parallel, each once, each after those that it needs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::error::BuildError;
use crate::state::State;
use crate::walk::lock;

#[derive(Clone)]
enum Slot {
    Idle,
    Running,
    Done(Arc<State>),
    Failed,
}

/// The results of all stages.
pub(crate) struct Slots {
    slots: Mutex<Vec<Slot>>,
    changed: Condvar,
    /// The error that ended the build: the first that is not the echo of another.
    failure: Mutex<Option<BuildError>>,
    /// Which stage waits for which, to see circles that only triggers of a base image make.
    waits: Mutex<Vec<(usize, usize)>>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Slots {
        Slots {
            slots: Mutex::new(vec![Slot::Idle; count]),
            changed: Condvar::new(),
            failure: Mutex::default(),
            waits: Mutex::default(),
        }
    }

    /// The result of a stage: waits for it, or runs it here when nobody does yet. `waiter` is the stage that needs it.
    pub(crate) fn get(
        &self,
        stage: usize,
        waiter: Option<usize>,
        run: &dyn Fn(usize) -> Result<State, BuildError>,
    ) -> Result<Arc<State>, BuildError> {
        if let Some(waiter) = waiter {
            self.enter(waiter, stage)?;
        }
        let result = self.get_inner(stage, run);
        if let Some(waiter) = waiter {
            lock(&self.waits).retain(|edge| *edge != (waiter, stage));
        }
        result
    }

    fn enter(&self, waiter: usize, stage: usize) -> Result<(), BuildError> {
        let mut waits = lock(&self.waits);
        let mut seen = vec![stage];
        let mut at = 0;
        while let Some(current) = seen.get(at).copied() {
            if current == waiter {
                return Err(BuildError::Usage(
                    "stages need each other in a circle through ONBUILD triggers".to_owned(),
                ));
            }
            for (from, to) in waits.iter() {
                if *from == current && !seen.contains(to) {
                    seen.push(*to);
                }
            }
            at += 1;
        }
        waits.push((waiter, stage));
        Ok(())
    }

    fn get_inner(
        &self,
        stage: usize,
        run: &dyn Fn(usize) -> Result<State, BuildError>,
    ) -> Result<Arc<State>, BuildError> {
        let mut slots = lock(&self.slots);
        loop {
            match slots.get(stage) {
                Some(Slot::Done(state)) => return Ok(Arc::clone(state)),
                Some(Slot::Failed) | None => return Err(BuildError::Cancelled),
                Some(Slot::Running) => {
                    slots = self.changed.wait(slots).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
                Some(Slot::Idle) => break,
            }
        }
        self.set(&mut slots, stage, Slot::Running);
        drop(slots);
        // A panic in a step must wake those that wait for it.
        let mut guard = Guard { slots: self, stage, armed: true };
        let result = run(stage);
        guard.armed = false;
        let mut slots = lock(&self.slots);
        match result {
            Ok(state) => {
                let state = Arc::new(state);
                self.set(&mut slots, stage, Slot::Done(Arc::clone(&state)));
                Ok(state)
            }
            Err(e) => {
                self.set(&mut slots, stage, Slot::Failed);
                Err(e)
            }
        }
    }

    fn set(&self, slots: &mut [Slot], stage: usize, slot: Slot) {
        if let Some(place) = slots.get_mut(stage) {
            *place = slot;
        }
        self.changed.notify_all();
    }

    fn fail(&self, error: BuildError) {
        let mut failure = lock(&self.failure);
        match &*failure {
            None | Some(BuildError::Cancelled) => *failure = Some(error),
            Some(_) => {}
        }
    }

    /// Runs the stages of `order` with a few threads; `on_failure` is called once when the first one fails.
    /// Stages that others need come first in `order`, so that a thread that waits always waits for one that runs.
    pub(crate) fn run_all(
        &self,
        order: &[usize],
        run: &(dyn Fn(usize) -> Result<State, BuildError> + Sync),
        on_failure: &(dyn Fn() + Sync),
    ) -> Result<(), BuildError> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // A thread that waits for another stage does no work: twice the cores keep all of them busy.
        let threads = (cores * 2).min(order.len());
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(stage) = order.get(next.fetch_add(1, Ordering::SeqCst)) {
                if let Err(e) = self.get(*stage, None, &|s| run(s)) {
                    self.fail(e);
                    on_failure();
                    return;
                }
            }
        };
        if threads <= 1 {
            work();
        } else {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(work);
                }
            });
        }
        match lock(&self.failure).take() {
            Some(e) => Err(e),
            None => Ok(()),
        }
    }
}

struct Guard<'s> {
    slots: &'s Slots,
    stage: usize,
    armed: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.armed {
            let mut slots = lock(&self.slots.slots);
            self.slots.set(&mut slots, self.stage, Slot::Failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_runs_once_and_after_its_needs() {
        let slots = Slots::new(4);
        let log = Mutex::new(Vec::new());
        let needs: [&[usize]; 4] = [&[], &[0], &[0], &[1, 2]];
        fn run(s: usize, slots: &Slots, needs: &[&[usize]; 4], log: &Mutex<Vec<usize>>) -> Result<State, BuildError> {
            for need in needs[s] {
                slots.get(*need, Some(s), &|n| run(n, slots, needs, log))?;
            }
            lock(log).push(s);
            Ok(State::scratch())
        }
        slots.run_all(&[0, 1, 2, 3], &|s| run(s, &slots, &needs, &log), &|| {}).unwrap();
        let log = log.into_inner().unwrap();
        assert_eq!(log.len(), 4);
        assert_eq!((log[0], log[3]), (0, 3));
    }

    #[test]
    fn the_first_real_error_is_reported() {
        let slots = Slots::new(3);
        let failed = AtomicUsize::new(0);
        let error = slots
            .run_all(
                &[0, 1, 2],
                &|s| match s {
                    1 => Err(BuildError::Usage("boom".into())),
                    _ => Err(BuildError::Cancelled),
                },
                &|| {
                    failed.fetch_add(1, Ordering::SeqCst);
                },
            )
            .unwrap_err();
        assert!(failed.load(Ordering::SeqCst) >= 1);
        assert!(matches!(error, BuildError::Usage(_) | BuildError::Cancelled));
    }

    #[test]
    fn a_circle_is_an_error_and_no_deadlock() {
        let slots = Slots::new(2);
        fn run(s: usize, slots: &Slots) -> Result<State, BuildError> {
            slots.get(1 - s, Some(s), &|n| run(n, slots))?;
            Ok(State::scratch())
        }
        assert!(slots.run_all(&[0, 1], &|s| run(s, &slots), &|| {}).is_err());
    }
}
