//! The seam to whoever runs steps.

use stockade_engine::{Engine, EngineError, StepRequest, StepStream};

/// Runs a command over layers. The engine in real life, a recorder in tests.
pub trait Executor: Sync {
    /// Runs one step to its end; see [`Engine::run_step`].
    fn run(&self, step: &StepRequest, out: &mut dyn FnMut(StepStream, &[u8])) -> Result<i32, EngineError>;
}

impl Executor for Engine {
    fn run(&self, step: &StepRequest, out: &mut dyn FnMut(StepStream, &[u8])) -> Result<i32, EngineError> {
        self.run_step(step, out)
    }
}
