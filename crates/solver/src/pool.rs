//! What is available and what is installed: libsolv's pool behind a safe face.
//!
//! A pool belongs to one thread (it holds a raw pointer, so the compiler says so too). Loading is the dear part; one pool
//! answers any number of requests.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::cache::{self, CacheUse};
use crate::dependency::Dependency;
use crate::{Error, ffi, metadata};

/// The priority of a repository that names none, as in dnf.
pub const DEFAULT_PRIORITY: i32 = 99;

/// The name of the repository of installed packages.
const INSTALLED: &str = "@installed";

/// A path's end is looked for until so many files are found: `/config.h` is in thousands of packages.
const MAX_OWNERS: c_int = 2_000;

/// librpm's configuration is global to the process: one reading of a package database at a time.
static RPM_DATABASE: Mutex<()> = Mutex::new(());

/// The files of one repository: plain, gz, zstd, xz or bzip2, known by content and not by name.
#[derive(Debug, Clone, Copy)]
pub struct RepodataFiles<'a> {
    /// `primary.xml`.
    pub primary: &'a Path,
    /// `filelists.xml`: needed when paths outside of `/usr/bin`, `/etc` and the like are required.
    pub filelists: Option<&'a Path>,
    /// Where to keep libsolv's form of the repository. The caller names the file by the checksums of the metadata files: a
    /// file that is there is taken for theirs.
    pub cache: Option<&'a Path>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// How many packages the repository has.
    pub package_count: usize,
    /// Whether it came from the cache.
    pub cache: CacheUse,
}

/// All packages that a request can be answered from.
#[derive(Debug)]
pub struct Pool {
    handle: NonNull<ffi::Handle>,
    arch: String,
    names: Vec<String>,
    ids: Vec<c_int>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        unsafe { ffi::anima_solv_free(self.raw()) }
    }
}

impl Pool {
    /// Makes an empty pool for machines of this architecture, with those it runs besides (i686 on x86_64) and `noarch`.
    pub fn new(arch: &str) -> Result<Self, Error> {
        let well_formed = !arch.is_empty() && arch.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !well_formed || matches!(arch, "src" | "nosrc") {
            return Err(Error::Architecture { arch: arch.to_owned() });
        }
        let name = c_text(arch);
        let handle = NonNull::new(unsafe { ffi::anima_solv_new(name.as_ptr()) }).expect("memory for a pool");
        Ok(Self { handle, arch: arch.to_owned(), names: Vec::new(), ids: Vec::new() })
    }

    /// Returns the architecture that it was made for.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// Adds a repository. The lower number is the preferred priority, as in dnf ([`DEFAULT_PRIORITY`] when nobody cares).
    ///
    /// After an error the pool is as it was before.
    pub fn add_repository(&mut self, name: &str, priority: i32, files: &RepodataFiles<'_>) -> Result<Loaded, Error> {
        self.check_name(name)?;
        if let Some(bytes) = files.cache.and_then(|path| cache::read(path, files)) {
            // Another libsolv's cache may be unreadable: the metadata itself is the truth.
            if let Ok(package_count) = self.add_bytes(name, priority, &bytes) {
                return Ok(Loaded { package_count, cache: CacheUse::Read });
            }
        }
        let bytes = metadata::to_bytes(name, &self.arch, files)?;
        let package_count = self.add_bytes(name, priority, &bytes).map_err(|reason| Error::Metadata {
            repository: name.to_owned(),
            path: files.primary.to_owned(),
            reason,
        })?;
        let cache = files.cache.map_or(CacheUse::None, |path| cache::write(path, files, &bytes));
        Ok(Loaded { package_count, cache })
    }

