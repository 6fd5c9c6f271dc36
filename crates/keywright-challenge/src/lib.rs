//! keywright-challenge
