//! The tables of the trade: what Enterprise Linux calls the packages of Debian, and what a package needs beyond what
//! its Debian dependencies say.

/// The suffix of development packages in Debian.
const DEBIAN_DEVEL: &str = "-dev";

/// Debian name → Enterprise Linux name, where the two differ by more than `-dev` and `-devel`.
const NAMES: &[(&str, &str)] = &[
    ("cpp", "cpp-defaults"),
    ("cpp-12", "cpp"),
    ("g++", "gcc-c++-defaults"),
    ("g++-12", "gcc-c++"),
    ("gcc", "gcc-defaults"),
    ("gcc-12", "gcc"),
    ("gcc-12-base", "gcc-base"),
    ("gnu-which", "which"),
    ("libacl1", "libacl"),
    ("libarchive13", "libarchive"),
    ("libasan8", "libasan"),
    ("libatomic1", "libatomic"),
    ("libattr1", "libattr"),
    ("libaudit1", "audit-libs"),
    ("libblkid1", "libblkid"),
    ("libbrotli1", "libbrotli"),
    ("libbz2-1.0", "bzip2-libs"),
    ("libbz2-dev", "bzip2-devel"),
    ("libc-bin", "glibc-common"),
    ("libc-dev-bin", "glibc-devel-tools"),
    ("libc6", "glibc"),
    ("libc6-dev", "glibc-devel"),
    ("libcap-ng0", "libcap-ng"),
    ("libcap2", "libcap"),
    ("libcom-err2", "libcom_err"),
    ("libcrypt-dev", "libxcrypt-devel"),
    ("libcrypt1", "libxcrypt"),
    ("libcurl4", "libcurl"),
    ("libdb5.3", "libdb"),
    ("libdbus-1-3", "dbus-libs"),
    ("libdw1", "elfutils-libs"),
    ("libelf1", "elfutils-libelf"),
    ("libexpat1", "expat"),
    ("libexpat1-dev", "expat-devel"),
    ("libffi8", "libffi"),
    ("libgcc-12-dev", "libgcc-devel"),
    ("libgcc-s1", "libgcc"),
    ("libgcrypt20", "libgcrypt"),
    ("libgdbm6", "gdbm-libs"),
    ("libgmp10", "gmp"),
    ("libgnutls30", "gnutls"),
    ("libgomp1", "libgomp"),
    ("libgpg-error0", "libgpg-error"),
    ("libicu72", "libicu"),
    ("libidn2-0", "libidn2"),
    ("libisl23", "isl"),
    ("libitm1", "libitm"),
    ("libjansson4", "jansson"),
    ("libjsoncpp25", "jsoncpp"),
    ("libkeyutils1", "keyutils-libs"),
    ("libkrb5-3", "krb5-libs"),
    ("libldap-2.5-0", "openldap"),
    ("liblsan0", "liblsan"),
    ("liblua5.3-0", "lua-libs"),
    ("liblz4-1", "lz4-libs"),
    ("liblzma-dev", "xz-devel"),
    ("liblzma5", "xz-libs"),
    ("libmagic-mgc", "file-magic"),
    ("libmagic1", "file-libs"),
    ("libmd0", "libmd"),
    ("libmount1", "libmount"),
    ("libmpc3", "libmpc"),
    ("libmpfr6", "mpfr"),
    ("libncurses-dev", "ncurses-devel"),
    ("libncurses6", "ncurses-libs"),
    ("libnettle8", "nettle"),
    ("libnghttp2-14", "libnghttp2"),
    ("libonig-dev", "oniguruma-devel"),
    ("libonig5", "oniguruma"),
    ("libp11-kit0", "p11-kit"),
    ("libpam-modules", "pam"),
    ("libpam0g", "pam-libs"),
    ("libpcre2-8-0", "pcre2"),
    ("libperl5.36", "perl-libs"),
    ("libpkgconf3", "libpkgconf"),
    ("libpopt0", "popt"),
    ("libpsl5", "libpsl"),
    ("libpython3.11-stdlib", "python3.11-libs"),
    ("libquadmath0", "libquadmath"),
    ("libreadline-dev", "readline-devel"),
    ("libreadline8", "readline"),
    ("librhash0", "rhash"),
    ("librpm9", "rpm-libs"),
    ("librpmbuild9", "rpm-build-libs"),
    ("librpmio9", "rpm-io-libs"),
    ("librpmsign9", "rpm-sign-libs"),
    ("libsasl2-2", "cyrus-sasl-lib"),
    ("libselinux1", "libselinux"),
    ("libsemanage2", "libsemanage"),
    ("libsepol2", "libsepol"),
    ("libsigsegv2", "libsigsegv"),
    ("libsmartcols1", "libsmartcols"),
    ("libsqlite3-0", "sqlite-libs"),
    ("libssh2-1", "libssh2"),
    ("libssl-dev", "openssl-devel"),
    ("libssl3", "openssl-libs"),
    ("libstdc++-12-dev", "libstdc++-devel"),
    ("libstdc++6", "libstdc++"),
    ("libsystemd0", "systemd-libs"),
    ("libtasn1-6", "libtasn1"),
    ("libtinfo6", "ncurses-tinfo"),
    ("libtirpc3", "libtirpc"),
    ("libtsan2", "libtsan"),
    ("libubsan1", "libubsan"),
    ("libunistring2", "libunistring"),
    ("libuuid1", "libuuid"),
    ("libuv1", "libuv"),
    ("libzstd1", "libzstd"),
    ("linux-libc-dev", "kernel-headers"),
    ("login", "shadow-utils-login"),
    ("ncurses-bin", "ncurses"),
    ("passwd", "shadow-utils"),
    ("perl-modules-5.36", "perl-modules"),
    ("pkgconf", "pkgconf-pkg-config"),
    ("pkgconf-bin", "pkgconf"),
    ("procps", "procps-ng"),
    ("rpm", "rpm-build"),
    ("rpm-common", "rpm"),
    ("xz-utils", "xz"),
    ("zlib1g", "zlib"),
    ("zlib1g-dev", "zlib-devel"),
];

