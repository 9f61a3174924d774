//! Images that run. Each record is compared with what the plan says, fact by fact.

use std::process::{Command, Stdio};

use iced_x86::code_asm::{CodeAssembler, al, byte_ptr, eax, r10, rax, rcx, rsp};
use ntgate_gen::stub::Stub;

use super::expected::{expected, way_in};
use super::*;
use crate::machine::cpuid::Model;
use crate::machine::{Exit, Machine};
use crate::nt::amd64::record::{self, KERNEL_POINTER, NO_HANDLER, PAST_END, SENTINEL, entry, fact};

/// Runs an image; gives the log and the value at the exit port.
pub(super) type Boot = fn(&Image) -> (String, u32);

/// Guest instructions that no image here comes near.
const BUDGET: u64 = 100_000_000;

/// Boots on the bundled machine.
pub(super) fn bundled(image: &Image) -> (String, u32) {
    bundled_cpu(image, "core2duo")
}

/// Boots on a CPU model of the bundled machine.
fn bundled_cpu(image: &Image, cpu: &str) -> (String, u32) {
    boot_within(image, cpu, BUDGET)
}

/// The same, for at most so many instructions.
pub(super) fn boot_within(image: &Image, cpu: &str, budget: u64) -> (String, u32) {
    let mut machine = Machine::new(Model::by_name(cpu).expect("there is such a model"), 32 << 20);
    machine.load(&image.elf).expect("it can be loaded");
    let exit = machine.run(budget);
    let log = String::from_utf8(machine.take_console()).expect("the log is ASCII");
    match exit {
        Exit::Port(value) => (log, value),
        other => panic!("{other:?} at {:x} after {:?}", machine.rip(), log.lines().last()),
    }
}

