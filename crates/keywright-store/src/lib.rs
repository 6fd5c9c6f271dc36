//! keywright-store