/// Debian's own machinery: its packages are not converted and requirements of them are dropped, since `setup`,
/// `filesystem` and `seed-release` stand in their place.
const LEFT_OUT: &[&str] = &[
    "base-files",
    "base-passwd",
    "cdebconf",
    "debconf",
    "debianutils",
    "dpkg",
    "init-system-helpers",
    "install-info",
    "libdebconfclient0",
    "libpam-runtime",
    "media-types",
    "mime-support",
    "ucf",
    "usr-is-merged",
    "usrmerge",
];

/// Symlinks that Debian's alternatives would make: package, link, target.
const LINKS: &[(&str, &str, &str)] = &[
    ("automake", "/usr/bin/aclocal", "aclocal-1.16"),
    ("automake", "/usr/bin/automake", "automake-1.16"),
    ("bash", "/usr/bin/sh", "bash"),
    ("bison", "/usr/bin/yacc", "bison.yacc"),
    ("gawk", "/usr/bin/awk", "gawk"),
    ("gcc-c++-defaults", "/usr/bin/c++", "g++"),
    ("gcc-defaults", "/usr/bin/cc", "gcc"),
    ("which", "/usr/bin/which", "which.gnu"),
    ("xz", "/usr/bin/lzma", "xz"),
    ("xz", "/usr/bin/unlzma", "xz"),
];

/// Files that another package has: package, path.
const SKIPPED: &[(&str, &str)] = &[("dash", "/usr/bin/sh")];

const PROVIDES: &[(&str, &[&str])] = &[
    ("bash", &["/bin/sh"]),
    ("gettext", &["gettext-devel = %{version}-%{release}"]),
    ("glibc", &["rtld(GNU_HASH)"]),
    ("glibc-common", &["glibc-minimal-langpack = %{version}-%{release}"]),
    ("perl-base", &["perl-interpreter = %{version}"]),
    ("pkgconf-pkg-config", &["pkgconfig = %{version}", "pkg-config = %{version}"]),
    ("rpm-build", &["perl-generators"]),
];

