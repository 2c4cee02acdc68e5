//! Keys whose secret numbers are in a PKCS #11 token: a module of the token's maker signs digests with them.
//!
//! A module is a foreign library. It is loaded and started before the process confines itself, because it may read its
//! configuration from anywhere and start threads; what it does later is bound by what the process may do. It refuses to make
//! keys in a token: that is done with the maker's tools, with nobody else in the room.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anima_rpm_file::Algorithm;
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
    types::AuthPin,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::file;

/// Sessions that are kept open with one key: as many as cores that sign at once; more are closed after their use.
const MAX_IDLE_SESSIONS: usize = 16;
/// What stands before a SHA-256 digest where RSA signs it (PKCS #1, `DigestInfo`): tokens want it from us.
const SHA256_PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Why a key in a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The module is not loaded.
    #[error("could not use the module {0}: it was not loaded when the Sign Server started; start it again")]
    NotLoaded(PathBuf),
    /// The module or the token refuses.
    #[error("could not {what} (PKCS #11 module {module}): {reason}", module = module.display())]
    Refused {
        /// What was tried.
        what: String,
        /// The module.
        module: PathBuf,
        /// What it says.
        reason: String,
    },
    /// The file that says where the key is makes no sense.
    #[error("could not read {path}: {reason}", path = path.display())]
    Place {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// Where a key is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The module's file.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the key in it.
    pub object: String,
}

impl Place {
    /// Reads the file that says where a key is.
    pub fn read(path: &Path) -> Result<Place, Error> {
        let text = fs::read_to_string(path).map_err(file::Error::at(path))?;
        toml::from_str(&text)
            .map_err(|error| Error::Place { path: path.to_path_buf(), reason: error.to_string().trim().to_string() })
    }

    /// Returns the text of that file.
    pub fn to_toml(&self) -> String {
        // Three texts can always be written.
        toml::to_string(self).unwrap_or_default()
    }
}

/// Modules that are loaded, and the PIN of their tokens.
#[derive(Clone, Default)]
pub struct Tokens {
    modules: BTreeMap<PathBuf, Pkcs11>,
    pin: Zeroizing<String>,
}

impl Tokens {
    /// Loads the modules of all keys in a keyring that are in tokens, and those that are named besides. It is called before
    /// the process confines itself, and needs no secret.
    pub fn load(keys: &Path, also: &[PathBuf]) -> Result<Tokens, Error> {
        let mut paths = also.to_vec();
        if let Ok(entries) = fs::read_dir(keys) {
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().ends_with(".token.toml") {
                    paths.push(Place::read(&entry.path())?.module);
                }
            }
        }
        let mut modules = BTreeMap::new();
        for path in paths {
            if let Entry::Vacant(place) = modules.entry(path) {
                let module = start(place.key())?;
                place.insert(module);
            }
        }
        Ok(Tokens { modules, pin: Zeroizing::default() })
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Says which PIN opens the tokens.
    pub fn with_pin(self, pin: Zeroizing<String>) -> Tokens {
        Tokens { pin, ..self }
    }

    /// Finds a key in its token, which the PIN has to open.
    pub(crate) fn key(&self, place: &Place) -> Result<(Algorithm, Arc<dyn anima_rpm_file::Token>), Error> {
        let module = self.modules.get(&place.module).ok_or_else(|| Error::NotLoaded(place.module.clone()))?;
        let refused = |what: &str| {
            let what = format!("{what} \"{}\"", place.token);
            move |error: cryptoki::error::Error| Error::Refused {
                what: what.clone(),
                module: place.module.clone(),
                reason: error.to_string(),
            }
        };
        let missing = |reason: String| Error::Refused {
            what: format!("find key \"{}\" in token \"{}\"", place.object, place.token),
            module: place.module.clone(),
            reason,
        };
        let slot = find_slot(module, &place.token)
            .map_err(refused("look for token"))?
            .ok_or_else(|| missing("there is no such token".to_string()))?;
        let session = module.open_ro_session(slot).map_err(refused("open token"))?;
        login(&session, &self.pin).map_err(refused("log in to token"))?;
        let (algorithm, public_numbers) = public_half(&session, &place.object).map_err(missing)?;
        let private = private_half(&session, &place.object).map_err(missing)?;
        let key = Key {
            module: module.clone(),
            slot,
            private,
            algorithm,
            public_numbers,
            idle: Mutex::default(),
            _held: Mutex::new(session),
        };
        Ok((algorithm, Arc::new(key)))
    }
}

fn start(path: &Path) -> Result<Pkcs11, Error> {
    let refused = |what: &str, error: cryptoki::error::Error| Error::Refused {
        what: what.to_string(),
        module: path.to_path_buf(),
        reason: error.to_string(),
    };
    let module = Pkcs11::new(path).map_err(|error| refused("load the module", error))?;
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(|error| refused("start the module", error))?;
    Ok(module)
}

