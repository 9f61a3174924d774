//! What generating costs: `cargo bench -p ntgate-gen -- --quick`.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, read_list, stub};

fn default_list(c: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sysfuncs.lst");
    let bytes = std::fs::read(path).expect("the list is there");
    let list = read_list("sysfuncs.lst", &bytes).expect("it is right").list;
    let mut group = c.benchmark_group("default_list");
    group.bench_function("read", |b| b.iter(|| read_list("sysfuncs.lst", black_box(&bytes))));
    group.bench_function("build_and_encode_all_shapes", |b| {
        b.iter(|| {
            for &shape in Shape::of(Arch::I386) {
                for service in list.services() {
                    black_box(stub::build(shape, service, shape.default_encoding()).encode().expect("it encodes"));
                }
            }
        });
    });
    let options = Options::new(Arch::I386, Format::Gas);
    group.bench_function("read_and_emit_gas", |b| {
        b.iter(|| emit(&read_list("sysfuncs.lst", black_box(&bytes)).expect("it is right").list, &options));
    });
    group.finish();
}

/// A list beyond every limit: it is read to its end all the same.
fn long_lists(c: &mut Criterion) {
    let mut group = c.benchmark_group("100000_lines");
    group.sample_size(10);
    for (name, line) in
        [("services", "NtService 4 # text"), ("comments", "# only a comment on this line"), ("errors", "NtService")]
    {
        let text: String =
            (0..100_000).map(|index| line.replacen("Service", &format!("Service{index}"), 1) + "\n").collect();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| read_list("long.lst", black_box(text.as_bytes())).is_err()));
    }
    group.finish();
}

criterion_group!(benches, default_list, long_lists);
criterion_main!(benches);
