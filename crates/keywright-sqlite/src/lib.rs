//! keywright-sqlite