    /// Adds packages from metadata as those that are installed. After an error the pool is as it was before.
    pub fn add_installed_metadata(&mut self, files: &RepodataFiles<'_>) -> Result<usize, Error> {
        self.check_name(INSTALLED)?;
        let bytes = metadata::to_bytes(INSTALLED, &self.arch, files)?;
        let repoid = self.begin(INSTALLED, DEFAULT_PRIORITY);
        let result = unsafe { ffi::anima_solv_repo_add_bytes(self.raw(), repoid, bytes.as_ptr().cast(), bytes.len()) };
        if result != 0 {
            unsafe { ffi::anima_solv_repo_drop(self.raw(), repoid) };
            let (repository, path) = (INSTALLED.to_owned(), files.primary.to_owned());
            return Err(Error::Metadata { repository, path, reason: self.last_error() });
        }
        unsafe { ffi::anima_solv_repo_is_installed(self.raw(), repoid) };
        self.names.push(INSTALLED.to_owned());
        self.ids.push(repoid);
        Ok(self.count(repoid))
    }

    /// Adds the packages that are installed in the root, from its RPM database. A root without a database is an error.
    pub fn add_installed(&mut self, root: &Path) -> Result<usize, Error> {
        let failed = |reason: String| Error::Installed { root: root.to_owned(), reason };
        // librpm would make a database in a root that has none.
        if !["var/lib/rpm", "usr/lib/sysimage/rpm"].iter().any(|folder| root.join(folder).is_dir()) {
            return Err(failed("it has no package database".to_owned()));
        }
        let path =
            CString::new(root.as_os_str().as_bytes()).map_err(|_| failed("its path has a zero byte".to_owned()))?;
        self.check_name(INSTALLED)?;
        let repoid = self.begin(INSTALLED, DEFAULT_PRIORITY);
        let result = {
            let _one_at_a_time = RPM_DATABASE.lock().unwrap_or_else(PoisonError::into_inner);
            unsafe { ffi::anima_solv_repo_add_installed(self.raw(), repoid, path.as_ptr()) }
        };
        if result != 0 {
            let reason = self.last_error();
            unsafe { ffi::anima_solv_repo_drop(self.raw(), repoid) };
            return Err(failed(reason));
        }
        self.names.push(INSTALLED.to_owned());
        self.ids.push(repoid);
        Ok(self.count(repoid))
    }

