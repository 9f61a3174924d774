//! Images whose only call makes many round trips into the kernel, each with nine arguments.

use iced_x86::code_asm::{CodeAssembler, eax, ebx, ecx};
use iced_x86::{Decoder, DecoderOptions, IcedError};
use ntgate_gen::{Shape, Stub, read_list, stub};
use ntgate_runtime::nt::{self, Plan, PlannedService, Ring, StubSet, SystemCallForm};

/// Arguments of the service, as NtWriteFile has them.
const ARGUMENTS: u32 = 9;

/// A way in that is timed: its name, and a shape that takes it on a processor with `sysenter`.
pub(crate) const WAYS: [(&str, Shape, SystemCallForm); 2] =
    [("int2e", Shape::Int2e, SystemCallForm::Unused), ("sysenter", Shape::SharedEdx, SystemCallForm::Pointer)];

/// The image that makes `rounds` calls of a service which returns at once.
pub(crate) fn image(shape: Shape, form: SystemCallForm, rounds: u32) -> nt::Image {
    let list = read_list("bench.lst", format!("NtWriteFile {ARGUMENTS}\n").as_bytes()).expect("it is right").list;
    let service = list.primary().by_number(0).expect("it has one");
    let mut stub = stub::build(shape, service, shape.default_encoding());
    stub.instructions = many(&stub, rounds).expect("it assembles");
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
    nt::build(&nt::profile::SRV2003, &plan).expect("the plan fits")
}

/// The stub's instructions behind a loop that calls them.
fn many(stub: &Stub, rounds: u32) -> Result<Vec<iced_x86::Instruction>, IcedError> {
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
    a.nop()?;
    let mut code = a.assemble(0)?;
    code.pop();
    code.extend(stub.encode().expect("it encodes").bytes);
    Ok(Decoder::new(32, &code, DecoderOptions::NONE).iter().collect())
}
