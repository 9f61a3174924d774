//! Images whose only call makes many round trips into the kernel, each with nine arguments.

use iced_x86::code_asm::{CodeAssembler, eax, ebx, ecx, edx, qword_ptr, r8d, r9d, rbx, rsp};
use iced_x86::{Decoder, DecoderOptions, IcedError, Instruction};
use ntgate_gen::{Shape, Stub, read_list, stub};
use ntgate_runtime::nt::amd64::{self, Row, SystemCall, TableForm};
use ntgate_runtime::nt::{self, Plan, PlannedService, Ring, StubSet, SystemCallForm};

/// Arguments of the service, as NtWriteFile has them.
const ARGUMENTS: u32 = 9;

/// A way in that is timed.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// The CPU model of the bundled machine.
    pub(crate) cpu: &'static str,
    /// QEMU's program and CPU model.
    #[allow(dead_code, reason = "one of the two benchmarks has no QEMU")]
    pub(crate) qemu: (&'static str, &'static str),
    /// The image that makes so many calls of a service which returns at once.
    pub(crate) image: fn(u32) -> Vec<u8>,
}

const I386: (&str, &str) = ("qemu-system-i386", "pentium2");
const AMD64: (&str, &str) = ("qemu-system-x86_64", "core2duo");

pub(crate) const WAYS: [Way; 4] = [
    Way {
        name: "int2e",
        cpu: "pentium2",
        qemu: I386,
        image: |rounds| image_32(Shape::Int2e, SystemCallForm::Unused, rounds),
    },
    Way {
        name: "sysenter",
        cpu: "pentium2",
        qemu: I386,
        image: |rounds| image_32(Shape::SharedEdx, SystemCallForm::Pointer, rounds),
    },
    Way {
        name: "amd64_int2e",
        cpu: "core2duo",
        qemu: AMD64,
        image: |rounds| image_64(Shape::SyscallOrInt2e, SystemCall::Interrupt, rounds),
    },
    Way {
        name: "syscall",
        cpu: "core2duo",
        qemu: AMD64,
        image: |rounds| image_64(Shape::Syscall, SystemCall::Syscall, rounds),
    },
];

/// The stub of the service.
fn built(shape: Shape) -> Stub {
    let list = read_list("bench.lst", format!("NtWriteFile {ARGUMENTS}\n").as_bytes()).expect("it is right").list;
    stub::build(shape, list.primary().by_number(0).expect("it has one"), shape.default_encoding())
}

fn image_32(shape: Shape, form: SystemCallForm, rounds: u32) -> Vec<u8> {
    let mut stub = built(shape);
    stub.instructions = many_32(&stub, rounds).expect("it assembles");
    let mut plan = Plan::default();
    plan.services = vec![PlannedService { name: "NtWriteFile".to_owned(), args_bytes: 0 }];
    // A row without a service leads to a routine that only returns.
    plan.ssdt = vec![usize::MAX];
    plan.sspt = vec![4 * ARGUMENTS as u8];
    plan.sets = vec![StubSet {
        label: shape.to_string(),
        form,
        ring: Ring::User,
        needs_sysenter: false,
        stubs: vec![stub],
        past_end: None,
        refusals: false,
    }];
    nt::build(&nt::profile::SRV2003, &plan).expect("the plan fits").elf
}

/// The stub's instructions behind a loop that calls them.
fn many_32(stub: &Stub, rounds: u32) -> Result<Vec<Instruction>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    let (mut again, mut body) = (a.create_label(), a.create_label());
    a.push(ebx)?;
    a.mov(ebx, rounds)?;
    a.set_label(&mut again)?;
    for argument in (1..=ARGUMENTS).rev() {
        a.push(argument)?;
    }
    a.call(body)?;
    a.dec(ebx)?;
    a.jne(again)?;
    a.pop(ebx)?;
    a.mov(ecx, eax)?;
    a.ret()?;
    a.set_label(&mut body)?;
    with_stub(a, stub, 32)
}

fn image_64(shape: Shape, system_call: SystemCall, rounds: u32) -> Vec<u8> {
    let mut stub = built(shape);
    stub.instructions = many_64(&stub, rounds).expect("it assembles");
    let mut plan = amd64::Plan::default();
    plan.services = vec![amd64::PlannedService { name: "NtWriteFile".to_owned(), args: 0 }];
    // A row without a service leads to a routine that only returns.
    plan.tables = vec![vec![Row::new(usize::MAX, ARGUMENTS)]];
    plan.sets = vec![amd64::StubSet {
        label: shape.to_string(),
        ring: Ring::User,
        tables: TableForm::Packed,
        system_call,
        callback: false,
        stubs: vec![stub],
        past_end: None,
        refusals: false,
    }];
    amd64::build(&amd64::profile::WIN7_X64, &plan).expect("the plan fits").elf
}

/// The same as a compiler of Windows x64 would call it: room for all arguments once, then the call again and again.
fn many_64(stub: &Stub, rounds: u32) -> Result<Vec<Instruction>, IcedError> {
    const ROOM: i32 = 8 * (ARGUMENTS as i32 + 1);
    let mut a = CodeAssembler::new(64)?;
    let (mut again, mut body) = (a.create_label(), a.create_label());
    a.push(rbx)?;
    a.sub(rsp, ROOM)?;
    a.mov(ebx, rounds)?;
    a.set_label(&mut again)?;
    for (argument, register) in [ecx, edx, r8d, r9d].into_iter().enumerate() {
        a.mov(register, argument as u32 + 1)?;
    }
    for argument in 4..ARGUMENTS {
        a.mov(qword_ptr(rsp + 8 * argument), argument as i32 + 1)?;
    }
    a.call(body)?;
    a.dec(ebx)?;
    a.jne(again)?;
    a.add(rsp, ROOM)?;
    a.pop(rbx)?;
    a.ret()?;
    a.set_label(&mut body)?;
    with_stub(a, stub, 64)
}

/// The stub's bytes where the assembler stands.
fn with_stub(mut a: CodeAssembler, stub: &Stub, bitness: u32) -> Result<Vec<Instruction>, IcedError> {
    // A label needs an instruction.
    a.nop()?;
    let mut code = a.assemble(0)?;
    code.pop();
    code.extend(stub.encode().expect("it encodes").bytes);
    Ok(Decoder::new(bitness, &code, DecoderOptions::NONE).iter().collect())
}
