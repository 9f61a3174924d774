//! Each mutation changes what it says and no more.

use super::*;
use ntgate_gen::stub::Syntax;
use ntgate_gen::{read_list, stub};

fn stub(shape: Shape, args: u8) -> Stub {
    let read = read_list("t", format!("NtA {args} @5\n").as_bytes()).expect("the list is right");
    stub::build(shape, &read.list.primary().services()[0], shape.default_encoding())
}

fn broken(mutation: Mutation, shape: Shape, args: u8) -> Vec<String> {
    mutation.of_stub(&stub(shape, args)).expect("it can be broken so").text(Syntax::Intel)
}

#[test]
fn each_mutation_changes_one_thing() {
    use Mutation as M;
    use Shape as S;
    for (mutation, shape, args, line, expected) in [
        (M::NumberPlus, S::Int2e, 1, 0, "mov eax,6"),
        (M::NumberMinus, S::Zw, 1, 0, "mov eax,4"),
        (M::ReturnPlus, S::SharedEdx, 2, 3, "ret 0Ch"),
        (M::ReturnMinus, S::SharedEdx, 2, 3, "ret 4"),
        (M::ReturnMinus, S::Int2e, 0, 3, "ret 0FFFCh"),
        (M::ReturnPlain, S::Sysenter, 2, 2, "ret"),
        (M::WrongRegister, S::Int2e, 1, 1, "lea ecx,[esp+4]"),
        (M::WrongRegister, S::SharedEcx, 1, 1, "mov edx,7FFE0300h"),
        (M::WrongRegister, S::Sysenter, 1, 3, "1: mov ecx,esp"),
        (M::PointerPlus, S::Int2eFrame, 1, 3, "lea edx,[ebp+0Ch]"),
        (M::PointerMinus, S::Zw, 1, 1, "lea edx,[esp]"),
        (M::PointerPlus, S::SharedCallEdx, 1, 1, "mov edx,7FFE0304h"),
        (M::PointerMinus, S::Sysenter, 1, 3, "1: lea edx,[esp-4]"),
        (M::VectorPlus, S::Int2e, 1, 2, "int 2Fh"),
        (M::VectorMinus, S::Int2eFrame, 1, 4, "int 2Dh"),
        (M::GateForSysenter, S::Sysenter, 1, 4, "int 2Eh"),
        (M::NoPushf, S::Zw, 1, 2, "push 8"),
        (M::NoPushCs, S::Zw, 1, 3, "call _KiSystemService"),
        (M::OtherTable, S::SharedEdx, 1, 0, "mov eax,1005h"),
        (M::NumberPlus, S::SyscallReactos, 1, 0, "mov eax,6"),
        (M::OtherTable, S::ZwAmd64, 1, 8, "mov eax,1005h"),
        (M::ReturnSlot, S::Syscall, 5, 3, "ret 8"),
        (M::ReturnDwords, S::Syscall, 5, 3, "ret 14h"),
        (M::NoMoveToR10, S::Syscall, 5, 0, "mov eax,5"),
        (M::VectorPlus, S::SyscallOrInt2e, 1, 6, "1: int 2Fh"),
        (M::WrongFlag, S::SyscallOrInt2e, 1, 2, "test byte ptr [7FFE030Ch],1"),
        (M::WrongBranch, S::SyscallOrInt2e, 1, 3, "je short 1f"),
        (M::PointerPlus, S::SyscallHome, 1, 0, "mov [rsp+10h],rcx"),
        (M::PointerMinus, S::SyscallHome, 1, 0, "mov [rsp],rcx"),
        (M::NoPushf, S::ZwAmd64, 1, 4, "push 10h"),
        (M::NoPushCs, S::ZwAmd64, 1, 5, "lea rax,[rip+KiServiceLinkage]"),
        (M::NoCli, S::ZwAmd64, 1, 1, "sub rsp,10h"),
        (M::NoStackSegment, S::ZwAmd64, 1, 2, "push rax"),
        (M::CopyPlus, S::ZwReactos, 5, 1, "mov r10,30h"),
        (M::CopyMinus, S::ZwReactos, 5, 1, "mov r10,20h"),
    ] {
        let text = broken(mutation, shape, args);
        assert_eq!(text.get(line).map(String::as_str), Some(expected), "{mutation} of {shape}: {text:?}");
        let whole = stub(shape, args).text(Syntax::Intel);
        let removed = [M::NoPushf, M::NoPushCs, M::NoMoveToR10, M::NoCli, M::NoStackSegment].contains(&mutation);
        assert_eq!(text.len(), whole.len() - usize::from(removed));
        // Line by line up to the change, and from behind it to the end.
        assert_eq!(text[..line], whole[..line], "{mutation} of {shape}");
        let rest = if removed { line } else { line + 1 };
        assert_eq!(text[rest..], whole[line + 1..], "{mutation} of {shape} changes one line");
    }
}

#[test]
fn every_return_of_a_stub_is_broken() {
    let text = broken(Mutation::ReturnSlot, Shape::SyscallOrInt2e, 1);
    assert_eq!(text.iter().filter(|line| line.as_str() == "ret 8").count(), 2);
    assert!(!text.contains(&"ret".to_owned()));
}

#[test]
fn every_mutation_that_applies_breaks_a_stub_that_can_be_encoded() {
    for mutation in Mutation::ALL {
        for shape in Arch::ALL.into_iter().flat_map(Shape::of).copied() {
            for args in [0, 1, if shape.arch() == Arch::I386 { 63 } else { 18 }] {
                let stub = stub(shape, args);
                let broken = mutation.of_stub(&stub);
                let expected = mutation.applies_to(shape) && !mutation.is_of_tables();
                assert_eq!(broken.is_some(), expected, "{mutation} of {shape}");
                let Some(broken) = broken else { continue };
                let same = broken.encode().expect("it encodes").bytes == stub.encode().expect("it encodes").bytes;
                // Without arguments there is no operand to leave out.
                let plain = matches!(mutation, Mutation::ReturnPlain | Mutation::ReturnDwords);
                assert_eq!(same, plain && args == 0, "{mutation} of {shape}");
            }
        }
    }
}