/// Boots under QEMU.
pub(super) fn qemu(image: &Image) -> (String, u32) {
    let name = format!("ntgate-nt64-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    let (elf, log) = (path.with_extension("elf"), path.with_extension("log"));
    std::fs::write(&elf, &image.elf).expect("the image can be written");
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    command.args(["-cpu", "core2duo"]).arg("-kernel").arg(&elf);
    command.arg("-debugcon").arg(format!("file:{}", log.display())).stderr(Stdio::null());
    let status = command.status().expect("qemu-system-x86_64 is there");
    let text = std::fs::read_to_string(&log).expect("there is a log");
    let _ = (std::fs::remove_file(&elf), std::fs::remove_file(&log));
    let code = status.code().expect("it ended by itself");
    (text, code as u32 >> 1)
}

on_both_machines! {
    every_set_runs
    a_callback_sees_every_return
    services_of_win32k_make_the_thread_a_gui_thread
    rows_that_are_wrong_show
    stubs_that_are_wrong_show
    faults_in_ring_0_stop_the_machine
    a_user_that_single_steps_is_traced_behind_syscall
    debug_registers_and_apcs_are_seen_to
    apcs_that_are_disabled_stop_the_machine
}

/// The records of a log.
pub(super) fn records(log: &str) -> Vec<Vec<u64>> {
    let record = |line: &str| -> Vec<u64> {
        line.split(' ').map(|number| u64::from_str_radix(number, 16).expect("it is hexadecimal")).collect()
    };
    log.lines().filter_map(|line| line.strip_prefix("c ")).map(record).collect()
}

/// All sets of a plan.
pub(super) fn judge(boot: Boot, profile: &Profile, plan: &Plan) {
    let image = build(profile, plan).expect("it builds");
    judge_image(boot, profile, plan, &image);
}

/// All sets of an image of a plan.
fn judge_image(boot: Boot, profile: &Profile, plan: &Plan, image: &Image) {
    let (log, value) = boot(image);
    let mut lines = log.lines();
    let head = format!("ntgate 1 profile {} services {} sets {}", profile.name, plan.services.len(), plan.sets.len());
    assert_eq!(lines.next(), Some(head.as_str()));
    assert_eq!(value, 0, "{}", log.lines().last().unwrap_or_default());
    let records = records(&log);
    assert_eq!(log.lines().last(), Some(format!("done {:08x}", records.len()).as_str()));
    let mut all = records.iter();
    for (set, planned) in plan.sets.iter().enumerate() {
        for (call, service) in plan.services.iter().enumerate() {
            let seen = all.next().expect("there is a record");
            let label = &planned.label;
            for (fact, value) in expected(plan, image, set, call, seen) {
                assert_eq!(
                    seen[fact], value,
                    "{label} ({set}), {}, fact {fact}: {:x} for {value:x}",
                    service.name, seen[fact]
                );
            }
            assert_eq!(seen.len(), fact::ARGUMENTS + 4 + record::stack_arguments(service.args) as usize);
            let flags = 0x702;
            let zw = way_in(planned) == entry::BY_SERVICE_INTERNAL;
            let frame_flags = if planned.label == "zw-reactos" {
                0
            } else if zw {
                2
            } else {
                0x202
            };
            assert_eq!(seen[fact::FRAME_RFLAGS] & flags, frame_flags);
            assert_eq!(seen[fact::RFLAGS] & flags, 0x202);
        }
        if planned.past_end.is_some() {
            let past_end = all.next().expect("there is a record");
            assert_eq!(past_end[fact::CALL], (set as u64) << 16 | u64::from(PAST_END));
            assert_eq!(past_end[fact::RAX], 0xC000_001C);
            assert_eq!(past_end[fact::HANDLER], u64::from(NO_HANDLER));
            assert_eq!(past_end[fact::RSP], past_end[fact::RSP_BEFORE]);
        }
        for refusal in &image.sets[set].refusals {
            let seen = all.next().expect("there is a record");
            let accepted = planned.ring == Ring::Kernel;
            assert_eq!(seen[fact::CALL], (set as u64) << 16 | u64::from(refusal.call));
            assert_eq!(seen[fact::FRAME_RSP], refusal.pointer);
            assert_eq!(seen[fact::RAX] == 0xC000_0005, !accepted);
            assert_eq!(seen[fact::HANDLER_RUNS], u64::from(accepted));
            assert_eq!(seen[fact::FAULT_VECTOR], 0);
            assert_eq!(seen[fact::RSP], seen[fact::RSP_BEFORE]);
            if accepted {
                let first = record::first_argument(set as u32, KERNEL_POINTER);
                for (k, argument) in seen[fact::ARGUMENTS..].iter().enumerate() {
                    assert_eq!(*argument, first + k as u64);
                }
            }
        }
    }
    assert!(all.next().is_none());
}

fn every_set_runs(boot: Boot) {
    for profile in Profile::ALL {
        judge(boot, profile, &plan(LIST, Shape::of(Arch::Amd64)));
    }
}

fn a_callback_sees_every_return(boot: Boot) {
    let mut plan = plan(SMALL, &[Shape::Syscall, Shape::SyscallOrInt2e]);
    for set in &mut plan.sets {
        set.callback = true;
    }
    judge(boot, &WIN7_X64, &plan);
    judge(boot, &WIN10_X64, &plan);
}

/// Services with none, all register and the most stack arguments.
const SMALL: &str = "NtA 0\nNtB 4\nNtC 18\nNtD 5\n";

fn services_of_win32k_make_the_thread_a_gui_thread(boot: Boot) {
    let mut plan = plan(&format!("{SMALL}{WIN32K}"), Shape::of(Arch::Amd64));
    assert_eq!(plan.tables[1].len(), 2);
    judge(boot, &WIN10_X64, &plan);
    judge(boot, &WIN7_X64, &plan);
    // Bits 13 to 31 of a number mean nothing; 1002h is past win32k's end, whether there is a win32k or not.
    for set in &mut plan.sets {
        set.refusals = false;
        let numbered = |stub: &mut Stub, number: u32| {
            stub.number = number;
            let load = stub.instructions.iter_mut().find(|i| i.code() == iced_x86::Code::Mov_r32_imm32);
            load.expect("it loads a number").set_immediate32(number);
        };
        if let Some(stub) = &mut set.past_end {
            numbered(stub, 0x1002);
            numbered(&mut set.stubs[0], 0xFFFF_E000);
            numbered(&mut set.stubs[4], 0xFFFF_F000);
        }
    }
    judge(boot, &WIN7_X64, &plan);
    plan.tables.truncate(1);
    plan.services.truncate(4);
    for set in &mut plan.sets {
        set.stubs.truncate(4);
    }
    let reactos = |set: &StubSet| set.tables == TableForm::Pointers;
    plan.sets.retain(|set| !reactos(set));
    judge(boot, &WIN7_X64, &plan);
}

/// The one record of each call, by call.
fn run(boot: Boot, plan: &Plan) -> Vec<Vec<u64>> {
    let image = build(&WIN7_X64, plan).expect("it builds");
    let (log, value) = boot(&image);
    assert_eq!(value, 0, "{}", log.lines().last().unwrap_or_default());
    records(&log)
}

fn rows_that_are_wrong_show(boot: Boot) {
    let mut plan = plan(SMALL, &[Shape::Syscall, Shape::SyscallReactos, Shape::ZwAmd64]);
    for set in &mut plan.sets {
        (set.past_end, set.refusals) = (None, false);
    }
    let rows = &mut plan.tables[0];
    // The neighbour's routine; nobody's routine; one argument more; one less.
    rows[0].displacement = 16;
    rows[1].displacement = -32;
    (rows[2].stack_arguments, rows[2].argument_bytes) = (13, 17 * 8);
    (rows[3].stack_arguments, rows[3].argument_bytes) = (2, 6 * 8);
    for (set, calls) in run(boot, &plan).chunks(4).enumerate() {
        assert_eq!(calls[0][fact::HANDLER], 1);
        assert_eq!(calls[1][fact::HANDLER], u64::from(NO_HANDLER));
        assert_eq!(calls[1][fact::RAX], 0xC000_0002);
        assert_eq!(calls[2][fact::STACK_ARGUMENTS], 13);
        assert_eq!(calls[3][fact::STACK_ARGUMENTS], 2);
        // Behind the fifth argument the harness's stack has no sixth.
        assert_eq!(calls[3][fact::ARGUMENTS + 4], record::first_argument(set as u32, 3) + 4);
        assert_eq!(calls[3][fact::ARGUMENTS + 5], SENTINEL + 5);
    }
}

/// A stub with instructions of its own.
pub(super) fn code(stub: &Stub, emit: impl Fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Stub {
    let mut a = CodeAssembler::new(64).expect("64 bits are possible");
    emit(&mut a).expect("the instructions exist");
    Stub { instructions: a.take_instructions(), relocations: Vec::new(), ..stub.clone() }
}

fn stubs_that_are_wrong_show(boot: Boot) {
    let mut plan = plan(SMALL, &[Shape::Syscall]);
    (plan.sets[0].past_end, plan.sets[0].refusals) = (None, false);
    let stubs = &mut plan.sets[0].stubs;
    // As ReactOS's old generator had it: the stub takes its caller's arguments away.
    stubs[2].instructions.pop();
    let taken = code(&stubs[2], |a| a.ret_1(18 * 4));
    stubs[2].instructions.extend(taken.instructions);
    // The first argument is in RCX, where `syscall` puts the return address.
    stubs[1].remove(0);
    stubs[0] = code(&stubs[0], |a| a.hlt());
    stubs[3] = code(&stubs[3], |a| a.mov(al, byte_ptr(WIN7_X64.user_unmapped)));
    let calls = run(boot, &plan);
    assert_eq!(calls[0][fact::FAULT_VECTOR], 0xE);
    assert_eq!((calls[0][fact::FAULT_ERROR], calls[0][fact::HANDLER_RUNS]), (0, 0));
    assert_eq!(calls[0][fact::FAULT_RIP], WIN7_X64.ntdll_stubs);
    assert_eq!(calls[0][fact::R15], record::POISON_R15);
    assert_eq!(calls[1][fact::ARGUMENTS], record::POISON_R10 | 1);
    assert_eq!(calls[1][fact::ARGUMENTS + 1], record::first_argument(0, 1) + 1);
    assert_eq!(calls[2][fact::RSP], calls[2][fact::RSP_BEFORE] + 18 * 4);
    assert_eq!(calls[3][fact::FAULT_VECTOR], 0xF);
    assert_eq!(calls[3][fact::FAULT_ERROR], 4);
    assert_eq!(calls[3][fact::FAULT_CR2], WIN7_X64.user_unmapped);
}

fn faults_in_ring_0_stop_the_machine(boot: Boot) {
    let mut broken = plan("NtA 1\nNtB 2\n", &[Shape::Syscall, Shape::ZwAmd64]);
    let stub = &mut broken.sets[1].stubs[1];
    *stub = code(stub, |a| a.mov(al, byte_ptr(0x1234)));
    let image = build(&WIN7_X64, &broken).expect("it builds");
    let (log, value) = boot(&image);
    assert_eq!(value, 1);
    let last = log.lines().last().expect("there is a line");
    let (rip, stack) = (image.sets[1].stub_addresses[1], image.sets[1].rsp_before - 8);
    assert_eq!(
        last,
        format!("bugcheck 00000050 0000000e 00000000 {rip:016x} 0000000000001234 {stack:016x} 00000010 000002d7")
    );

    // A stack pointer into nowhere: the fault's own frame can't be pushed, so it is a double fault on its own stack.
    let stub = &mut broken.sets[1].stubs[1];
    *stub = code(stub, |a| {
        a.mov(rsp, 0x1000u64)?;
        a.push(rax)
    });
    let mut image = build(&WIN7_X64, &broken).expect("it builds");
    let (log, value) = boot(&image);
    assert_eq!(value, 1);
    let last = log.lines().last().expect("there is a line");
    assert!(last.starts_with("bugcheck 0000007f 00000008 00000000 "), "{last}");
    assert!(last.ends_with("0000000000001000 00000010 000002d7"), "{last}");

    // The boot after that goes on behind it.
    let next = Start { set: 1, call: 2 };
    image.set_start(next).expect("the image has that set");
    broken.start = next;
    assert!(build(&WIN7_X64, &broken).is_ok_and(|built| built.elf == image.elf));
    assert_eq!(image.set_start(Start { set: 2, call: 0 }), Err(BuildError::NoSuchStart { set: 2 }));
    let (log, value) = boot(&image);
    assert_eq!(value, 0);
    let calls: Vec<u64> = records(&log).iter().map(|record| record[fact::CALL]).collect();
    assert_eq!(calls, [0x1_8000]);
    assert!(!log.contains("set 0"));
}

#[test]
#[ignore = "needs qemu-system-x86_64"]
fn both_machines_write_the_same_log() {
    for profile in Profile::ALL {
        let image = build(profile, &plan(&format!("{LIST}{WIN32K}"), Shape::of(Arch::Amd64))).expect("it builds");
        assert!(bundled(&image) == qemu(&image), "{}", profile.name);
    }
}

#[test]
fn a_cpu_without_long_mode_says_so() {
    let image = build(&WIN7_X64, &plan(SMALL, &[Shape::Syscall])).expect("it builds");
    for cpu in ["486", "pentium2", "core2"] {
        assert_eq!(bundled_cpu(&image, cpu), ("no long mode\n".to_owned(), 2));
    }
    assert_eq!(bundled_cpu(&image, "nehalem").1, 0);
}

fn a_user_that_single_steps_is_traced_behind_syscall(boot: Boot) {
    let mut plan = plan(SMALL, &[Shape::Syscall]);
    let stub = &mut plan.sets[0].stubs[0];
    let syscall = stub.instructions.iter().position(|i| i.code() == iced_x86::Code::Syscall).expect("it is there");
    let traced = code(stub, |a| {
        a.mov(r10, rcx)?;
        a.mov(eax, 0)?;
        a.pushfq()?;
        a.or(byte_ptr(rsp + 1), 1)?;
        a.popfq()?;
        a.syscall()?;
        a.ret()
    });
    assert_eq!(syscall, 2);
    *stub = traced;
    let calls = run(boot, &plan);
    // The trap comes behind the first instruction after POPFQ, which is in the kernel: SYSCALL masks TF, SYSRET brings
    // it back, and the user's `ret` is the first that is traced.
    assert_eq!(calls[0][fact::HANDLER_RUNS], 1);
    assert_eq!(calls[0][fact::FRAME_RFLAGS] & 0x100, 0x100);
    assert_eq!(calls[0][fact::FAULT_VECTOR], 2);
    assert_eq!(calls[1][fact::FAULT_VECTOR], 0);
}

/// The file's copy of the kernel's variables: where in it the thread is.
fn thread(image: &Image) -> usize {
    let digits: String = (0..=255).map(|byte| format!("{byte:02x}")).collect();
    let at = image.elf.windows(digits.len()).position(|bytes| bytes == digits.as_bytes());
    at.expect("the digits are there") - data::kernel::HEX as usize + data::kernel::THREAD as usize
}

fn debug_registers_and_apcs_are_seen_to(boot: Boot) {
    let plan = plan(SMALL, &[Shape::Syscall, Shape::SyscallOrInt2e, Shape::SyscallReactos]);
    let mut image = build(&WIN7_X64, &plan).expect("it builds");
    let at = thread(&image);
    image.elf[at + layout::dispatcher_header::DEBUG_ACTIVE as usize] = 1;
    image.elf[at + WIN7_X64.thread.user_apc_pending as usize] = 1;
    judge_image(boot, &WIN7_X64, &plan, &image);
}

fn apcs_that_are_disabled_stop_the_machine(boot: Boot) {
    let mut image = build(&WIN7_X64, &plan(SMALL, &[Shape::Syscall])).expect("it builds");
    let at = thread(&image);
    image.elf[at + WIN7_X64.thread.combined_apc_disable as usize] = 1;
    let (log, value) = boot(&image);
    assert_eq!(value, 1);
    assert!(
        log.ends_with(&format!(
            "bugcheck 00000001{}\n",
            " 00000000 00000000 0000000000000000 0000000000000000 0000000000000000 00000000 00000000"
        )),
        "{log}"
    );
}
