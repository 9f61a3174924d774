//! Kernels with one mistake each: the tests that should notice it do.
//!
//! A mutant is the image of a test with one instruction of a routine changed. The test is run on it, and has to fail.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering};

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::boots::{Boot, boot_within};
use super::*;
use crate::nt::amd64::layout::{apc, exception_frame, mode, trap_frame, user_context};

/// Instructions after which a mutant that does not end is taken for failed.
const BUDGET: u64 = 2_000_000;

/// Which instruction is changed: among those that follow a routine's symbol, the first that is meant.
struct Mutant {
    routine: &'static str,
    found: fn(&Profile, &Instruction) -> bool,
    /// Replaces the instruction's bytes.
    change: fn(&mut [u8]),
}

/// The whole instruction does nothing.
fn nothing(bytes: &mut [u8]) {
    bytes.fill(0x90);
}

/// The image with the mistake. Its kernel is found by its code, which is the profile's.
fn mutate(image: &Image, mutant: &Mutant) -> Image {
    let mut image = image.clone();
    let (profile, text) = Profile::ALL
        .into_iter()
        .find_map(|profile| {
            let kernel = Kernel::new(profile).expect("the profile is right");
            let code = &kernel.code.code;
            let at = image.elf.windows(code.len()).position(|bytes| bytes == code.as_slice())?;
            Some((profile, at))
        })
        .expect("it is the kernel of a profile");
    let start = address(&image, mutant.routine);
    let at = text + (start - profile.kernel_text) as usize;
    let code = &mut image.elf[at..at + 0x400];
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let span = loop {
        decoder.decode_out(&mut instruction);
        assert!(!instruction.is_invalid(), "{}: no such instruction", mutant.routine);
        if (mutant.found)(profile, &instruction) {
            let begin = (instruction.ip() - start) as usize;
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

            /// Boots of the mutant. A test that fails before there is one has noticed nothing.
            static BOOTS: AtomicU32 = AtomicU32::new(0);

            fn boot(image: &Image) -> (String, u32) {
                let mutated = mutate(image, &$mutant);
                BOOTS.fetch_add(1, Ordering::Relaxed);
                boot_within(&mutated, "core2duo", BUDGET)
            }

            #[test]
            fn is_noticed() {
                $(
                    let test: fn(Boot) = $test;
                    BOOTS.store(0, Ordering::Relaxed);
                    assert!(catch_unwind(|| test(boot)).is_err(), stringify!($test));
                    assert_ne!(BOOTS.load(Ordering::Relaxed), 0, stringify!($test));
                )+
            }
        })*
    };
}

/// A `mov` to a field of the structure that `base` points to.
fn stores(instruction: &Instruction, base: Register, offset: u32) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == base
        && instruction.memory_displacement32() == offset
}

/// A field of the frame that RBP points into.
const fn in_frame(offset: u32) -> u32 {
    offset.wrapping_sub(trap_frame::RBP_BIAS)
}