    /// Returns the NEVRAs of the packages that provide the dependency, sorted as text.
    pub fn what_provides(&mut self, dependency: &str) -> Result<Vec<String>, Error> {
        let id = self.intern(dependency)?;
        let mut found: Vec<String> = self.providers(id).into_iter().map(|package| self.nevra(package)).collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Returns the names of the packages that provide the dependency, each once.
    pub fn names_that_provide(&mut self, dependency: &str) -> Result<Vec<String>, Error> {
        let id = self.intern(dependency)?;
        let packages = self.providers(id);
        let names = packages.into_iter().map(|package| self.field(package, ffi::FIELD_NAME)).collect();
        Ok(each_once(names))
    }

    /// Returns the packages with a file whose path ends so, beginning with a slash: the path, and the package's name.
    /// Paths outside of `/usr/bin`, `/etc` and the like are known only where the lists of files were added.
    pub fn owners(&mut self, path_end: &str) -> Vec<(String, String)> {
        let end = c_text(path_end);
        let lines = text(unsafe { ffi::anima_solv_find_owners(self.raw(), end.as_ptr(), MAX_OWNERS) });
        let lines = lines.unwrap_or_default();
        let owners = lines.lines().filter_map(|line| line.rsplit_once('\t'));
        owners.map(|(path, package)| (path.to_owned(), package.to_owned())).collect()
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let refused = |reason: &str| Err(Error::Repository { name: name.to_owned(), reason: reason.to_owned() });
        if name.is_empty() || name.chars().any(char::is_control) {
            return refused("a name is needed, without control characters");
        }
        if self.names.iter().any(|known| known == name) {
            return refused("there is one of this name already");
        }
        Ok(())
    }

    fn add_bytes(&mut self, name: &str, priority: i32, bytes: &[u8]) -> Result<usize, String> {
        let repoid = self.begin(name, priority);
        let result = unsafe { ffi::anima_solv_repo_add_bytes(self.raw(), repoid, bytes.as_ptr().cast(), bytes.len()) };
        if result != 0 {
            unsafe { ffi::anima_solv_repo_drop(self.raw(), repoid) };
            return Err(self.last_error());
        }
        self.names.push(name.to_owned());
        self.ids.push(repoid);
        Ok(self.count(repoid))
    }

    fn count(&self, repoid: c_int) -> usize {
        usize::try_from(unsafe { ffi::anima_solv_repo_count(self.raw(), repoid) }).unwrap_or(0)
    }

    // What the other modules use.

    /// Returns the number of a repository that was added.
    pub(crate) fn repository(&self, name: &str) -> Option<c_int> {
        let index = self.names.iter().position(|known| known == name)?;
        self.ids.get(index).copied()
    }

    /// Starts an empty repository under a checked name.
    pub(crate) fn begin(&self, name: &str, priority: i32) -> c_int {
        // libsolv prefers the higher number.
        unsafe { ffi::anima_solv_repo_begin(self.raw(), c_text(name).as_ptr(), priority.saturating_neg()) }
    }

    /// Returns libsolv's own form of the repository.
    pub(crate) fn repository_bytes(&self, repoid: c_int) -> Option<Vec<u8>> {
        let mut len = 0;
        let bytes = unsafe { ffi::anima_solv_repo_bytes(self.raw(), repoid, &mut len) };
        if bytes.is_null() {
            return None;
        }
        let copy = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), len) }.to_vec();
        unsafe { ffi::anima_solv_release(bytes) };
        Some(copy)
    }

    pub(crate) fn last_error(&self) -> String {
        text(unsafe { ffi::anima_solv_error(self.raw()) }).unwrap_or_default()
    }

    pub(crate) fn raw(&self) -> *mut ffi::Handle {
        self.handle.as_ptr()
    }

    /// Parses a dependency and gives it a number in the pool.
    pub(crate) fn intern(&mut self, dependency: &str) -> Result<c_int, Error> {
        let refused = |reason: String| Error::Request { text: dependency.to_owned(), reason };
        let id = match Dependency::parse(dependency).map_err(|malformed| refused(malformed.to_string()))? {
            Dependency::Plain(name) => unsafe {
                ffi::anima_solv_dependency(self.raw(), c_text(&name).as_ptr(), 0, c"".as_ptr())
            },
            Dependency::Versioned { name, comparison, evr } => {
                let (name, evr) = (c_text(&name), c_text(&evr));
                unsafe { ffi::anima_solv_dependency(self.raw(), name.as_ptr(), comparison.flags(), evr.as_ptr()) }
            }
            Dependency::Rich(rich) => unsafe { ffi::anima_solv_rich_dependency(self.raw(), c_text(&rich).as_ptr()) },
        };
        if id == 0 { Err(refused("it is no well-formed rich dependency".to_owned())) } else { Ok(id) }
    }

    pub(crate) fn providers(&mut self, dependency: c_int) -> Vec<c_int> {
        unsafe {
            ffi::anima_solv_prepare(self.raw());
            ffi::anima_solv_what_provides(self.raw(), dependency);
        }
        self.list(ffi::LIST_FOUND)
    }

    pub(crate) fn list(&self, list: c_int) -> Vec<c_int> {
        let count = unsafe { ffi::anima_solv_list_count(self.raw(), list) };
        (0..count).map(|index| unsafe { ffi::anima_solv_list_at(self.raw(), list, index) }).collect()
    }

    pub(crate) fn field(&self, package: c_int, field: c_int) -> String {
        text(unsafe { ffi::anima_solv_field(self.raw(), package, field) }).unwrap_or_default()
    }

    pub(crate) fn nevra(&self, package: c_int) -> String {
        self.field(package, ffi::FIELD_NEVRA)
    }
}

fn each_once(mut names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Copies a string that libsolv owns.
pub(crate) fn text(pointer: *const c_char) -> Option<String> {
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// Every text is checked for control characters before, so there is no zero byte to lose; if there were, it would end there.
pub(crate) fn c_text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).expect("no zero byte is left")
}
