//! What the whole proof costs, as a call and as a process: `cargo bench --bench prove -- --quick`.

use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use ntgate::ntgate_gen::read_list;
use ntgate::ntgate_runtime::prove::{Options, prove};

fn whole(c: &mut Criterion) {
    let list = read_list("sysfuncs.lst", include_bytes!("../sysfuncs.lst")).expect("it is right").list;
    let mut group = c.benchmark_group("prove");
    group.sample_size(10);
    group.bench_function("call", |b| {
        b.iter(|| assert!(prove(&list, "sysfuncs.lst", &Options::default(), &|_, _| {}).expect("it boots").holds()));
    });
    group.bench_function("process", |b| {
        b.iter(|| {
            let status = Command::new(env!("CARGO_BIN_EXE_ntgate")).arg("prove").stdout(Stdio::null()).status();
            assert!(status.expect("it runs").success());
        });
    });
    group.finish();
}

criterion_group!(benches, whole);
criterion_main!(benches);
