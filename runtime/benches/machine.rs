//! What the bundled machine does in a second: `cargo bench -p ntgate-runtime --bench machine -- --quick`.

mod support;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, ebp, ebx, ecx, edi, edx, esi, esp};
use ntgate_runtime::machine::{Exit, Machine, Register as Gpr, cpuid};

/// A guest that never ends, in one page: calls, stack, memory and arithmetic, as compiled code mixes them.
fn plain_code() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let (mut outer, mut function, mut skip) = (a.create_label(), a.create_label(), a.create_label());
    a.mov(esp, 0x8000)?;
    a.mov(ebx, 0x4000)?;
    a.set_label(&mut outer)?;
    a.mov(edx, ecx)?;
    a.call(function)?;
    a.add(ecx, eax)?;
    a.test(ecx, ecx)?;
    a.jne(outer)?;
    a.jmp(outer)?;
    a.set_label(&mut function)?;
    a.push(ebp)?;
    a.mov(ebp, esp)?;
    a.push(esi)?;
    a.push(edi)?;
    a.mov(esi, dword_ptr(ebx + 8))?;
    a.lea(edi, dword_ptr(esi + esi * 2 + 5))?;
    a.add(esi, 3)?;
    a.mov(dword_ptr(ebx + 8), esi)?;
    a.cmp(esi, edx)?;
    a.jb(skip)?;
    a.xor(edi, esi)?;
    a.shr(edi, 3)?;
    a.and(edi, 0xFF)?;
    a.add(dword_ptr(ebx + edi * 4), 1)?;
    a.set_label(&mut skip)?;
    a.mov(eax, edi)?;
    a.pop(edi)?;
    a.pop(esi)?;
    a.pop(ebp)?;
    a.ret()?;
    a.assemble(0x1000)
}

fn instructions(c: &mut Criterion) {
    const BUDGET: u64 = 1_000_000;
    let code = plain_code().expect("it assembles");
    let model = cpuid::Model::by_name("pentium2").expect("it is there");
    let mut machine = Machine::flat(model, 1 << 20, 0x1000, &code);
    machine.set_register(Gpr::Ecx, 1);
    let mut group = c.benchmark_group("guest_instructions");
    group.throughput(Throughput::Elements(BUDGET));
    group.bench_function("plain_code", |b| b.iter(|| assert_eq!(machine.run(BUDGET), Exit::Budget)));
    group.finish();
}

/// Time of `rounds` round trips, boot not counted: the difference between two images.
fn round_trips(way: &support::Way, rounds: u64) -> Duration {
    let time = |rounds: u32| {
        let model = cpuid::Model::by_name(way.cpu).expect("it is there");
        let mut machine = Machine::new(model, 16 << 20);
        machine.load(&(way.image)(rounds)).expect("it is an image");
        let start = Instant::now();
        assert_eq!(machine.run(u64::MAX), Exit::Port(0), "{}", String::from_utf8_lossy(machine.console()));
        start.elapsed()
    };
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX - 1);
    time(rounds + 1).saturating_sub(time(1))
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("round_trip_9_arguments");
    group.throughput(Throughput::Elements(1));
    for way in support::WAYS {
        group.bench_function(way.name, |b| b.iter_custom(|rounds| round_trips(&way, rounds)));
    }
    group.finish();
}

criterion_group!(benches, instructions, round_trip);
criterion_main!(benches);
