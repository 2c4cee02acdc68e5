//! What to ask a platform's repositories for, when something is missing.

use anima_types::diagnosis::{Need, NeedKind};

/// One way in which a package can have what is missing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// It provides this.
    Provides(String),
    /// It has a file whose path begins with one of these folders and ends so; the end begins with a slash.
    File {
        /// Where it may be.
        folders: &'static [&'static str],
        /// How its path ends.
        end: String,
    },
}

const HEADERS: &[&str] = &["/usr/include/", "/usr/lib"];
const PROGRAMS: &[&str] = &["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"];
const LIBRARIES: &[&str] = &["/usr/lib64/", "/usr/lib/", "/lib64/", "/lib/"];
const CMAKE: &[&str] = &["/usr/lib64/cmake/", "/usr/lib/cmake/", "/usr/share/"];

/// Returns the questions, the best first: the first that has an answer is the answer.
pub fn questions(need: &Need) -> Vec<Question> {
    let name = need.name.trim();
    let provides = |text: String| Question::Provides(text);
    let file = |folders, end: String| Question::File { folders, end };
    match need.kind {
        NeedKind::Header => vec![file(HEADERS, format!("/{}", name.trim_start_matches("./")))],
        NeedKind::Command if name.starts_with('/') => vec![provides(name.to_owned()), program(name)],
        NeedKind::Command => vec![program(name)],
        NeedKind::Library => {
            vec![file(LIBRARIES, format!("/lib{name}.so")), file(LIBRARIES, format!("/lib{name}.a"))]
        }
        NeedKind::Soname => {
            let plain = name.split('(').next().unwrap_or(name);
            vec![provides(name.to_owned()), provides(format!("{plain}()(64bit)")), file(LIBRARIES, format!("/{plain}"))]
        }
        NeedKind::Python => {
            let top = name.split('.').next().unwrap_or(name);
            let path = name.replace('.', "/");
            vec![
                provides(format!("python3dist({})", top.to_lowercase().replace('_', "-"))),
                file(&["/usr/lib"], format!("/{path}/__init__.py")),
                file(&["/usr/lib"], format!("/{path}.py")),
            ]
        }
        NeedKind::Perl => vec![provides(format!("perl({})", name.trim_end_matches(".pm").replace('/', "::")))],
        NeedKind::Pkgconfig => {
            let pc = format!("/{name}.pc");
            vec![provides(format!("pkgconfig({name})")), file(&["/usr/lib", "/usr/share/pkgconfig"], pc)]
        }
        NeedKind::Cmake => vec![
            provides(format!("cmake({name})")),
            file(CMAKE, format!("/{name}Config.cmake")),
            file(CMAKE, format!("/{}-config.cmake", name.to_lowercase())),
            provides(format!("pkgconfig({})", name.to_lowercase())),
        ],
        NeedKind::Crate => vec![provides(format!("crate({name})"))],
        NeedKind::Ruby => vec![provides(format!("rubygem({name})"))],
        NeedKind::Capability => vec![provides(name.to_owned())],
    }
}

fn program(name: &str) -> Question {
    Question::File { folders: PROGRAMS, end: format!("/{}", name.rsplit('/').next().unwrap_or(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: NeedKind, name: &str) -> Vec<Question> {
        questions(&Need { kind, name: name.into(), packages: Vec::new() })
    }

    #[test]
    fn each_kind_is_asked_for_in_the_words_of_its_packages() {
        let provides = |text: &str| Question::Provides(text.to_owned());

        assert_eq!(of(NeedKind::Perl, "ExtUtils/MakeMaker"), [provides("perl(ExtUtils::MakeMaker)")]);
        assert_eq!(of(NeedKind::Python, "ruamel.yaml")[0], provides("python3dist(ruamel)"));
        assert_eq!(of(NeedKind::Soname, "libx.so.1()(64bit)")[1], provides("libx.so.1()(64bit)"));
        assert_eq!(of(NeedKind::Command, "/usr/bin/x")[0], provides("/usr/bin/x"));
        assert_eq!(of(NeedKind::Header, "sys/x.h"), [Question::File { folders: HEADERS, end: "/sys/x.h".into() }]);
    }
}
