//! Recovery codes: each works once, and they come in sets.
