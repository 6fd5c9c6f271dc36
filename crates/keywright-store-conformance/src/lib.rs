//! keywright-store-conformance
