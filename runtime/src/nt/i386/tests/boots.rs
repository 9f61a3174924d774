//! Images that run. Each record is compared with what the plan says, fact by fact.

use std::process::{Command, Stdio};

use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, edx, esp};
use ntgate_gen::stub::Stub;

use super::*;
use crate::machine::cpuid::Model;
use crate::machine::{Exit, Machine};
use crate::nt::record::{self, EFLAGS_BEFORE, NO_HANDLER, PAST_END, fact};

/// Runs an image on a CPU model of the bundled machine's names; gives the log and the value at the exit port.
pub(super) type Boot = fn(&Image, &str) -> (String, u32);

/// Guest instructions that no image here comes near.
const BUDGET: u64 = 100_000_000;

/// Boots on the bundled machine.
pub(super) fn bundled(image: &Image, cpu: &str) -> (String, u32) {
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
        other => panic!("{cpu}: {other:?} after {:?}", log.lines().last()),
    }
}

/// Boots under QEMU.
pub(super) fn qemu(image: &Image, cpu: &str) -> (String, u32) {
    let cpu = if cpu == "core2" { "core2duo" } else { cpu };
    let name = format!("ntgate-nt-{}-{cpu}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    let (elf, log) = (path.with_extension("elf"), path.with_extension("log"));
    std::fs::write(&elf, &image.elf).expect("the image can be written");
    let mut command = Command::new("qemu-system-i386");
    command.args(["-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    command.arg("-cpu").arg(cpu).arg("-kernel").arg(&elf);
    command.arg("-debugcon").arg(format!("file:{}", log.display())).stderr(Stdio::null());
    let status = command.status().expect("qemu-system-i386 is there");
    let text = std::fs::read_to_string(&log).expect("there is a log");
    let _ = (std::fs::remove_file(&elf), std::fs::remove_file(&log));
    let code = status.code().expect("it ended by itself");
    (text, code as u32 >> 1)
}

on_both_machines! {
    every_set_runs_on_every_cpu
    a_fault_in_ring_3_is_recorded_and_the_next_call_is_made
    single_stepping_over_sysenter_comes_back_through_iretd
    faults_in_ring_0_stop_the_machine
    numbers_of_the_gui_table_are_invalid_without_a_gui
    services_of_win32k_have_a_table_of_their_own
}

/// The records of a log.
pub(super) fn records(log: &str) -> Vec<Vec<u32>> {
    let record = |line: &str| -> Vec<u32> {
        line.split(' ').map(|dword| u32::from_str_radix(dword, 16).expect("it is hexadecimal")).collect()
    };
    log.lines().filter_map(|line| line.strip_prefix("c ")).map(record).collect()
}

/// The values that a call of a correct stub leaves in the record, by fact; arguments last.
fn expected(plan: &Plan, image: &Image, set: usize, call: usize, sysenter: bool) -> Vec<(usize, u32)> {
    expected_under(&SRV2003, plan, image, set, call, sysenter)
}

/// The same under another profile.
pub(super) fn expected_under(
    profile: &Profile,
    plan: &Plan,
    image: &Image,
    set: usize,
    call: usize,
    sysenter: bool,
) -> Vec<(usize, u32)> {
    let (planned, layout, service) = (&plan.sets[set], &image.sets[set], &plan.services[call]);
    let kernel = planned.ring == Ring::Kernel;
    let fast = sysenter && (planned.needs_sysenter || planned.form != SystemCallForm::Unused);
    let frame = if kernel { layout.trap_frame } else { profile.base_frame() };
    let n = call as u32;
    let mut facts = vec![
        (fact::CALL, (set as u32) << 16 | n),
        (fact::HANDLER_RUNS, 1),
        (fact::HANDLER, n),
        (fact::NUMBER, planned.stubs[call].number),
        (fact::ARG_POINTER, layout.esp_before - service.args_bytes),
        (fact::ENTRY, if fast { 2 } else { 1 }),
        (fact::FRAME_CS, if kernel { 8 } else { 0x1B }),
        (fact::FRAME_EFLAGS, EFLAGS_BEFORE),
        (fact::PREVIOUS_MODE, if kernel { 0 } else { 1 }),
        (fact::PREVIOUS_PREVIOUS_MODE, 1),
        (fact::COPIED, service.args_bytes),
        (fact::FRAME_LINK, layout.trap_frame),
        (fact::EAX, record::status(n, set as u32)),
        (fact::EBX, record::POISON_EBX | n),
        (fact::ESI, record::POISON_ESI | n),
        (fact::EDI, record::POISON_EDI | n),
        (fact::EBP, record::POISON_EBP | n),
        (fact::ESP, layout.esp_before),
        (fact::ESP_BEFORE, layout.esp_before),
        (fact::EFLAGS, EFLAGS_BEFORE),
        (fact::CS_SS, if kernel { 0x0010_0008 } else { 0x0023_001B }),
        (fact::DS_ES, 0x0023_0023),
        (fact::FS_GS, if kernel { 0x30 } else { 0x3B }),
        (fact::AFTER_TRAP_FRAME, layout.trap_frame),
        (fact::AFTER_PREVIOUS_MODE, 1),
        (fact::AFTER_EXCEPTION_LIST, layout.exception_list),
        (fact::AFTER_ESP0, layout.esp0),
        (fact::FAULT_VECTOR, 0),
        (fact::ARGUMENT_COUNT, service.args_bytes / 4),
    ];
    if !kernel {
        facts.extend([(fact::FRAME, frame), (fact::TRAP_FRAME, frame)]);
    }
    let first = record::first_argument(set as u32, n);
    facts.extend((0..service.args_bytes / 4).map(|k| (fact::ARGUMENTS + k as usize, first + k)));
    facts
}

/// All sets of the whole list; gives the number of records.
fn whole_list(boot: Boot, cpu: &str, cpu_line: &str, sysenter: bool) -> usize {
    let plan = plan(LIST, Shape::of(Arch::I386));
    let image = build(&SRV2003, &plan).expect("it builds");
    let (log, exit) = boot(&image, cpu);
    assert_eq!(exit, 0, "{}", log.lines().last().unwrap_or_default());
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("ntgate 1 profile srv2003 services 298 sets 7"));
    assert_eq!(lines.next(), Some(cpu_line));
    let records = records(&log);
    assert_eq!(log.lines().last(), Some(format!("done {:08x}", records.len()).as_str()));
    let mut seen = records.iter();
    for (set, planned) in plan.sets.iter().enumerate() {
        if planned.needs_sysenter && !sysenter {
            assert!(log.contains(&format!("\nset {set} {} skipped\n", planned.label)));
            continue;
        }
        for call in 0..plan.services.len() {
            let record = seen.next().expect("there is a record");
            assert_eq!(record.len(), fact::ARGUMENTS + plan.services[call].args_bytes as usize / 4);
            for (fact, value) in expected(&plan, &image, set, call, sysenter) {
                assert_eq!(record[fact], value, "{cpu}, set {set}, call {call:x}, fact {fact}");
            }
        }
        let past_end = seen.next().expect("there is a record");
        assert_eq!(past_end[fact::CALL], (set as u32) << 16 | PAST_END);
        assert_eq!(past_end[fact::EAX], 0xC000_001C);
        assert_eq!(past_end[fact::HANDLER], NO_HANDLER);
        for refusal in &image.sets[set].refusals {
            let record = seen.next().expect("there is a record");
            assert_eq!(record[fact::CALL], (set as u32) << 16 | refusal.call);
            assert_eq!(record[fact::ARG_POINTER], refusal.pointer);
            let accepted = planned.ring == Ring::Kernel;
            assert_eq!(record[fact::EAX] == 0xC000_0005, !accepted);
            assert_eq!(record[fact::HANDLER_RUNS], u32::from(accepted));
            let fast = sysenter && (planned.needs_sysenter || planned.form != SystemCallForm::Unused);
            assert_eq!(record[fact::FAULT_VECTOR], if fast { 0xF } else { 0 }, "the user's `ret` faults");
        }
    }
    assert!(seen.next().is_none());
    records.len()
}

fn every_set_runs_on_every_cpu(boot: Boot) {
    let with = 6 * (298 + 3) + 298 + 2;
    let without = with - (298 + 3);
    let pentium = "cpu cpuid 1 family 5 model 4 stepping 3 sep 0 sysenter 0";
    assert_eq!(whole_list(boot, "pentium", pentium, false), without);
    let pentium2 = "cpu cpuid 1 family 6 model 5 stepping 2 sep 1 sysenter 1";
    assert_eq!(whole_list(boot, "pentium2", pentium2, true), with);
    let core2 = "cpu cpuid 1 family 6 model f stepping b sep 1 sysenter 1";
    assert_eq!(whole_list(boot, "core2", core2, true), with);
}

/// The log of a one-service list, its first and only set being `sysenter`.
fn sysenter_log(boot: Boot, cpu: &str) -> String {
    let image = build(&SRV2003, &plan("NtA 1\n", &[Shape::Sysenter])).expect("it builds");
    let (log, exit) = boot(&image, cpu);
    assert_eq!(exit, 0);
    log
}

#[test]
fn a_486_without_cpuid_has_no_sysenter() {
    let log = sysenter_log(bundled, "486");
    assert!(log.contains("\ncpu cpuid 0\nset 0 sysenter skipped\ndone 00000000\n"), "{log}");
    whole_list(bundled, "486", "cpu cpuid 0", false);
}

#[test]
fn the_sep_bit_of_the_pentium_pro_is_not_believed() {
    let log = sysenter_log(bundled, "pentium-pro");
    assert!(log.contains(" family 6 model 1 stepping "), "{log}");
    assert!(log.contains(" sep 1 sysenter 0\nset 0 sysenter skipped\n"), "{log}");
}

#[test]
#[ignore = "needs qemu-system-i386"]
fn the_sep_bit_counts_from_model_3_stepping_3() {
    for (cpu, line) in [
        ("pentium2,model=1,stepping=9", "cpu cpuid 1 family 6 model 1 stepping 9 sep 1 sysenter 0"),
        ("pentium2,model=3,stepping=2", "cpu cpuid 1 family 6 model 3 stepping 2 sep 1 sysenter 0"),
        ("pentium2,model=3,stepping=3", "cpu cpuid 1 family 6 model 3 stepping 3 sep 1 sysenter 1"),
        ("pentium,+sep", "cpu cpuid 1 family 5 model 4 stepping 3 sep 1 sysenter 0"),
    ] {
        let log = sysenter_log(qemu, cpu);
        assert!(log.contains(line), "{log}");
        assert_eq!(log.contains("set 0 sysenter skipped"), line.ends_with('0'));
    }
}

#[test]
#[ignore = "needs qemu-system-i386"]
fn both_machines_write_the_same_log() {
    let image = build(&SRV2003, &plan(LIST, Shape::of(Arch::I386))).expect("it builds");
    for cpu in ["pentium", "pentium2", "core2"] {
        assert!(bundled(&image, cpu) == qemu(&image, cpu), "{cpu}");
    }
}

/// A stub with instructions of its own.
pub(super) fn code(stub: &Stub, emit: impl Fn(&mut CodeAssembler) -> Result<(), iced_x86::IcedError>) -> Stub {
    let mut a = CodeAssembler::new(32).expect("32 bits are possible");
    emit(&mut a).expect("the instructions exist");
    Stub { instructions: a.take_instructions(), relocations: Vec::new(), ..stub.clone() }
}

fn a_fault_in_ring_3_is_recorded_and_the_next_call_is_made(boot: Boot) {
    let mut plan = plan("NtA 1\nNtB 0\nNtC 0\nNtD 0\nNtE 0\n", &[Shape::Int2e]);
    let stubs = &mut plan.sets[0].stubs;
    stubs[0] = code(&stubs[0], |a| a.hlt());
    stubs[1] = code(&stubs[1], |a| a.int(0x30));
    stubs[2] = code(&stubs[2], |a| a.mov(dword_ptr(SRV2003.shared_user), eax));
    stubs[3] = code(&stubs[3], |a| a.int3());
    let image = build(&SRV2003, &plan).expect("it builds");
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 0, "{log}");
    let records = records(&log);
    let stubs = &image.sets[0].stub_addresses;
    for (call, fault) in [
        (0, [0x0E, 0, stubs[0], 0]),
        (1, [0x0E, 0x182, stubs[1], 0]),
        (2, [0x0F, 7, stubs[2], SRV2003.shared_user]),
        (3, [0x04, 0, stubs[3] + 1, 0]),
        (4, [0, 0, 0, 0]),
    ] {
        assert_eq!(records[call][fact::FAULT_VECTOR..fact::ARGUMENT_COUNT], fault, "call {call}");
        let runs = u32::from(call == 4);
        assert_eq!(records[call][fact::HANDLER_RUNS], runs);
        assert_eq!(records[call][fact::EBX], record::POISON_EBX | call as u32);
    }
    assert_eq!(records[0][fact::EFLAGS], EFLAGS_BEFORE, "without RF");
}

fn single_stepping_over_sysenter_comes_back_through_iretd(boot: Boot) {
    let mut plan = plan("NtA 0\n", &[Shape::Sysenter]);
    let stub = &mut plan.sets[0].stubs[0];
    *stub = code(stub, |a| {
        a.mov(eax, 0)?;
        a.mov(edx, esp)?;
        a.pushfd()?;
        a.or(dword_ptr(esp), 0x100)?;
        a.popfd()?;
        a.sysenter()
    });
    for form in [SystemCallForm::Pointer, SystemCallForm::Code] {
        plan.sets[0].form = form;
        let image = build(&SRV2003, &plan).expect("it builds");
        let (log, exit) = boot(&image, "pentium2");
        assert_eq!(exit, 0, "{log}");
        let record = &records(&log)[0];
        assert_eq!(record[fact::HANDLER_RUNS], 1);
        assert_eq!(record[fact::ENTRY], 2);
        assert_eq!(record[fact::FRAME_EFLAGS], EFLAGS_BEFORE | 0x100);
        // The `ret` at SystemCallReturn is the one instruction that runs before the trap.
        assert_eq!(record[fact::FAULT_VECTOR], 2);
        assert_eq!(record[fact::ESP], image.sets[0].esp_before);
        assert_eq!(record[fact::EFLAGS], EFLAGS_BEFORE | 0x100);
        assert_eq!(record[fact::EAX], record::status(0, 0));
    }
}

fn faults_in_ring_0_stop_the_machine(boot: Boot) {
    let mut broken = plan("NtA 1\nNtB 2\n", &[Shape::Int2e, Shape::Zw]);
    let stub = &mut broken.sets[1].stubs[1];
    *stub = code(stub, |a| a.mov(eax, dword_ptr(0x1234)));
    let image = build(&SRV2003, &broken).expect("it builds");
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 1);
    let last = log.lines().last().expect("there is a line");
    let eip = image.sets[1].stub_addresses[1];
    let stack = image.sets[1].esp_before - 2 * 4 - 4;
    assert_eq!(last, format!("bugcheck 0000001e 0000000e 00000000 {eip:08x} 00001234 {stack:08x} 00000008 000002d7"));

    // A stack pointer into nowhere: the fault's own frame can't be pushed.
    let stub = &mut broken.sets[1].stubs[1];
    *stub = code(stub, |a| {
        a.mov(esp, 0x1000)?;
        a.push(eax)
    });
    let image = build(&SRV2003, &broken).expect("it builds");
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 1);
    let eip = image.sets[1].stub_addresses[1] + 5;
    let last = log.lines().last().expect("there is a line");
    assert!(last.starts_with(&format!("bugcheck 0000007f 00000008 00000000 {eip:08x} ")), "{last}");

    // The boot after that goes on behind it.
    let mut image = image;
    let next = Start { set: 1, call: 2 };
    image.set_start(next).expect("the image has that set");
    broken.start = next;
    assert!(build(&SRV2003, &broken).is_ok_and(|built| built.elf == image.elf));
    assert_eq!(image.set_start(Start { set: 2, call: 0 }), Err(BuildError::NoSuchStart { set: 2 }));
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 0);
    let calls: Vec<u32> = records(&log).iter().map(|record| record[fact::CALL]).collect();
    assert_eq!(calls, [0x1_8000, 0x1_8001]);
    assert!(!log.contains("set 0"));
}

