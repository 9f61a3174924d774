//! What an audit of a whole ntdll costs, as a call and as a process: `cargo bench --bench audit -- --quick`.
//!
//! The DLL has 700 services of two names each, 1400 exports, more than any ntdll has. With `NTGATE_WINE_DLLS` set (see
//! `.ci/run`) Wine's are measured too.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use ntgate::audit::{Options, audit};
use ntgate::ntgate_gen::emit::{self, Format, emit};
use ntgate::ntgate_gen::{Arch, Shape, read_list};

const SERVICES: usize = 700;

/// The DLLs: what each is called, and its file.
fn dlls(directory: &Path) -> Vec<(String, PathBuf)> {
    let text: String = (0..SERVICES).map(|index| format!("NtService{index} {}\n", index % 16)).collect();
    let list = read_list("bench.lst", text.as_bytes()).expect("it is right").list;
    let mut dlls = Vec::new();
    for shape in [Shape::SharedEdx, Shape::SyscallOrInt2e] {
        let options = emit::Options::new(shape.arch(), Format::Pe).shape(shape);
        let path = directory.join(format!("{shape}.dll"));
        std::fs::write(&path, emit(&list, &options).expect("it is an image")).expect("it is written");
        dlls.push((shape.to_string(), path));
    }
    if let Some(wine) = std::env::var_os("NTGATE_WINE_DLLS") {
        for arch in [Arch::I386, Arch::Amd64] {
            dlls.push((format!("wine-{arch}"), PathBuf::from(&wine).join(arch.name()).join("ntdll.dll")));
        }
    }
    dlls
}

fn whole(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut group = c.benchmark_group("audit");
    group.sample_size(10);
    for (name, path) in dlls(directory.path()) {
        let bytes = std::fs::read(&path).expect("it is there");
        group.bench_function(format!("call/{name}"), |b| {
            b.iter(|| assert!(audit(&bytes, &Options::default()).expect("it is an image").is_clean()));
        });
        group.bench_function(format!("process/{name}"), |b| {
            b.iter(|| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_ntgate"));
                let status = command.arg("audit").arg(&path).stdout(Stdio::null()).status();
                assert!(status.expect("it runs").success());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
