//! Kernels with one mistake each: the tests that should notice it do.
//!
//! A mutant is the image of a test with one instruction of a routine changed. The test is run on it, and has to fail.

use std::panic::catch_unwind;

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};

use super::boots::{Boot, boot_within};
use super::*;
use crate::nt::memory::file_offset;

/// Instructions after which a mutant that does not end is taken for failed.
const BUDGET: u64 = 5_000_000;

/// Which instruction is changed, and what stands in its place.
struct Mutant {
    /// The routine's symbol; the instruction is among those that follow it.
    routine: &'static str,
    found: fn(&Instruction) -> bool,
    /// Replaces the instruction's bytes.
    change: fn(&mut [u8]),
}

/// The whole instruction does nothing.
fn nothing(bytes: &mut [u8]) {
    bytes.fill(0x90);
}

/// Changes the first instruction behind the routine's beginning that is meant.
fn mutate(image: &Image, mutant: &Mutant) -> Image {
    let mut image = image.clone();
    let start = address(&image, mutant.routine);
    let at = file_offset(&image.elf, start).expect("the routine is in the file");
    let code = &mut image.elf[at..at + 0x200];
    let mut decoder = Decoder::with_ip(32, code, start.into(), DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let span = loop {
        decoder.decode_out(&mut instruction);
        assert!(!instruction.is_invalid(), "{}: no such instruction", mutant.routine);
        if (mutant.found)(&instruction) {
            let begin = (instruction.ip32() - start) as usize;
            break begin..begin + instruction.len();
        }
    };
    (mutant.change)(&mut code[span]);
    image
}

/// Declares mutants: each a module with a boot that runs it, and a test that the tests named notice.
macro_rules! mutants {
    ($($name:ident: $mutant:expr, noticed by $($test:path),+;)*) => {
        $(mod $name {
            use super::*;

            fn boot(image: &Image, cpu: &str) -> (String, u32) {
                boot_within(&mutate(image, &$mutant), cpu, BUDGET)
            }

            #[test]
            fn is_noticed() {
                $(
                    let test: fn(Boot) = $test;
                    assert!(catch_unwind(|| test(boot)).is_err(), stringify!($test));
                )+
            }
        })*
    };
}

/// A store to a field of the structure that `base` points to.
fn stores(instruction: &Instruction, base: Register, offset: u32) -> bool {
    instruction.mnemonic() == iced_x86::Mnemonic::Mov
        && instruction.op0_kind() == iced_x86::OpKind::Memory
        && instruction.memory_base() == base
        && instruction.memory_displacement32() == offset
}

mutants! {
    // The link to the previous frame goes into the ECX field.
    a_wrong_offset_in_the_trap_frame: Mutant {
        routine: "nt!KiSystemService",
        found: |instruction| stores(instruction, Register::EBP, layout::trap_frame::EDX),
        change: |bytes| bytes[2] = layout::trap_frame::ECX as u8,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers;

    // EIP is taken from the field before.
    a_wrong_offset_in_the_context: Mutant {
        routine: "nt!KeTrapFrameToContext",
        found: |instruction| instruction.memory_base() == Register::EBP
            && instruction.memory_displacement32() == layout::trap_frame::EIP,
        change: |bytes| bytes[2] = layout::trap_frame::ERR_CODE as u8,
    }, noticed by super::super::exceptions::the_context_is_the_state_at_the_fault_and_comes_back,
        super::super::apcs::an_apc_has_its_context_on_the_stack;

    // Calls of the kernel look like calls of ring 3.
    a_previous_mode_that_is_not_set: Mutant {
        routine: "nt!KiSystemService",
        found: |instruction| instruction.code() == Code::Mov_rm8_r8 && instruction.op1_register() == Register::BL,
        change: nothing,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers,
        super::super::boots::services_of_win32k_have_a_table_of_their_own;

    // What the kernel called for leaves its mode behind.
    a_previous_mode_that_is_not_restored: Mutant {
        routine: "nt!KiServiceExit",
        found: |instruction| instruction.code() == Code::Mov_rm8_r8 && instruction.op1_register() == Register::CL,
        change: nothing,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers,
        super::super::boots::services_of_win32k_have_a_table_of_their_own;

    // Ring 3 gets the kernel's FS.
    fs_that_is_not_restored: Mutant {
        routine: "nt!KiServiceExit",
        found: |instruction| instruction.code() == Code::Popd_FS,
        change: |bytes| bytes.copy_from_slice(&[0x59, 0x90]),
    }, noticed by super::super::boots::services_of_win32k_have_a_table_of_their_own,
        super::super::callbacks::a_callback_gets_its_argument_and_its_status_comes_back;

    // The code segment that a Zw stub pushed stays on the stack.
    a_slot_of_the_kernel_stack_that_is_left: Mutant {
        routine: "nt!KiSystemCallExitKernel",
        found: |instruction| instruction.code() == Code::Pop_r32 && instruction.op0_register() == Register::ECX,
        change: nothing,
    }, noticed by super::super::boots::services_of_win32k_have_a_table_of_their_own,
        super::super::frames::frames_chain_and_modes_are_those_of_the_callers;

    // A callback's stack is not given back to the thread: the first store in which the callout frame is read.
    a_stack_of_a_callback_that_is_left: Mutant {
        routine: "nt!NtCallbackReturn",
        found: |instruction| stores(instruction, Register::EBX, SRV2003.thread.initial_stack),
        change: nothing,
    }, noticed by super::super::callbacks::callbacks_stop_where_the_kernel_stack_ends;

    // Nor to the processor.
    a_task_segment_with_the_callbacks_stack: Mutant {
        routine: "nt!NtCallbackReturn",
        found: |instruction| stores(instruction, Register::ECX, layout::tss::ESP0),
        change: nothing,
    }, noticed by super::super::callbacks::callbacks_nest;

    // The exit takes it that no APC is pending.
    an_apc_that_is_skipped: Mutant {
        routine: "nt!KiServiceExit",
        found: |instruction| instruction.code() == Code::Cmp_rm8_imm8,
        // In place of `cmp byte [ebx+pending],0` EBX is compared with itself.
        change: |bytes| {
            bytes.fill(0x90);
            bytes[..2].copy_from_slice(&[0x39, 0xDB]);
        },
    }, noticed by super::super::apcs::a_service_that_queues_an_apc_returns_behind_it,
        super::super::apcs::apcs_run_in_order_when_the_thread_looks;

    // Only the first of several is delivered.
    an_apc_that_is_left_in_the_queue: Mutant {
        routine: "nt!KeTestAlertThread",
        found: |instruction| instruction.code() == Code::Mov_rm8_imm8 && instruction.immediate8() == 1,
        change: nothing,
    }, noticed by super::super::apcs::apcs_run_in_order_when_the_thread_looks;

    // The interrupt controller is not told that the tick was dealt with.
    a_clock_that_ends_no_interrupt: Mutant {
        routine: "nt!KeUpdateSystemTime",
        found: |instruction| instruction.code() == Code::Out_imm8_AL,
        change: nothing,
    }, noticed by super::super::shared_page::the_clock_counts_while_a_service_runs;

    // Ring 3 gets its Dr7 back, but not the address in Dr0.
    a_breakpoint_that_is_lost: Mutant {
        routine: "nt!KiRestoreDebugRegisters",
        found: |instruction| instruction.code() == Code::Mov_dr_r32 && instruction.op0_register() == Register::DR0,
        change: nothing,
    }, noticed by super::super::frames::debug_registers_are_ring_3s_own;

    // A GUI thread's call goes on with the number of another service.
    a_conversion_that_forgets_the_number: Mutant {
        routine: "nt!KiBBTUnexpectedRange",
        found: |instruction| instruction.code() == Code::Push_r32 && instruction.op0_register() == Register::EBX,
        change: |bytes| bytes[0] = 0x52,
    }, noticed by super::super::gui::the_first_call_of_win32k_converts_the_thread;
}
