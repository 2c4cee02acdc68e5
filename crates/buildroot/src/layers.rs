//! The folder of layers, and the handles that keep layers from being swept.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::At;
use crate::hold::Hold;
use crate::marker::{self, Marker, TREE};
use crate::spread::spread;
use crate::{Error, HostRpm, LockInput, MAX_RPM_BYTES, Root, Terms, make, tree};

/// Several may look at a damaged layer at once, each in the way of the others for a moment; who is in the way at so many
/// looks uses it.
const LOOKS_AT_USED: u32 = 10;

/// A folder of layers. Cheap to share; all methods take `&self`.
#[derive(Debug)]
pub struct Layers {
    pub(crate) dirs: Dirs,
    rpm: HostRpm,
    /// What one layer may take.
    most_bytes: u64,
    looks: Mutex<Looks>,
}

/// What was found when a layer's files were looked at, once since the process began: whether they are as they were made.
type Looks = BTreeMap<String, Arc<OnceLock<bool>>>;

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Dirs {
    /// Whole layers, each in a folder of its name.
    pub layers: PathBuf,
    /// One lock for each layer.
    pub locks: PathBuf,
    /// What is mounted, or being made.
    pub works: PathBuf,
    /// Roots that are kept.
    pub kept: PathBuf,
}

/// A layer, and all below it. While a handle of it lives, it is not swept.
#[derive(Debug, Clone)]
pub struct Layer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    marker: Marker,
    dirs: Dirs,
    parent: Option<Layer>,
    _hold: Hold,
}

impl Layers {
    /// Opens the folder, and makes it when it is missing. Many processes may share it. `helper` is a program that calls
    /// [`anima_sandbox::init_main`] when its first argument says so.
    pub fn open(dir: PathBuf, helper: &Path) -> Result<Layers, Error> {
        let dirs = Dirs {
            layers: dir.join("layers"),
            locks: dir.join("locks"),
            works: dir.join("work"),
            kept: dir.join("kept"),
        };
        for path in [&dirs.layers, &dirs.locks, &dirs.works, &dirs.kept] {
            fs::create_dir_all(path).at("make", path)?;
        }
        spread(&dirs.works).at("spread folders of", &dirs.works)?;
        // What is in roots belongs to the same ids as on the host, programs that switch users among it.
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).at("close to others", &dir)?;
        let rpm = HostRpm::new(dir.join("stage"), helper)?;
        Ok(Layers { dirs, rpm, most_bytes: MAX_RPM_BYTES, looks: Mutex::default() })
    }

    /// Lets a layer take less than [`MAX_RPM_BYTES`].
    pub fn with_most_bytes(self, most_bytes: u64) -> Layers {
        Layers { most_bytes, ..self }
    }

    /// Returns the rpm that fills layers, for other work on roots.
    pub fn rpm(&self) -> &HostRpm {
        &self.rpm
    }

    /// Returns the rpm of a layer in place of the host's. The layer has to be kept as long as it works.
    pub fn rpm_of(&self, layer: &Layer) -> Result<HostRpm, Error> {
        self.rpm.of(&self.dirs.layer(layer.name()).join(TREE))
    }

    /// Returns the layer of this list on top of `parent`, if it is there. Looks at no package, and waits for nobody.
    pub fn find(&self, input: &LockInput, parent: Option<&Layer>) -> Result<Option<Layer>, Error> {
        let name = input.layer_name(parent.map(Layer::name))?;
        match Hold::try_shared(&self.dirs.lock_of(&name))? {
            Some(hold) => self.held(&name, hold, parent),
            None => Ok(None),
        }
    }

    /// Returns the layer of this list on top of `parent`; makes it, or waits for who makes it, when it is missing.
    pub fn layer(&self, input: &LockInput, parent: Option<&Layer>) -> Result<Layer, Error> {
        self.layer_on(input, parent, &Terms::default())
    }

    /// The same on terms that are not the usual ones; whoever waits for another's work does that on the other's terms.
    pub fn layer_on(&self, input: &LockInput, parent: Option<&Layer>, terms: &Terms) -> Result<Layer, Error> {
        let name = input.layer_name(parent.map(Layer::name))?;
        let lock = self.dirs.lock_of(&name);
        let mut left_looks = LOOKS_AT_USED;
        loop {
            // Waits for a maker, but never for users, who may stay for hours.
            if let Some(layer) = self.held(&name, Hold::shared(&lock)?, parent)? {
                return Ok(layer);
            }
            if terms.stop.is_stopped() {
                return Err(Error::Stopped);
            }
            let Some(hold) = Hold::exclusive_soon(&lock)? else {
                // Who makes it is waited for; who uses one that cannot be relied on is in the way.
                if Hold::try_shared(&lock)?.is_some() {
                    left_looks -= 1;
                }
                if left_looks == 0 {
                    return Err(Error::Damaged { name });
                }
                continue;
            };
            if self.whole(&name).is_some() {
                continue;
            }
            let made = self.maker(input).and_then(|(rpm, _hold)| {
                make::layer(&self.dirs, &rpm, &name, make::Plan { input, parent, most_bytes: self.most_bytes, terms })
            });
            match made {
                Ok(outcome) => terms.took.tell(outcome),
                Err(error) => {
                    hold.remove()?;
                    return Err(error);
                }
            }
            self.looks().insert(name.clone(), Arc::new(true.into()));
        }
    }

    /// Returns the rpm that makes a layer, and what keeps it in its place meanwhile.
    fn maker(&self, input: &LockInput) -> Result<(HostRpm, Option<Hold>), Error> {
        let Some(name) = &input.made_by else { return Ok((self.rpm.clone(), None)) };
        let hold = Hold::shared(&self.dirs.lock_of(name))?;
        match self.whole(name) {
            Some(_) => Ok((self.rpm.of(&self.dirs.layer(name).join(TREE))?, Some(hold))),
            None => Err(Error::Lock(format!("layer {name}, whose rpm was to make another, is gone"))),
        }
    }

    /// Returns what is known of a layer that can be relied on; the caller holds its lock. Its files are looked at once in the life
    /// of a process, by one while others wait for what is found: that takes seconds, and as long as somebody looks, nobody can make
    /// the layer anew. One that was damaged loses its marker, so that nobody has to look again to know.
    pub(crate) fn whole(&self, name: &str) -> Option<Marker> {
        let dir = self.dirs.layer(name);
        let marker = Marker::read(&dir, name)?;
        let look = Arc::clone(self.looks().entry(name.to_owned()).or_default());
        if *look.get_or_init(|| marker.is_true_of(&dir)) {
            return Some(marker);
        }
        self.looks().remove(name);
        // One that stays is looked at again.
        let _ = marker::remove(&dir);
        None
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self, name: &str, hold: Hold, parent: Option<&Layer>) -> Result<Option<Layer>, Error> {
        let dir = self.dirs.layer(name);
        let Some(marker) = self.whole(name) else { return Ok(None) };
        marker::touch(&dir).at("touch", &dir)?;
        let inner =
            Inner { name: name.to_owned(), marker, dirs: self.dirs.clone(), parent: parent.cloned(), _hold: hold };
        Ok(Some(Layer(Arc::new(inner))))
    }
}

