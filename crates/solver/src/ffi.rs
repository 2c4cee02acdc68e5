//! The functions of the C files in `shim`, exactly as they are there. Only [`crate::pool`] and its children call them.

use std::ffi::{c_char, c_int};

/// libsolv's pool with one request and its outcome; only ever seen by pointer.
#[repr(C)]
pub struct Handle {
    _opaque: [u8; 0],
}

pub const DOCUMENT_PRIMARY: c_int = 0;
pub const DOCUMENT_FILELISTS: c_int = 1;

pub const FLAG_WEAK: c_int = 1;
pub const FLAG_ALLOW_ERASING: c_int = 2;
pub const FLAG_BEST: c_int = 4;
pub const FLAG_UPGRADE_ALL: c_int = 8;
pub const FLAG_UNORDERED: c_int = 16;

pub const LIST_INSTALL: c_int = 0;
pub const LIST_REMOVE: c_int = 1;
pub const LIST_FOUND: c_int = 2;

pub const RULE_MISSING_FOR_PACKAGE: c_int = 1;
pub const RULE_MISSING_FOR_JOB: c_int = 2;

pub const FIELD_NAME: c_int = 0;
pub const FIELD_EVR: c_int = 1;
pub const FIELD_ARCH: c_int = 2;
pub const FIELD_REPOSITORY: c_int = 3;
pub const FIELD_LOCATION: c_int = 4;
pub const FIELD_BASE: c_int = 5;
pub const FIELD_CHECKSUM_TYPE: c_int = 6;
pub const FIELD_CHECKSUM: c_int = 7;
pub const FIELD_NEVRA: c_int = 8;

unsafe extern "C" {
    pub fn anima_solv_new(arch: *const c_char) -> *mut Handle;
    pub fn anima_solv_reset(handle: *mut Handle);
    pub fn anima_solv_free(handle: *mut Handle);
    pub fn anima_solv_error(handle: *mut Handle) -> *const c_char;

    pub fn anima_solv_repo_begin(handle: *mut Handle, name: *const c_char, priority: c_int) -> c_int;
    pub fn anima_solv_repo_drop(handle: *mut Handle, repoid: c_int);
    pub fn anima_solv_repo_count(handle: *mut Handle, repoid: c_int) -> c_int;
    pub fn anima_solv_repo_add_xml(
        handle: *mut Handle,
        repoid: c_int,
        fd: c_int,
        name: *const c_char,
        document: c_int,
        max_bytes: i64,
    ) -> c_int;
    pub fn anima_solv_head(handle: *mut Handle) -> *const c_char;
    pub fn anima_solv_repo_add_bytes(handle: *mut Handle, repoid: c_int, data: *const c_char, len: usize) -> c_int;
    pub fn anima_solv_repo_bytes(handle: *mut Handle, repoid: c_int, len: *mut usize) -> *mut c_char;
    pub fn anima_solv_release(bytes: *mut c_char);
    pub fn anima_solv_repo_add_installed(handle: *mut Handle, repoid: c_int, root: *const c_char) -> c_int;

    pub fn anima_solv_repo_is_installed(handle: *mut Handle, repoid: c_int);
    pub fn anima_solv_counterparts(handle: *mut Handle, package: c_int);
    pub fn anima_solv_decision_text(handle: *mut Handle, package: c_int) -> *const c_char;

    pub fn anima_solv_prepare(handle: *mut Handle);
    pub fn anima_solv_dependency(handle: *mut Handle, name: *const c_char, flags: c_int, evr: *const c_char) -> c_int;
    pub fn anima_solv_rich_dependency(handle: *mut Handle, text: *const c_char) -> c_int;
    pub fn anima_solv_dependency_text(handle: *mut Handle, dependency: c_int) -> *const c_char;
    pub fn anima_solv_want(handle: *mut Handle, dependency: c_int);
    pub fn anima_solv_want_exact(
        handle: *mut Handle,
        name: *const c_char,
        evr: *const c_char,
        arch: *const c_char,
    ) -> c_int;
    pub fn anima_solv_unwant(handle: *mut Handle, pattern: *const c_char) -> c_int;
    pub fn anima_solv_open_repo(handle: *mut Handle, name: *const c_char);
    pub fn anima_solv_show_exact(
        handle: *mut Handle,
        name: *const c_char,
        evr: *const c_char,
        arch: *const c_char,
        is_shown: c_int,
    );
    pub fn anima_solv_hide_name(handle: *mut Handle, name: *const c_char);
    pub fn anima_solv_exclude(handle: *mut Handle, pattern: *const c_char) -> c_int;

    pub fn anima_solv_packages(handle: *mut Handle, repoid: c_int);
    pub fn anima_solv_hide(handle: *mut Handle, package: c_int);
    pub fn anima_solv_find_touched(handle: *mut Handle, changed: *const c_int, count: c_int);
    pub fn anima_solv_find_lacking(handle: *mut Handle);
    pub fn anima_solv_lacks(handle: *mut Handle, package: c_int) -> c_int;
    pub fn anima_solv_narrow(handle: *mut Handle);
    pub fn anima_solv_ask_again(handle: *mut Handle);
    pub fn anima_solv_want_package(handle: *mut Handle, package: c_int);
    pub fn anima_solv_sieve(handle: *mut Handle, candidates: *const c_int, count: c_int);

    pub fn anima_solv_solve(handle: *mut Handle, flags: c_int, max_rules: c_int) -> c_int;
    pub fn anima_solv_rule_count(handle: *mut Handle) -> c_int;
    pub fn anima_solv_rule_kind(
        handle: *mut Handle,
        index: c_int,
        package: *mut c_int,
        dependency: *mut c_int,
    ) -> c_int;
    pub fn anima_solv_rule_text(handle: *mut Handle, index: c_int) -> *const c_char;
    pub fn anima_solv_list_count(handle: *mut Handle, list: c_int) -> c_int;
    pub fn anima_solv_list_at(handle: *mut Handle, list: c_int, index: c_int) -> c_int;
    pub fn anima_solv_what_provides(handle: *mut Handle, dependency: c_int);
    pub fn anima_solv_find_files(
        handle: *mut Handle,
        slash_and_basename: *const c_char,
        max_found: c_int,
    ) -> *const c_char;
    pub fn anima_solv_find_owners(handle: *mut Handle, path_end: *const c_char, max_found: c_int) -> *const c_char;
    pub fn anima_solv_string_count(handle: *mut Handle) -> c_int;
    pub fn anima_solv_provided_name(handle: *mut Handle, id: c_int) -> *const c_char;
    pub fn anima_solv_field(handle: *mut Handle, package: c_int, field: c_int) -> *const c_char;
    pub fn anima_solv_compare_evr(handle: *mut Handle, left: c_int, right: c_int) -> c_int;
    pub fn anima_solv_installed_size(handle: *mut Handle, package: c_int) -> u64;
    pub fn anima_solv_size(handle: *mut Handle, package: c_int) -> u64;
}