fn find_slot(module: &Pkcs11, label: &str) -> Result<Option<Slot>, cryptoki::error::Error> {
    for slot in module.get_slots_with_token()? {
        if module.get_token_info(slot)?.label() == label {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

fn login(session: &Session, pin: &str) -> Result<(), cryptoki::error::Error> {
    use cryptoki::error::{Error, RvError};
    let pin: AuthPin = pin.to_string().into();
    match session.login(UserType::User, Some(&pin)) {
        // One session's login is all sessions'.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns what a key signs with, and its public numbers, of the one public key of that label.
fn public_half(session: &Session, label: &str) -> Result<(Algorithm, Vec<Vec<u8>>), String> {
    let public = one(session, ObjectClass::PUBLIC_KEY, label)?;
    let asked = [AttributeType::KeyType];
    let words = |error: cryptoki::error::Error| error.to_string();
    let kind = session.get_attributes(public, &asked).map_err(words)?;
    let number = |attribute: AttributeType| -> Result<Vec<u8>, String> {
        match session.get_attributes(public, &[attribute]).map_err(words)?.into_iter().next() {
            Some(Attribute::Modulus(bytes) | Attribute::PublicExponent(bytes) | Attribute::EcPoint(bytes)) => Ok(bytes),
            _ => Err(format!("its public half has no {attribute:?}")),
        }
    };
    match kind.first() {
        Some(Attribute::KeyType(KeyType::RSA)) => {
            let numbers = vec![number(AttributeType::Modulus)?, number(AttributeType::PublicExponent)?];
            Ok((Algorithm::Rsa4096, numbers))
        }
        Some(Attribute::KeyType(KeyType::EC_EDWARDS)) => {
            let point = number(AttributeType::EcPoint)?;
            // Most wrap the point into an octet string of DER.
            let point = point.strip_prefix(&[0x04, 0x20]).map(<[u8]>::to_vec).unwrap_or(point);
            Ok((Algorithm::Ed25519, vec![point]))
        }
        other => Err(format!("it is neither RSA nor Ed25519 ({other:?})")),
    }
}

fn private_half(session: &Session, label: &str) -> Result<ObjectHandle, String> {
    one(session, ObjectClass::PRIVATE_KEY, label)
}

fn one(session: &Session, class: ObjectClass, label: &str) -> Result<ObjectHandle, String> {
    let wanted = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    let found = session.find_objects(&wanted).map_err(|error| error.to_string())?;
    match found[..] {
        [one] => Ok(one),
        [] => Err(format!("there is no {class} of that label")),
        _ => Err(format!("there are {} of that label", found.len())),
    }
}

/// A key in a token.
struct Key {
    module: Pkcs11,
    slot: Slot,
    private: ObjectHandle,
    algorithm: Algorithm,
    public_numbers: Vec<Vec<u8>>,
    /// A session is for one thread at a time.
    idle: Mutex<Vec<Session>>,
    /// Whoever closes the last session is logged out.
    _held: Mutex<Session>,
}

impl Key {
    fn with_session<T>(&self, work: impl FnOnce(&Session) -> Result<T, String>) -> Result<T, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let session = match kept {
            Some(session) => session,
            None => self.module.open_ro_session(self.slot).map_err(|error| error.to_string())?,
        };
        // A session that failed is closed: whatever is wrong with it does not come back.
        let done = work(&session)?;
        let mut idle = idle();
        if idle.len() < MAX_IDLE_SESSIONS {
            idle.push(session);
        }
        Ok(done)
    }
}

impl anima_rpm_file::Token for Key {
    fn public_numbers(&self) -> Vec<Vec<u8>> {
        self.public_numbers.clone()
    }

    fn sign_digest(&self, digest: &[u8; 32]) -> Result<Vec<u8>, String> {
        self.with_session(|session| {
            let signed = match self.algorithm {
                Algorithm::Rsa4096 => {
                    let framed = [&SHA256_PREFIX[..], digest].concat();
                    session.sign(&Mechanism::RsaPkcs, self.private, &framed)
                }
                Algorithm::Ed25519 => {
                    let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                    session.sign(&pure, self.private, digest)
                }
            };
            signed.map_err(|error| format!("the token does not sign: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_a_word_too_much_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.token.toml");
        let place = Place { module: "/usr/lib/m.so".into(), token: "Anima \"1\"".into(), object: "key".into() };

        fs::write(&path, place.to_toml()).unwrap();
        assert_eq!(Place::read(&path).unwrap(), place);

        fs::write(&path, format!("{}pin = \"1234\"\n", place.to_toml())).unwrap();
        assert!(Place::read(&path).is_err());
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let absent = PathBuf::from("/nonexistent/module.so");

        let error = Tokens::load(Path::new("/nonexistent"), &[absent]).map(drop).unwrap_err().to_string();

        assert!(error.contains("/nonexistent/module.so"), "{error}");
    }
}
