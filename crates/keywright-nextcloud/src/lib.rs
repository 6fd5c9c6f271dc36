//! keywright-nextcloud
