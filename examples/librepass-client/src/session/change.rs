//! Changes of the password or the address: new keys, with every cipher encrypted again, in one
//! call.

use std::time::Instant;

use keywright_core::SystemEntropy;
use keywright_librepass::{
    ArgonParameters, ChangeEmail, ChangePassword, EnvelopeError, Reencrypted, SharedKey, UserKeys,
};
use keywright_rekey::client::Reencryption;
use keywright_rekey::{id_text, parse_id};
use keywright_store::CipherId;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::Session;
use crate::cipher::Cipher;
use crate::error::ClientError;
use crate::http::{Verb, body};
use crate::timings::{Timings, lap};

/// What both changes have in common once every cipher is encrypted again.
struct Prepared {
    old_proof: SharedKey,
    new_proof: SharedKey,
    keys: UserKeys,
    ciphers: Vec<(String, String)>,
    timings: Timings,
}

impl Session {
    /// Changes the password, with fresh parameters of the derivation. All log-ins end, including
    /// this one, so log in again. `progress` is called with the number of ciphers encrypted so far
    /// and the total. Without a `hint`, the old one is cleared.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] if no answer came, in which case try the new password first;
    /// otherwise the [`ClientError`] of the failed step.
    pub fn change_password(
        &self,
        password: &str,
        hint: Option<&str>,
        progress: impl FnMut(usize, usize) + Send,
    ) -> Result<Timings, ClientError> {
        let parameters = ArgonParameters::default();
        let prepared = self.prepare(&self.login.email, password, parameters, progress)?;
        let ciphers = entries(&prepared.ciphers);
        let change = ChangePassword {
            old_shared_key: &prepared.old_proof,
            new_password_hint: hint,
            new_public_key: prepared.keys.public_key(),
            new_shared_key: &prepared.new_proof,
            parameters,
            ciphers: &ciphers,
        };
        self.apply("/api/user/password", &change, prepared.timings)
    }

    /// Requests a change of the address, with the current password. The server mails a link to the
    /// new address. When the link is opened, the change is made and all log-ins end. A change of
    /// the vault in between voids the request.
    ///
    /// # Errors
    /// As [`change_password`](Self::change_password).
    pub fn change_email(
        &self,
        email: &str,
        password: &str,
        progress: impl FnMut(usize, usize) + Send,
    ) -> Result<Timings, ClientError> {
        // The account's own parameters remain in force (protocol § 7).
        let prepared = self.prepare(email, password, self.login.parameters, progress)?;
        let ciphers = entries(&prepared.ciphers);
        let change = ChangeEmail {
            new_email: email,
            old_shared_key: &prepared.old_proof,
            new_public_key: prepared.keys.public_key(),
            new_shared_key: &prepared.new_proof,
            ciphers: &ciphers,
        };
        self.apply("/api/user/email", &change, prepared.timings)
    }

    fn prepare(
        &self,
        email: &str,
        password: &str,
        parameters: ArgonParameters,
        progress: impl FnMut(usize, usize) + Send,
    ) -> Result<Prepared, ClientError> {
        let mut timings = Timings::default();
        let mut mark = Instant::now();
        let vault = self.read()?;
        (timings.ciphers, timings.read) = (vault.len(), lap(&mut mark));
        let keys = UserKeys::derive(email, password, parameters)?;
        timings.derive = lap(&mut mark);
        let ciphers = self.reencrypt(vault, &keys, progress)?;
        timings.reencrypt = lap(&mut mark);
        // One answer serves both proofs, because the server may renew its key between two.
        let server = self.server.pre_login(&self.login.email)?.server;
        let (old_proof, new_proof) = (self.keys.shared_key(&server)?, keys.shared_key(&server)?);
        Ok(Prepared { old_proof, new_proof, keys, ciphers, timings })
    }

    /// Encrypts every cipher under the new key. One that does not open stops the change, because a
    /// vault is changed as a whole or not at all.
    fn reencrypt(
        &self,
        vault: Vec<Cipher>,
        new: &UserKeys,
        progress: impl FnMut(usize, usize) + Send,
    ) -> Result<Vec<(String, String)>, ClientError> {
        let (old, new) = (self.keys.vault_key(), new.vault_key());
        let parsed = |cipher: Cipher| Some((parse_id(&cipher.id)?, cipher.protected_data));
        let vault: Option<Vec<_>> = vault.into_iter().map(parsed).collect();
        let vault = vault.ok_or_else(|| ClientError::answer("a cipher's id is no UUID"))?;
        let decrypt = |_: CipherId, text: &str| old.decrypt(text).map(|text| text.expose().to_vec());
        let encrypt = |_: CipherId, text: &[u8]| -> Result<String, EnvelopeError> { new.encrypt(text, &SystemEntropy) };
        let anew = Reencryption::of(&vault).on_progress(progress).run(decrypt, encrypt)?;
        Ok(anew.into_iter().map(|(id, data)| (id_text(id), data)).collect())
    }

    fn apply(&self, path: &str, change: &impl Serialize, mut timings: Timings) -> Result<Timings, ClientError> {
        let mut mark = Instant::now();
        let body = body(change)?;
        (timings.bytes, timings.encode) = (body.len(), lap(&mut mark));
        self.send::<IgnoredAny>(Verb::Patch, path, &body).map_err(ClientError::of_change)?;
        timings.change = lap(&mut mark);
        Ok(timings)
    }
}

fn entries(ciphers: &[(String, String)]) -> Vec<Reencrypted<'_>> {
    ciphers.iter().map(|(id, data)| Reencrypted { id, data }).collect()
}
