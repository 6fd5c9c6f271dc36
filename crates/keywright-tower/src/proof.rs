//! The proof on its way from the layer to the handler.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use keywright_core::ActionName;
use keywright_twofactor::StepUp;

/// An action whose routes demand a step-up. The type connects the layer of a route with its
/// handler.
pub trait StepUpAction: Send + Sync + 'static {
    /// The action's name, which selects the rule of the policy.
    const ACTION: ActionName;
}

/// The proof that the request's session authenticated again for the action `A`. Take it in the
/// handler, by axum's extraction or with [`take`](Self::take).
#[must_use = "a proof that nobody takes opens nothing"]
pub struct StepUpFor<A> {
    proof: StepUp,
    action: PhantomData<fn() -> A>,
}

/// The request carries no proof for the action: its route lacks the layer, the layer is that of
/// another action, or the proof was taken before. This is a fault of the server, which must refuse
/// the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request carries no proof of a step-up for this action")]
#[non_exhaustive]
pub struct StepUpMissing;

/// The place in a request's extensions, one for each type of action. Extensions are cloned, but the
/// proof is taken once.
pub(crate) struct Carried<A> {
    proof: Arc<Mutex<Option<StepUp>>>,
    action: PhantomData<fn() -> A>,
}

impl<A> Clone for Carried<A> {
    fn clone(&self) -> Self {
        Self { proof: Arc::clone(&self.proof), action: PhantomData }
    }
}

impl<A: StepUpAction> Carried<A> {
    pub(crate) fn new(proof: StepUpFor<A>) -> Self {
        Self { proof: Arc::new(Mutex::new(Some(proof.proof))), action: PhantomData }
    }
}

impl<A: StepUpAction> StepUpFor<A> {
    /// Wraps a proof for the action `A`.
    pub(crate) const fn new(proof: StepUp) -> Self {
        Self { proof, action: PhantomData }
    }

    /// Takes the proof out of a request's extensions. It is there once, however often the
    /// extensions were cloned.
    ///
    /// # Errors
    /// Returns [`StepUpMissing`] if there is none. The caller must refuse the request.
    pub fn take(extensions: &mut Extensions) -> Result<Self, StepUpMissing> {
        let carried = extensions.remove::<Carried<A>>().ok_or(StepUpMissing)?;
        let proof = carried.proof.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(StepUpMissing)?;
        if *proof.action() == A::ACTION { Ok(Self::new(proof)) } else { Err(StepUpMissing) }
    }

    /// Returns the proof, to be passed by value to the function that performs the action.
    pub fn into_proof(self) -> StepUp {
        self.proof
    }
}

keywright_core::redacted_debug!(impl[A] StepUpFor<A> { proof, .. });
