//! Stubs that are code already: what a compiler, an assembler or a linker made of them, or what a file holds.

use std::time::Instant;

use iced_x86::{Decoder, DecoderOptions};
use ntgate_gen::stub::{self, Relocation, RelocationKind};
use ntgate_gen::{Arch, Service, ServiceList, Shape, Stub};

use super::error::ProveError;
use super::group::{Booted, System};
use super::parallel::{self, Progress};
use super::report::Report;
use super::services;

/// A stub's code as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundCode<'a> {
    /// The service whose stub it is said to be: `NtClose`.
    pub service: &'a str,
    /// The bytes, and nothing behind them.
    pub code: &'a [u8],
    /// For each field that a linker fills in, or has filled in, its offset and the symbol that it holds the distance to, from
    /// the end of its four bytes. Symbols are named as the generator names them: `_KiSystemService`.
    pub relocations: &'a [(usize, &'a str)],
}

/// Proves code that was found: as [`prove`](super::prove()) does on every CPU that has the shape's way in, with these bytes in
/// the place of the generator's stubs. The list says what they have to do, `name` is what the report calls it.
///
/// ```
/// use ntgate_gen::{Shape, read_list};
/// use ntgate_runtime::prove::{FoundCode, prove_code};
///
/// let list = read_list("one.lst", b"NtClose 1\n").expect("the list is right").list;
/// // mov r10,rcx; mov eax,0; syscall; ret
/// let code = b"\x49\x89\xca\xb8\0\0\0\0\x0f\x05\xc3";
/// let found = [FoundCode { service: "NtClose", code, relocations: &[] }];
/// let report = prove_code(&list, "one.lst", Shape::Syscall, &found, &|_, _| {}).expect("it can be tried");
/// assert!(report.holds());
/// ```
///
/// # Errors
///
/// If there is no verdict: as in [`prove`](super::prove()), if a service has no code or has it twice, and if code is no code.
/// Code that is wrong is no error but a [`Failure`](super::Failure) in the report.
pub fn prove_code(
    list: &ServiceList,
    name: &str,
    shape: Shape,
    found: &[FoundCode<'_>],
    progress: &Progress<'_>,
) -> Result<Report, ProveError> {
    let started = Instant::now();
    let services = services(list)?;
    let system = System::of(shape).ok_or(ProveError::Arch { arch: shape.arch() })?;
    let stubs = services.iter().map(|service| stub_of(service, shape, found)).collect::<Result<Vec<_>, _>>()?;
    let group = system.group_with(&services, &[shape], Some(&stubs))?;
    let mut report = Report::new(name, services.len());
    for booted in parallel::run(&group.cpus(false), progress, |cpu| group.boot(cpu, false)) {
        let Booted { runs, .. } = booted?;
        report.runs.extend(runs);
    }
    report.elapsed = started.elapsed();
    Ok(report)
}

/// What the list says of a service, with the instructions that were found.
fn stub_of(service: &Service, shape: Shape, found: &[FoundCode<'_>]) -> Result<Stub, ProveError> {
    let name = service.name().nt();
    let error = |why: String| ProveError::Code { service: name.to_owned(), why };
    let mut of_service = found.iter().filter(|found| found.service == name);
    let code = match (of_service.next(), of_service.next()) {
        (Some(code), None) => code,
        (None, _) => return Err(error("there is none".to_owned())),
        (Some(_), Some(_)) => return Err(error("it is there twice".to_owned())),
    };
    let mut stub = stub::build(shape, service, shape.default_encoding());
    decode(&mut stub, code).map_err(error)?;
    Ok(stub)
}

/// Puts the instructions of the code in the place of the stub's own.
fn decode(stub: &mut Stub, found: &FoundCode<'_>) -> Result<(), String> {
    let mut code = found.code.to_vec();
    for (offset, symbol) in found.relocations {
        let field = offset.checked_add(4).and_then(|end| code.get_mut(*offset..end));
        // What a linker has left in the field is another program's.
        field.ok_or_else(|| format!("the field of {symbol} is not in it"))?.fill(0);
    }
    let bits = if stub.arch == Arch::I386 { 32 } else { 64 };
    stub.instructions = Decoder::new(bits, &code, DecoderOptions::NONE).iter().collect();
    if let Some(bad) = stub.instructions.iter().find(|instruction| instruction.is_invalid()) {
        return Err(format!("at offset {:#x} there is no instruction", bad.ip()));
    }
    stub.relocations = found.relocations.iter().map(|&(offset, symbol)| relocation(stub, offset, symbol)).collect();
    // The guest's image is made of instructions: they have to be these bytes again.
    let encoded = stub.encode().map_err(|error| error.to_string())?;
    if encoded.bytes != code {
        return Err("one of its instructions has bytes that it does not need".to_owned());
    }
    let fields = encoded.relocations.iter().map(|relocation| relocation.offset);
    let mut wanted: Vec<usize> = found.relocations.iter().map(|&(offset, _)| offset).collect();
    wanted.sort_unstable();
    if !fields.eq(wanted) {
        return Err("a field that a linker fills in is not the distance of an instruction".to_owned());
    }
    Ok(())
}

fn relocation(stub: &Stub, offset: usize, symbol: &str) -> Relocation {
    let behind = |instruction: &iced_x86::Instruction| instruction.next_ip() > offset as u64;
    let instruction = stub.instructions.iter().position(behind).unwrap_or(usize::MAX);
    Relocation { instruction, symbol: symbol.to_owned(), kind: RelocationKind::Rel32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ntgate_gen::read_list;

    fn list() -> ServiceList {
        read_list("t", b"NtNone 0\nNtNine 9\n").expect("the list is right").list
    }

    /// The bytes that the generator makes, with what is done to those of the second service.
    fn report(shape: Shape, change: fn(&mut Vec<u8>)) -> Result<Report, ProveError> {
        let list = list();
        let codes: Vec<_> = list
            .services()
            .map(|service| stub::build(shape, service, shape.default_encoding()).encode().expect("it encodes"))
            .collect();
        let relocations: Vec<Vec<(usize, &str)>> = codes
            .iter()
            .map(|code| code.relocations.iter().map(|field| (field.offset, &*field.symbol)).collect())
            .collect();
        let mut bytes: Vec<_> = codes.iter().map(|code| code.bytes.clone()).collect();
        change(&mut bytes[1]);
        let found: Vec<_> = list
            .services()
            .zip(&bytes)
            .zip(&relocations)
            .map(|((service, code), relocations)| FoundCode { service: service.name().nt(), code, relocations })
            .collect();
        prove_code(&list, "t", shape, &found, &|_, _| {})
    }

    #[test]
    fn code_of_every_shape_is_proven() {
        for shape in super::super::ARCHS.into_iter().flat_map(Shape::of) {
            let report = report(*shape, |_| {}).unwrap_or_else(|error| panic!("{shape}: {error}"));
            assert!(report.holds(), "{}", report.render(false));
            assert!(!report.runs.is_empty() && report.runs.iter().all(|run| run.total == 2), "{shape}");
        }
    }

    #[test]
    fn what_a_linker_left_in_a_field_does_not_matter() {
        let report = report(Shape::Zw, |code| code[13..17].fill(0x11)).expect("it can be tried");
        assert!(report.holds());
    }

    #[test]
    fn code_that_is_wrong_fails() {
        // The number, which is 1.
        let wrong = report(Shape::Syscall, |code| code[4] = 0).expect("it can be tried");
        assert!(!wrong.holds());
        assert!(wrong.runs.iter().all(|run| (run.proven, run.total) == (1, 2)));
        assert!(wrong.runs.iter().flat_map(|run| &run.failures).all(|failure| failure.service == "NtNine"));
        // No way in at all.
        let none = report(Shape::Int2e, |code| *code = vec![0xC2, 36, 0]).expect("it can be tried");
        assert!(none.runs.iter().all(|run| run.proven == 1));
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for (shape, change, message) in [
            (Shape::Syscall, (|code| code.truncate(9)) as fn(&mut Vec<u8>), "at offset 0x8 there is no instruction"),
            (Shape::Syscall, |code| code.insert(3, 0x40), "one of its instructions has bytes that it does not need"),
            (Shape::Zw, |code| code.truncate(14), "the field of _KiSystemService is not in it"),
            (Shape::SyscallOrInt2e, |code| code[17] = 0x40, "instruction 3 branches out of the stub"),
        ] {
            let error = report(shape, change).expect_err("it is no code");
            assert!(error.is_input());
            assert_eq!(error.to_string(), format!("the code of NtNine: {message}"));
        }
        let code = FoundCode { service: "NtNone", code: &[0xC3], relocations: &[] };
        for (found, message) in [(&[code][..], "NtNine: there is none"), (&[code, code], "NtNone: it is there twice")] {
            let error = prove_code(&list(), "t", Shape::Syscall, found, &|_, _| {}).expect_err("it is not all there");
            assert_eq!(error.to_string(), format!("the code of {message}"));
        }
        let error = prove_code(&list(), "t", Shape::Svc, &[], &|_, _| {}).expect_err("no machine runs it");
        assert!(matches!(error, ProveError::Arch { arch: Arch::Arm64 }));
    }
}