fn numbers_of_the_gui_table_are_invalid_without_a_gui(boot: Boot) {
    let mut plan = plan("NtA 1\n", &[Shape::Int2e, Shape::Zw]);
    for set in &mut plan.sets {
        for (stub, number) in
            [(&mut set.stubs[0], 0xFFFF_E000u32), (set.past_end.as_mut().expect("it is there"), 0x1FFF)]
        {
            stub.number = number;
            stub.instructions[0].set_immediate32(number);
        }
    }
    let image = build(&SRV2003, &plan).expect("it builds");
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 0, "{log}");
    for records in records(&log).chunks(4) {
        // Bits 13 to 31 of a number mean nothing.
        assert_eq!(records[0][fact::HANDLER], 0);
        assert_eq!(records[0][fact::NUMBER], 0xFFFF_E000);
        assert_eq!(records[1][fact::EAX], 0xC000_001C);
        assert_eq!(records[1][fact::ESP], records[1][fact::ESP_BEFORE]);
    }
}

pub(super) fn services_of_win32k_have_a_table_of_their_own(boot: Boot) {
    let list = "NtA 1\nNtB 2\n#! table win32k base=0x1000\nNtGdiA 3\nNtGdiB 0\n";
    let mut plan = plan(list, &[Shape::SharedEdx, Shape::Zw]);
    for set in &mut plan.sets {
        // One past the end of the second table.
        let stub = set.past_end.as_mut().expect("it is there");
        stub.number = 0x1002;
        stub.instructions[0].set_immediate32(0x1002);
        set.refusals = false;
    }
    let image = build(&SRV2003, &plan).expect("it builds");
    let (log, exit) = boot(&image, "pentium2");
    assert_eq!(exit, 0, "{log}");
    for (set, records) in records(&log).chunks(5).enumerate() {
        for call in 0..4 {
            assert_eq!(records[call][fact::NUMBER], [0, 1, 0x1000, 0x1001][call]);
            for (fact, value) in expected(&plan, &image, set, call, true) {
                assert_eq!(records[call][fact], value, "set {set}, call {call}, fact {fact}");
            }
        }
        assert_eq!(records[4][fact::EAX], 0xC000_001C);
        assert_eq!(records[4][fact::HANDLER], NO_HANDLER);
    }
    assert_eq!(address(&image, "nt!W32pArgumentTable") - address(&image, "nt!W32pServiceTable"), 8 + 4096);
}
