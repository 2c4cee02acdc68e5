//! What takes an upgrade back before the system starts that it was done to: a second initramfs beside the machine's own, with
//! this program, its libraries, and a hook of dracut that runs it when the root is mounted.
//!
//! All of it is in a folder of its own, and started through its own loader: the libraries of the machine's initramfs are
//! those of another release.

use std::{
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{At, Error};

/// Where the program is in the initramfs.
const FOLDER: &str = "anima-elevate";
/// Where dracut looks for hooks, in versions before and after 102.
const HOOKS: [&str; 2] = ["usr/lib/dracut/hooks/pre-pivot", "var/lib/dracut/hooks/pre-pivot"];
const HOOK: &str = "50-anima-elevate.sh";
/// Whoever makes this file says that the system is started as it is.
const GO_ON: &str = "/run/anima-elevate-go-on";
/// The end of an archive.
const TRAILER: &str = "TRAILER!!!";

/// Returns the archive. `command` is the program and its arguments; the root's path is appended.
pub(crate) fn archive(command: &[String]) -> Result<Vec<u8>, Error> {
    let [program, arguments @ ..] = command else {
        return Err(Error::Unsupported("make an initramfs: no program is named".to_owned()));
    };
    let program = Path::new(program);
    let (loader, libraries) = libraries(program)?;
    let mut cpio = Cpio::default();
    let inside = |path: &Path| format!("{FOLDER}/{}", path.file_name().unwrap_or_default().to_string_lossy());
    cpio.folders(FOLDER);
    for path in libraries.iter().map(PathBuf::as_path).chain([program]) {
        cpio.file(&inside(path), &fs::read(path).at("read", path)?, fs::metadata(path).at("look at", path)?.mode())?;
    }
    let quoted: Vec<String> = arguments.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    let command =
        format!("/{} --library-path /{FOLDER} /{} {} \"$NEWROOT\"", inside(&loader), inside(program), quoted.join(" "));
    let hook = hook(&command);
    for folder in HOOKS {
        cpio.folders(folder);
        cpio.file(&format!("{folder}/{HOOK}"), hook.as_bytes(), 0o755)?;
    }
    cpio.end()
}

/// What dracut runs. A root that is neither old nor new is not started: a person gets dracut's shell, and may say that it is
/// started nevertheless.
fn hook(command: &str) -> String {
    format!(
        "# Takes an upgrade back that was cut off or failed. Written by anima elevate.\n\
         mount -o remount,rw \"$NEWROOT\"\n\
         until {command}; do\n    \
             emergency_shell -n {FOLDER} \"The upgrade could not be taken back; the reason is above. Mend it and leave this shell: \
             it is tried again. To start the system as it is: touch {GO_ON}\" || exit 1\n    \
             [ ! -e {GO_ON} ] || break\n\
         done\n\
         mount -o remount,ro \"$NEWROOT\"\n"
    )
}

/// Returns the loader and all libraries of a program, the loader with them.
fn libraries(program: &Path) -> Result<(PathBuf, Vec<PathBuf>), Error> {
    // This is what ldd does, which is a shell's script, and not everywhere.
    let failed = |said: String| Error::Program { program: "ld.so", said };
    let output = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    let all: Vec<PathBuf> = said.lines().filter_map(path).collect();
    let is_loader = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld"));
    match all.iter().find(is_loader) {
        Some(loader) => Ok((loader.clone(), all.clone())),
        None => Err(failed(format!("no loader is among the libraries of {}:\n{said}", program.display()))),
    }
}

/// An archive of the kind that the kernel unpacks: cpio's "newc".
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    count: u32,
    folders: Vec<String>,
}

impl Cpio {
    fn folders(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for folder in ends.map(|end| &path[..end]) {
            if !self.folders.iter().any(|known| known == folder) {
                self.folders.push(folder.to_owned());
                self.put(folder, &[], 0o040_755);
            }
        }
    }

    fn file(&mut self, path: &str, content: &[u8], mode: u32) -> Result<(), Error> {
        if u32::try_from(content.len()).is_err() {
            return Err(Error::Unsupported(format!("make an initramfs: {path} is too large for one")));
        }
        self.put(path, content, 0o100_000 | (mode & 0o777));
        Ok(())
    }

    fn put(&mut self, path: &str, content: &[u8], mode: u32) {
        self.count += 1;
        let (size, name_size) = (content.len(), path.len() + 1);
        // Number, mode, owner, group, links, time, size, four numbers of devices, size of the name, sum.
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}",
            self.count, 0, 0, 1, 0, 0, 0, 0, 0, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.fill();
        self.bytes.extend_from_slice(content);
        self.fill();
    }

    /// Names and contents begin at multiples of four.
    fn fill(&mut self) {
        let end = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(end, 0);
    }

    fn end(mut self) -> Result<Vec<u8>, Error> {
        self.put(TRAILER, &[], 0);
        self.bytes.flush().at("write", Path::new("an initramfs"))?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn the_archive_is_unpacked_by_cpio_and_its_program_runs_with_its_own_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&["/usr/bin/uname".to_owned(), "-s".to_owned(), "it's".to_owned()]).unwrap();

        let mut cpio =
            Command::new("cpio").args(["-id", "--quiet"]).current_dir(&folder).stdin(Stdio::piped()).spawn().unwrap();
        cpio.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(cpio.wait().unwrap().success());

        let hook = fs::read_to_string(folder.path().join(HOOKS[0]).join(HOOK)).unwrap();
        let line = hook.lines().find(|line| line.contains("--library-path")).unwrap();
        assert!(line.ends_with(r#" '-s' 'it'\''s' "$NEWROOT"; do"#), "{line}");
        let inside = folder.path().join(FOLDER);
        let loader = fs::read_dir(&inside)
            .unwrap()
            .map(|it| it.unwrap().path())
            .find(|it| it.file_name().unwrap().to_string_lossy().starts_with("ld"));
        let said = Command::new(loader.unwrap()).arg("--library-path").arg(&inside).arg(inside.join("uname")).output();
        assert_eq!(said.unwrap().stdout, b"Linux\n");
    }

    #[test]
    fn a_system_that_could_not_be_taken_back_is_not_started_before_a_person_mended_it() {
        let folder = tempfile::tempdir().unwrap();
        let mended = folder.path().join("mended");
        let hook = hook(&format!("test -e '{}'", mended.display()));
        let run = |shell: &str| {
            let script = format!("mount() {{ :; }}\n{shell}\n{hook}echo started\n");
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };

        let without_shell = run("emergency_shell() { return 1; }");
        let with_shell = run(&format!("emergency_shell() {{ echo shell; : >'{}'; }}", mended.display()));
        let well = run("emergency_shell() { echo shell; }");

        assert_eq!((without_shell.as_str(), with_shell.as_str(), well.as_str()), ("", "shell\nstarted\n", "started\n"));
    }
}