const REQUIRES: &[(&str, &[&str])] = &[
    ("bash", &["filesystem"]),
    ("gcc", &["gcc-defaults"]),
    ("gcc-c++", &["gcc-c++-defaults"]),
    ("glibc", &["filesystem", "setup", "glibc-common"]),
    (
        "rpm-build",
        &[
            "seed-rpm-config",
            "binutils",
            "bzip2",
            "cpio",
            "debugedit",
            "diffutils",
            "dwz",
            "elfutils",
            "file",
            "findutils",
            "gawk",
            "gcc",
            "grep",
            "gzip",
            "make",
            "patch",
            "pkgconf-pkg-config",
            "sed",
            "tar",
            "unzip",
            "xz",
            "zstd",
        ],
    ),
];

/// Requirements that RPM's generators make and that are wrong for a converted package: package, regular expression.
/// rpm-build's scripts name python, which nothing in an ordinary build needs.
const REQUIRES_FILTERED: &[(&str, &str)] = &[("rpm-build", "/usr/bin/python3$")];

/// Returns the Enterprise Linux name of a Debian package.
pub fn rpm_name(debian: &str) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(from, _)| *from == debian) {
        return (*name).to_owned();
    }
    match debian.strip_suffix(DEBIAN_DEVEL) {
        Some(stem) => format!("{stem}-devel"),
        None => debian.to_owned(),
    }
}

/// Returns whether Enterprise Linux gives this Debian name to another package.
pub fn is_taken(debian: &str) -> bool {
    NAMES.iter().any(|(from, to)| *to == debian && *from != debian)
}

/// Returns whether the Debian package has no place in Seed Linux.
pub fn is_left_out(debian: &str) -> bool {
    LEFT_OUT.contains(&debian)
}

/// Returns the symlinks (path, target) that the package gets beyond what its deb holds.
pub fn links(rpm_name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    LINKS.iter().filter(move |(name, _, _)| *name == rpm_name).map(|(_, link, target)| (*link, *target))
}

/// Returns whether another package has this file of the package.
pub fn is_skipped(rpm_name: &str, path: &str) -> bool {
    SKIPPED.contains(&(rpm_name, path))
}

/// Returns what the package provides beyond what Debian says.
pub fn more_provides(rpm_name: &str) -> &'static [&'static str] {
    of(PROVIDES, rpm_name)
}

/// Returns what the package requires beyond what Debian says.
pub fn more_requires(rpm_name: &str) -> &'static [&'static str] {
    of(REQUIRES, rpm_name)
}

/// Returns a regular expression of generated requirements that the package must not have.
pub fn filtered_requires(rpm_name: &str) -> Option<&'static str> {
    REQUIRES_FILTERED.iter().find(|(name, _)| *name == rpm_name).map(|(_, filter)| *filter)
}

fn of(table: &[(&str, &'static [&'static str])], rpm_name: &str) -> &'static [&'static str] {
    table.iter().find(|(name, _)| *name == rpm_name).map_or(&[], |(_, values)| values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_enterprise_linux() {
        let table = [
            ("libc6", "glibc"),
            ("zlib1g-dev", "zlib-devel"),
            ("rpm", "rpm-build"),
            ("python3-dev", "python3-devel"),
            ("sed", "sed"),
        ];
        for (debian, rpm) in table {
            assert_eq!(rpm_name(debian), rpm);
        }
    }

    #[test]
    fn no_two_debian_packages_get_one_name() {
        let from: BTreeSet<_> = NAMES.iter().map(|(from, _)| from).collect();
        let to: BTreeSet<_> = NAMES.iter().map(|(_, to)| to).collect();

        assert_eq!((from.len(), to.len()), (NAMES.len(), NAMES.len()));
    }

    #[test]
    fn tables_about_packages_use_names_that_some_package_has() {
        let about = LINKS.iter().map(|(name, ..)| *name).chain(PROVIDES.iter().map(|(name, _)| *name));

        for name in about.chain(REQUIRES.iter().map(|(name, _)| *name)) {
            let renamed_away = NAMES.iter().any(|(from, _)| *from == name) && !NAMES.iter().any(|(_, to)| *to == name);
            assert!(!renamed_away, "{name} is a Debian name");
        }
    }
}
