//! Which Debian packages a seed is asked for; apt adds what they depend on.

/// What every Linux root and every build root needs.
const CORE: &str = "\
bash coreutils libc6 libc6-dev libc-bin gcc gcc-12 cpp binutils make sed grep gawk tar gzip bzip2 xz-utils zstd patch \
diffutils findutils file cpio perl-base rpm rpm-common debugedit dwz pkgconf elfutils unzip util-linux hostname \
gnu-which dash login passwd ncurses-base ca-certificates";

/// What the specs of ordinary C, C++ and Python packages ask for.
const BUILD_TOOLS: &str = "\
g++ autoconf automake autopoint libtool m4 bison flex gettext gettext-base zlib1g-dev libbz2-dev liblzma-dev \
libssl-dev libncurses-dev libreadline-dev python3 python3-dev cmake ninja-build texinfo perl python3-packaging ed \
time less procps";

/// What apt would choose by itself where several packages serve, and must not: a trailing minus excludes.
const EXCLUDED: &str = "mawk-";

/// Returns the arguments for apt's resolver.
pub fn wanted() -> impl Iterator<Item = &'static str> {
    [CORE, BUILD_TOOLS, EXCLUDED].into_iter().flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_is_asked_for_twice() {
        let all: Vec<&str> = wanted().collect();

        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn what_the_examples_build_is_not_asked_for() {
        assert!(!wanted().any(|name| ["libonig-dev", "jq", "hello", "tree"].contains(&name)));
    }
}
