//! What object forms cost: `cargo bench -p ntgate-gen --features object --bench objects -- --quick`.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, read_list};

const FORMATS: [Format; 5] = [Format::Coff, Format::Elf, Format::Archive, Format::Implib, Format::Pe];

/// The largest list that there can be: four tables of 4096 services.
fn largest() -> String {
    let mut text = String::new();
    for table in 0..4 {
        text.push_str(&format!("#! table table{table} base={:#x}\n", table << 12));
        text.extend((0..4096).map(|index| format!("NtServiceOfTable{table}Number{index} {}\n", index % 17)));
    }
    text
}

fn objects(c: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sysfuncs.lst");
    let default = std::fs::read_to_string(path).expect("the list is there");
    for (name, text) in [("default_list", &default), ("four_full_tables", &largest())] {
        let mut group = c.benchmark_group(format!("objects/{name}"));
        group.sample_size(20);
        let list = read_list(name, text.as_bytes()).expect("it is right").list;
        for format in FORMATS {
            let options = Options::new(Arch::I386, format);
            group.bench_function(format.name(), |b| b.iter(|| emit(black_box(&list), &options).expect("it can be")));
        }
        let options = Options::new(Arch::I386, Format::Coff);
        group.bench_function("read_and_coff", |b| {
            b.iter(|| emit(&read_list(name, black_box(text.as_bytes())).expect("it is right").list, &options));
        });
        group.finish();
    }
}

criterion_group!(benches, objects);
criterion_main!(benches);