mutants! {
    // RSI goes into RDI's field, so the context has the wrong one.
    a_wrong_offset_in_the_trap_frame: Mutant {
        routine: "nt!KiTrapEntry",
        found: |_, instruction| stores(instruction, Register::RSP, trap_frame::RSI),
        change: |bytes| bytes[4..].copy_from_slice(&trap_frame::RDI.to_le_bytes()),
    }, noticed by super::super::contexts::the_context_is_the_state_at_the_fault_and_comes_back;

    // RSP is taken from RIP's field.
    a_wrong_field_in_the_context: Mutant {
        routine: "nt!KeContextToTrapFrame",
        found: |_, instruction| stores(instruction, Register::RBP, in_frame(trap_frame::RSP)),
        change: |bytes| bytes[3..].copy_from_slice(&in_frame(trap_frame::RIP).to_le_bytes()),
    }, noticed by super::super::contexts::the_context_is_the_state_at_the_fault_and_comes_back;

    // The mode stays KernelMode behind a call of the kernel's own.
    a_lost_previous_mode: Mutant {
        routine: "nt!KiSystemServiceExitKernel",
        found: |profile, instruction| stores(instruction, Register::R11, profile.thread.previous_mode),
        change: nothing,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers;

    // Or it was never changed.
    a_trusted_previous_mode: Mutant {
        routine: "nt!KiServiceInternal",
        found: |profile, instruction| {
            stores(instruction, Register::RBX, profile.thread.previous_mode) && instruction.immediate8() == mode::KERNEL as u8
        },
        change: nothing,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers;

    // The frame of a kernel's call stays the thread's.
    a_lost_link: Mutant {
        routine: "nt!KiSystemServiceExitKernel",
        found: |profile, instruction| stores(instruction, Register::R11, profile.thread.trap_frame),
        change: nothing,
    }, noticed by super::super::frames::frames_chain_and_modes_are_those_of_the_callers;

    // The way back from a callback leaves its stack in use.
    a_leaked_kernel_stack: Mutant {
        routine: "nt!NtCallbackReturn",
        found: |_, instruction| instruction.memory_base() == Register::R11
            && instruction.op0_register() == Register::RCX
            && instruction.memory_displacement32() == exception_frame::INITIAL_STACK,
        // mov rcx,r11 and four bytes of nothing.
        change: |bytes| {
            bytes.fill(0x90);
            bytes[..3].copy_from_slice(&[0x4C, 0x89, 0xD9]);
        },
    }, noticed by super::super::callbacks::a_callback_gets_its_argument_and_its_status_comes_back,
        super::super::callbacks::callbacks_nest;

    // The thread's next call begins eight bytes from where it has to: a slot is lost with every callback.
    a_leaked_slot: Mutant {
        routine: "nt!NtCallbackReturn",
        found: |_, instruction| instruction.code() == Code::Mov_r64_rm64
            && instruction.op0_register() == Register::RCX
            && instruction.memory_base() == Register::R10,
        // lea rcx,[rcx-8] in place of loading InitialStack.
        change: |bytes| {
            bytes.fill(0x90);
            bytes[..4].copy_from_slice(&[0x48, 0x8D, 0x49, 0xF8]);
        },
    }, noticed by super::super::callbacks::callbacks_nest;

    // What is pending is forgotten.
    a_skipped_apc: Mutant {
        routine: "nt!KeTestAlertThread",
        found: |profile, instruction| {
            stores(instruction, Register::RDX, profile.thread.user_apc_pending) && instruction.immediate8() == 1
        },
        change: nothing,
    }, noticed by super::super::apcs::apcs_run_in_order_when_the_thread_looks,
        super::super::apcs::a_service_that_queues_an_apc_returns_behind_it;

    // An APC stays in the queue as if it were free.
    an_apc_that_is_never_free: Mutant {
        routine: "nt!KiInitiateUserApc",
        found: |_, instruction| stores(instruction, Register::RSI, apc::INSERTED),
        change: nothing,
    }, noticed by super::super::apcs::the_queue_ends;

    // NtContinue lets ring 3 choose its flags.
    flags_that_are_believed: Mutant {
        routine: "nt!KeContextToTrapFrame",
        found: |_, instruction| {
            instruction.mnemonic() == Mnemonic::And && instruction.immediate32() == user_context::USER_EFLAGS
        },
        change: nothing,
    }, noticed by super::super::contexts::nt_continue_keeps_ring_3_in_ring_3;

    // The kernel runs with ring 3's breakpoints.
    breakpoints_in_the_kernel: Mutant {
        routine: "nt!KiSaveDebugRegisterState",
        found: |_, instruction| instruction.op0_register() == Register::DR7,
        change: nothing,
    }, noticed by super::super::frames::debug_registers_are_ring_3s_own;

    // A register of ring 3's that routines keep is not put back.
    a_lost_register: Mutant {
        routine: "nt!NtContinue",
        found: |_, instruction| instruction.op0_register() == Register::R14
            && instruction.memory_base() == Register::RSP
            && instruction.memory_displacement32() == exception_frame::R12 + 16,
        change: nothing,
    }, noticed by super::super::contexts::the_context_is_the_state_at_the_fault_and_comes_back;

    // The stack of a GUI thread is not the one that the next call from ring 3 begins on.
    a_lost_stack_of_a_gui_thread: Mutant {
        routine: "nt!PsConvertToGuiThread",
        found: |profile, instruction| stores(instruction, Register::RBX, profile.thread.stack_limit),
        change: nothing,
    }, noticed by super::super::gui::the_first_call_of_win32k_converts_the_thread;

    // DF goes into the kernel through the gate.
    a_direction_flag_in_the_kernel: Mutant {
        routine: "nt!KiSystemServiceStart",
        found: |_, instruction| instruction.code() == Code::Cld,
        change: nothing,
    }, noticed by super::super::frames::flags_that_ring_3_left_set_do_no_harm;
}
