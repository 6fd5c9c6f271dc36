//! The permissions of Rocket.Chat that this server knows, by upstream's names.

use keywright::rocketchat::Permission;

const PERMISSIONS: [Permission; 4] = [
    Permission::EditOtherUserE2ee,
    Permission::EditOtherUserTotp,
    Permission::BypassRateLimit,
    Permission::LogoutOtherUser,
];

/// Returns upstream's name, which the accounts file uses too, or `None` for a permission that this
/// server does not know.
pub(super) const fn permission_name(permission: Permission) -> Option<&'static str> {
    match permission {
        Permission::EditOtherUserE2ee => Some("edit-other-user-e2ee"),
        Permission::EditOtherUserTotp => Some("edit-other-user-totp"),
        Permission::BypassRateLimit => Some("api-bypass-rate-limit"),
        Permission::LogoutOtherUser => Some("logout-other-user"),
        _ => None,
    }
}

/// Whether this is the name of a permission that this server knows.
pub(super) fn is_permission(name: &str) -> bool {
    PERMISSIONS.into_iter().any(|permission| permission_name(permission) == Some(name))
}
