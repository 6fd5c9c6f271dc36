//! keywright-confirm
