//! The CMake module: a project is built with cmake and ninja, and built again when, and only when, something has changed.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use ntgate_gen::{Shape, read_list, stub};
use object::{Object, ObjectSection, ObjectSymbol};
use tempfile::TempDir;

/// A copy of the project `tests/consumers/cmake`, and where it is built. There are blanks in every path.
struct Project {
    directory: TempDir,
}

impl Project {
    fn new(generator: &str) -> Self {
        let project = Self { directory: tempfile::tempdir().expect("a directory") };
        let source = root().join("tests/consumers/cmake");
        fs::create_dir(project.path("the source")).expect("it is made");
        for file in ["CMakeLists.txt", "main.c", "a list.lst"] {
            fs::copy(source.join(file), project.path("the source").join(file)).expect("it is copied");
        }
        let program = format!("-DNTGATE_EXECUTABLE={}", env!("CARGO_BIN_EXE_ntgate"));
        let module = format!("-DNTGATE_MODULE={}", root().join("cmake/ntgate.cmake").display());
        project.run(&["-G", generator, "-S", "the source", "-B", "the build", &program, &module]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn list(&self) -> PathBuf {
        self.path("the source/a list.lst")
    }

    /// Runs cmake; what it prints.
    fn run(&self, args: &[&str]) -> String {
        let output = Command::new("cmake").args(args).current_dir(self.directory.path()).output().expect("cmake runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    fn build(&self) -> String {
        self.run(&["--build", "the build"])
    }

    fn modified(&self, name: &str) -> SystemTime {
        let metadata =
            fs::metadata(self.path("the build").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        metadata.modified().expect("it has a time")
    }

    /// Sets the time of the list to the future, and so after everything that was built.
    fn touch(&self, ahead: u64) {
        let file = fs::File::options().append(true).open(self.list()).expect("it is ours");
        file.set_modified(SystemTime::now() + Duration::from_secs(ahead)).expect("it can be set");
    }

    /// The code behind `NtClose` in a program is what the list gives.
    fn check(&self, program: &str) {
        let list = read_list("a list.lst", &fs::read(self.list()).expect("it is there")).expect("it is right").list;
        let service = list.primary().by_name("NtClose").expect("it is in the list");
        let stub = stub::build(Shape::Syscall, service, Shape::Syscall.default_encoding());
        let code = stub.encode().expect("a built stub encodes").bytes;
        let bytes = fs::read(self.path("the build").join(program)).expect("it is built");
        let file = object::File::parse(&*bytes).expect("it is a program");
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok("NtClose")).expect("it is linked");
        let mut sections = file.sections();
        let found = sections.find_map(|section| section.data_range(symbol.address(), code.len() as u64).ok().flatten());
        assert_eq!(found, Some(&*code), "{program}");
        let other = file.symbols().any(|symbol| symbol.name() == Ok("NtAcceptConnectPort"));
        assert_eq!(other, program == "whole", "an archive of members gives only what is used");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
#[ignore = "needs cmake, ninja and gcc; on amd64"]
fn ninja_builds_what_has_changed_and_nothing_else() {
    let project = Project::new("Ninja");
    project.build();
    for program in ["whole", "part"] {
        project.check(program);
    }
    let text = fs::read_to_string(project.path("the build/text/stubs.s")).expect("it is made");
    assert!(text.contains("_NtClose@4"));

    // Nothing is touched: nothing is done.
    assert!(project.build().contains("ninja: no work to do."));

    // The list is touched: ntgate runs, finds nothing changed, and so nothing is linked.
    let before = ["stubs.o", "parts.a", "text/stubs.s", "whole", "part"].map(|name| project.modified(name));
    project.touch(0);
    let log = project.build();
    assert!(log.contains("Stubs of stubs") && log.contains("Stubs of parts") && log.contains("Stubs of text"), "{log}");
    assert!(!log.contains("Linking"), "{log}");
    let after = ["stubs.o", "parts.a", "text/stubs.s", "whole", "part"].map(|name| project.modified(name));
    assert_eq!(before, after);
    assert!(project.build().contains("ninja: no work to do."));

    // It changes: everything that depends on it is made anew.
    let list = fs::read_to_string(project.list()).expect("it is there");
    fs::write(project.list(), list.replace("NtClose 1", "NtClose 1 @0x77")).expect("it is ours");
    project.touch(1);
    let log = project.build();
    assert!(log.contains("Linking C executable whole") && log.contains("Linking C executable part"), "{log}");
    for program in ["whole", "part"] {
        project.check(program);
    }
    let text = fs::read_to_string(project.path("the build/text/stubs.s")).expect("it is made");
    assert!(text.contains("mov $0x77,%eax"), "{text}");
}

#[test]
#[ignore = "needs cmake, ninja and gcc; on amd64"]
fn cmake_reads_the_depfiles() {
    let project = Project::new("Ninja");
    project.build();
    let rule = fs::read_to_string(project.path("the build/stubs.o.d")).expect("ntgate wrote it");
    assert!(rule.contains("/the\\ build/stubs.o: ") && rule.contains("/the\\ source/a\\ list.lst\n"), "{rule}");
    // CMake writes each again for ninja, with paths as ninja has them.
    let files = fs::read_dir(project.path("the build/CMakeFiles/d")).expect("CMake has read them");
    let rules: Vec<_> =
        files.map(|file| fs::read_to_string(file.expect("it is there").path()).expect("it is text")).collect();
    assert_eq!(rules.len(), 3);
    assert!(rules.iter().all(|rule| rule.contains("a\\ list.lst")), "{rules:?}");
}

#[test]
#[ignore = "needs ninja"]
fn ninja_knows_of_a_list_from_the_depfile_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("l i#s$t:.lst");
    fs::write(&list, "NtClose 1\n").expect("it is written");
    let rule = "\
rule stubs
  command = $ntgate gen 'l i#s$$t:.lst' --arch i386 --emit coff -o $out --depfile rule.d
  depfile = rule.d
  deps = gcc
  restat = 1
build a$ b.obj: stubs
";
    let program = format!("ntgate = '{}'\n", env!("CARGO_BIN_EXE_ntgate").replace('$', "$$"));
    fs::write(directory.path().join("build.ninja"), program + rule).expect("it is written");
    let ninja = || {
        let output =
            Command::new("ninja").args(["-d", "explain"]).current_dir(directory.path()).output().expect("ninja runs");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}");
        text
    };
    assert!(ninja().contains("[1/1]"));
    assert!(ninja().contains("ninja: no work to do."));
    let file = fs::File::options().append(true).open(&list).expect("it is ours");
    file.set_modified(SystemTime::now() + Duration::from_secs(1)).expect("it can be set");
    let log = ninja();
    assert!(log.contains("[1/1]") && log.contains("l i#s$t:.lst"), "{log}");
}

#[test]
#[ignore = "needs cmake, make and gcc; on amd64"]
fn make_builds_what_has_changed() {
    let project = Project::new("Unix Makefiles");
    project.build();
    project.check("whole");
    let log = project.build();
    assert!(!log.contains("Stubs of") && !log.contains("Linking"), "{log}");
    let list = fs::read_to_string(project.list()).expect("it is there");
    fs::write(project.list(), list.replace("NtClose 1", "NtClose 1 @0x77")).expect("it is ours");
    project.touch(1);
    project.build();
    for program in ["whole", "part"] {
        project.check(program);
    }
}

#[test]
#[ignore = "needs cmake, ninja and gcc; on amd64"]
fn a_mistake_in_the_list_ends_the_build_and_leaves_what_was_built() {
    let project = Project::new("Ninja");
    project.build();
    let before = fs::read(project.path("the build/stubs.o")).expect("it is made");
    fs::write(project.list(), "NtClose\n").expect("it is ours");
    project.touch(1);
    let output = Command::new("cmake").args(["--build", "the build"]).current_dir(project.path("")).output();
    let output = output.expect("cmake runs");
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(log.contains("a list.lst:1:8: error: `NtClose` has no argument count [E001]"), "{log}");
    assert_eq!(fs::read(project.path("the build/stubs.o")).expect("it stays"), before);
}

#[test]
#[ignore = "needs cmake, ninja and gcc; on amd64"]
fn a_call_that_cannot_be_meant_is_told() {
    let program = env!("CARGO_BIN_EXE_ntgate");
    for (call, program, message) in [
        ("ntgate_add_stubs(x ARCH i386 EMIT)", program, "ntgate_add_stubs(x): EMIT has no value"),
        ("ntgate_add_stubs(x ARCH EMIT gas)", program, "ntgate_add_stubs(x): ARCH has no value"),
        ("set(CMAKE_SYSTEM_PROCESSOR mips)\nntgate_add_stubs(x)", program, "there are no stubs for mips; give ARCH"),
        ("set(APPLE 1)\nset(CMAKE_SYSTEM_NAME Darwin)\nntgate_add_stubs(x)", program, "objects for Darwin; give EMIT"),
        ("ntgate_add_stubs(x ARCH i386 EMIT elf)", program, "no language to make a library with; enable C"),
        ("ntgate_add_stubs(x ARCH i386 EMIT gas SHAP int2e)", program, "unknown arguments: SHAP;int2e"),
        ("ntgate_add_stubs(x ARCH i386 EMIT gas)", "NTGATE_EXECUTABLE-NOTFOUND", "set NTGATE_EXECUTABLE to its path"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let module = root().join("cmake/ntgate.cmake");
        let lists = format!(
            "cmake_minimum_required(VERSION 3.20)\nproject(bad NONE)\nset(NTGATE_EXECUTABLE \"{program}\")\n\
             include(\"{}\")\n{call}\n",
            module.display()
        );
        fs::write(directory.path().join("CMakeLists.txt"), lists).expect("it is written");
        let cmake = Command::new("cmake").args(["-G", "Ninja", "."]).current_dir(directory.path()).output();
        let output = cmake.expect("cmake runs");
        // CMake breaks lines.
        let errors = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!output.status.success() && errors.contains(message), "{call}: {errors}");
    }
}

/// A project that says nothing of what it is built for.
fn by_default(toolchain: &str, language: &str) -> (TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    // Variables of a project are seen in functions that it calls.
    let lists = format!(
        "cmake_minimum_required(VERSION 3.20)\nproject(plain {language})\nset(processor vax)\nset(language vax)\nset(NTGATE_EXECUTABLE \"{}\")\ninclude(\"{}\")\n\
         ntgate_add_stubs(stubs LIST some.lst)\nget_target_property(file stubs NTGATE_OUTPUT)\n\
         file(WRITE \"${{CMAKE_BINARY_DIR}}/name\" \"${{file}}\")\n",
        env!("CARGO_BIN_EXE_ntgate"),
        root().join("cmake/ntgate.cmake").display()
    );
    fs::write(directory.path().join("CMakeLists.txt"), lists).expect("it is written");
    fs::write(directory.path().join("some.lst"), "NtClose 1\n").expect("it is written");
    fs::write(directory.path().join("toolchain.cmake"), toolchain).expect("it is written");
    for arguments in [&["-G", "Ninja", "-DCMAKE_TOOLCHAIN_FILE=toolchain.cmake", "."][..], &["--build", "."]] {
        let output = Command::new("cmake").args(arguments).current_dir(directory.path()).output().expect("cmake runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{toolchain}: {}{errors}", String::from_utf8_lossy(&output.stdout));
    }
    let name = fs::read_to_string(directory.path().join("name")).expect("it is told");
    let bytes = fs::read(name).expect("it is made");
    (directory, bytes)
}

#[test]
#[ignore = "needs cmake, ninja, gcc -m32, g++ and mingw-w64; on amd64"]
fn a_project_gets_the_stubs_of_what_it_is_built_for() {
    use object::{Architecture, BinaryFormat};
    let windows = |prefix: &str, processor: &str| {
        format!(
            "set(CMAKE_SYSTEM_NAME Windows)\nset(CMAKE_SYSTEM_PROCESSOR {processor})\n\
             set(CMAKE_C_COMPILER {prefix}-w64-mingw32-gcc)\n"
        )
    };
    for (toolchain, language, format, architecture) in [
        (String::new(), "C", BinaryFormat::Elf, Architecture::X86_64),
        (String::new(), "CXX", BinaryFormat::Elf, Architecture::X86_64),
        ("set(CMAKE_C_FLAGS_INIT -m32)\n".to_owned(), "C", BinaryFormat::Elf, Architecture::I386),
        (windows("i686", "x86"), "C", BinaryFormat::Coff, Architecture::I386),
        (windows("x86_64", "AMD64"), "C", BinaryFormat::Coff, Architecture::X86_64),
        // A processor that nobody has named is known by the size of its pointers.
        (windows("i686", "x86_64"), "C", BinaryFormat::Coff, Architecture::I386),
    ] {
        let (_directory, bytes) = by_default(&toolchain, language);
        let file = object::File::parse(&*bytes).expect("it is an object");
        assert_eq!((file.format(), file.architecture()), (format, architecture), "{toolchain}");
    }
}
