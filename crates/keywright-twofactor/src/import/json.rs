//! One user as one line of JSON, for exports and for imports that another program prepares.

use keywright_core::{AccountId, AccountIdError, SecretBytes, SecretString, UnixSeconds};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::user::ImportedUser;
use crate::recovery::code::Preset;
use crate::recovery::imported::{ImportedCodes, ImportedSet, Kind, Source, Stored};
use crate::recovery::set::CodeSet;
use crate::recovery::spelling::{Digest, ImportedForm, Spelling};
use crate::recovery::state::restore;
use crate::totp::device::ImportedDevice;
use crate::totp::parameters::{Algorithm, Parameters, ParametersError};
use crate::totp::secret::{SecretError, TotpSecret};

/// The version of the lines that this crate writes. It reads this version only.
pub const VERSION: u8 = 1;

/// Why a line is not a user. It quotes nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is not JSON, or a field is missing, unknown or of the wrong type.
    #[error("a line is not a user in JSON (column {column})")]
    Json {
        /// The column at which it fails, counted from 1.
        column: usize,
    },
    /// The line has another version.
    #[error("a line has version {0}, and this program reads {VERSION}")]
    Version(u8),
    /// The id is not an account id.
    #[error(transparent)]
    Account(#[from] AccountIdError),
    /// A secret is not base32 or its length is out of bounds.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The parameters of a device are out of bounds.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The recovery codes are not valid.
    #[error("the recovery codes of a line are not valid")]
    Recovery,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u8,
    account: String,
    #[serde(default)]
    devices: Vec<DeviceLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recovery: Option<RecoveryLine>,
    #[serde(default)]
    email: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceLine {
    name: String,
    /// Base32.
    secret: Clear,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<ParametersLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_step: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersLine {
    algorithm: AlgorithmLine,
    digits: u8,
    period: u64,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum AlgorithmLine {
    #[serde(rename = "SHA1")]
    Sha1,
    #[serde(rename = "SHA256")]
    Sha256,
    #[serde(rename = "SHA512")]
    Sha512,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecoveryLine {
    /// Codes in clear.
    Clear(Vec<Clear>),
    /// Digests, in hex or base64.
    Sha256(HashedLine),
    /// Digests, in hex or base64.
    Sha512(HashedLine),
    /// Slow hashes.
    Hashes(HashedLine),
    /// A set that Keywright made, as it keeps it.
    Made(MadeLine),
    /// A set that Keywright imported, as it keeps it.
    Imported(ImportedLine),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HashedLine {
    codes: Vec<Clear>,
    #[serde(default)]
    spelling: Spelling,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeLine {
    preset: Preset,
    key: Clear,
    hashes: Clear,
    used: u32,
    made: u64,
    digests: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportedLine {
    kind: Kind,
    form: ImportedForm,
    key: Clear,
    keyed: Clear,
    used: u32,
    hashes: Vec<Clear>,
    made: u64,
}

/// A text that is wiped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Clear(String);

impl Drop for Clear {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Clear {
    fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn hex(bytes: &[u8]) -> Self {
        Self(hex::encode(bytes))
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, LineError> {
        hex::decode(&self.0).map(Zeroizing::new).map_err(|_| LineError::Recovery)
    }

    fn key(&self) -> Result<SecretBytes<32>, LineError> {
        SecretBytes::from_slice(&self.bytes()?).map_err(|_| LineError::Recovery)
    }
}

impl ImportedUser {
    /// Returns the user as one line of JSON, without the line's end. It holds the secrets **in
    /// clear**: write it to nothing that others can read.
    ///
    /// # Errors
    /// Returns [`LineError::Json`] if it cannot be written, which does not happen.
    pub fn to_line(&self, account: &AccountId) -> Result<SecretString, LineError> {
        let devices = self.devices.iter().map(|device| DeviceLine {
            name: device.name.clone(),
            secret: Clear::of(device.secret.to_base32().expose()),
            parameters: device.parameters.as_ref().map(write_parameters),
            last_step: device.last_step(),
        });
        let recovery = self.recovery.as_ref().map(write_recovery);
        let line = Line {
            version: VERSION,
            account: account.as_str().to_owned(),
            devices: devices.collect(),
            recovery,
            email: self.email,
        };
        serde_json::to_string(&line).map(SecretString::new).map_err(|_| LineError::Json { column: 0 })
    }

    /// Reads a user from one line of JSON: one that [`to_line`](Self::to_line) has written, or one
    /// that another program has prepared.
    ///
    /// ```
    /// use keywright_twofactor::import::ImportedUser;
    ///
    /// let line = r#"{"version": 1, "account": "user-1", "devices": [{"name": "phone", "secret": "JBSWY3DPEHPK3PXP",
    ///     "parameters": {"algorithm": "SHA1", "digits": 6, "period": 30}, "last_step": 56666666}],
    ///     "recovery": {"clear": ["zqk4-7pna", "b3xm-9wte"]}}"#;
    /// let (account, user) = ImportedUser::from_line(line)?;
    /// assert_eq!((account.as_str(), user.devices().len()), ("user-1", 1));
    /// # Ok::<(), keywright_twofactor::import::LineError>(())
    /// ```
    ///
    /// # Errors
    /// Returns a [`LineError`], which quotes nothing of the line.
    pub fn from_line(line: &str) -> Result<(AccountId, Self), LineError> {
        let line: Line = serde_json::from_str(line).map_err(|error| LineError::Json { column: error.column() })?;
        if line.version != VERSION {
            return Err(LineError::Version(line.version));
        }
        let account = AccountId::new(&line.account)?;
        let devices = line.devices.iter().map(read_device).collect::<Result<_, _>>()?;
        let recovery = line.recovery.as_ref().map(read_recovery).transpose()?;
        Ok((account, Self { devices, recovery, email: line.email }))
    }
}

fn write_parameters(parameters: &Parameters) -> ParametersLine {
    ParametersLine {
        algorithm: match parameters.algorithm() {
            Algorithm::Sha256 => AlgorithmLine::Sha256,
            Algorithm::Sha512 => AlgorithmLine::Sha512,
            Algorithm::Sha1 => AlgorithmLine::Sha1,
        },
        digits: parameters.digits(),
        period: parameters.step_seconds(),
    }
}

fn read_device(line: &DeviceLine) -> Result<ImportedDevice, LineError> {
    let mut device = ImportedDevice::new(&line.name, TotpSecret::from_base32(&line.secret.0)?);
    if let Some(parameters) = &line.parameters {
        let algorithm = match parameters.algorithm {
            AlgorithmLine::Sha1 => Algorithm::Sha1,
            AlgorithmLine::Sha256 => Algorithm::Sha256,
            AlgorithmLine::Sha512 => Algorithm::Sha512,
        };
        device = device.with_parameters(Parameters::new(algorithm, parameters.digits, parameters.period)?);
    }
    Ok(match line.last_step {
        Some(step) => device.with_last_step(step),
        None => device,
    })
}

fn write_recovery(codes: &ImportedCodes) -> RecoveryLine {
    let list = |codes: &[SecretString]| codes.iter().map(|code| Clear::of(code.expose())).collect::<Vec<_>>();
    let hashed = |codes: &[SecretString], spelling: Option<Spelling>| HashedLine {
        codes: list(codes),
        spelling: spelling.unwrap_or_default(),
    };
    match &codes.source {
        Source::Clear(clear) => RecoveryLine::Clear(list(clear)),
        Source::Digests(Digest::Sha256, digests) => RecoveryLine::Sha256(hashed(digests, codes.spelling)),
        Source::Digests(Digest::Sha512, digests) => RecoveryLine::Sha512(hashed(digests, codes.spelling)),
        Source::Hashes(hashes) => RecoveryLine::Hashes(hashed(hashes, codes.spelling)),
        Source::Made(set) => RecoveryLine::Made(MadeLine {
            preset: set.preset,
            key: Clear::hex(set.key.expose()),
            hashes: Clear::hex(&set.macs),
            used: set.used,
            made: set.made.get(),
            digests: set.digests,
        }),
        Source::Again(set) => RecoveryLine::Imported(ImportedLine {
            kind: set.kind,
            form: set.form,
            key: Clear::hex(set.key.expose()),
            keyed: Clear::hex(&set.macs),
            used: set.used,
            hashes: list(&set.hashes),
            made: set.made.get(),
        }),
    }
}

fn read_recovery(line: &RecoveryLine) -> Result<ImportedCodes, LineError> {
    let texts = |codes: &[Clear]| codes.iter().map(|code| code.0.clone()).collect::<Vec<_>>();
    let time = |seconds| UnixSeconds::new(seconds).map_err(|_| LineError::Recovery);
    Ok(match line {
        RecoveryLine::Clear(codes) => ImportedCodes::in_clear(texts(codes)),
        RecoveryLine::Sha256(line) => ImportedCodes::digests(Digest::Sha256, texts(&line.codes)).spelled(line.spelling),
        RecoveryLine::Sha512(line) => ImportedCodes::digests(Digest::Sha512, texts(&line.codes)).spelled(line.spelling),
        RecoveryLine::Hashes(line) => ImportedCodes::hashes(texts(&line.codes)).spelled(line.spelling),
        RecoveryLine::Made(line) => {
            let (key, macs, made) = (line.key.key()?, line.hashes.bytes()?, time(line.made)?);
            let set = CodeSet { preset: line.preset, key, macs, used: line.used, made, digests: line.digests };
            let set = restore(set).ok_or(LineError::Recovery)?;
            ImportedCodes { source: Source::Made(Box::new(set)), spelling: None }
        }
        RecoveryLine::Imported(line) => {
            let stored = Stored {
                kind: line.kind,
                form: line.form,
                key: line.key.key()?,
                macs: line.keyed.bytes()?,
                used: line.used,
                hashes: texts(&line.hashes).into_iter().map(SecretString::new).collect(),
                made: time(line.made)?,
            };
            let set = ImportedSet::try_from(stored).map_err(|_| LineError::Recovery)?;
            ImportedCodes { source: Source::Again(Box::new(set)), spelling: None }
        }
    })
}