impl Layer {
    /// Returns its name: the hash of what is in it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns what is installed in it and below it, each as `name-epoch:version-release.arch`, sorted.
    pub fn installed(&self) -> &[String] {
        &self.0.marker.installed
    }

    /// Returns what rpm and the packages' scripts said while it was made.
    pub fn install_log(&self) -> Result<String, Error> {
        let path = self.0.dirs.layer(self.name()).join(marker::LOG);
        Ok(String::from_utf8_lossy(&fs::read(&path).at("read", &path)?).into_owned())
    }

    /// Mounts a clean root with an empty upper, which keeps the layer as long as it lives.
    pub fn mount(&self) -> Result<Root, Error> {
        Root::mount(self)
    }

    pub(crate) fn dirs(&self) -> &Dirs {
        &self.0.dirs
    }

    /// Returns the names of it and of those below it, from the top down.
    pub(crate) fn names(&self) -> Vec<String> {
        let layers = std::iter::successors(Some(self), |layer| layer.0.parent.as_ref());
        layers.map(|layer| layer.name().to_owned()).collect()
    }

    /// Returns the trees to mount, from the top down.
    pub(crate) fn trees(&self) -> Vec<PathBuf> {
        self.names().iter().map(|name| self.0.dirs.layer(name).join(TREE)).collect()
    }
}

impl Dirs {
    pub(crate) fn layer(&self, name: &str) -> PathBuf {
        self.layers.join(name)
    }

    pub(crate) fn lock_of(&self, name: &str) -> PathBuf {
        self.locks.join(name)
    }

    /// Removes a layer whose lock is held: first its marker, so that half a layer is none.
    pub(crate) fn remove_layer(&self, name: &str) -> Result<(), Error> {
        let dir = self.layer(name);
        marker::remove(&dir).at("remove marker of", &dir)?;
        tree::remove(&dir).at("remove", &dir)
    }
}
