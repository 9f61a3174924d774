//! Systems in a program, through the public interface: on every profile, with programs that behave and programs that do not.

use std::cell::RefCell;

use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, ecx, edx, ptr, qword_ptr, rax, rcx, rsp};
use ntgate::ntgate_gen::ServiceList;
use ntgate::ntgate_runtime::host::{
    BoxError, BuildError, Builder, Call, End, Entry, Machine, Mode, NtStatus, Places, profiles,
};
use ntgate::ntgate_runtime::machine::Exit;
use ntgate::ntgate_runtime::nt::record;

#[allow(dead_code)]
#[path = "../examples/hello_ntdll.rs"]
mod hello_ntdll;

const BUDGET: u64 = 10_000_000;

/// SharedUserData as ring 3 sees it, which may only read it. Nothing is behind it.
const SHARED_USER_DATA: u64 = 0x7FFE_0000;

/// A builder for a profile, with a list if it has none of its own.
fn builder<'h>(profile: &str) -> Builder<'h> {
    let builder = Machine::builder().profile(profile);
    if profile.starts_with("reactos") { builder.list(&sysfuncs()) } else { builder }
}

fn sysfuncs() -> ServiceList {
    ntgate::ntgate_gen::read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("it is right").list
}

/// A program that calls a service and ends with its status.
fn calling<'p>(service: &'p str, arguments: &'p [u64]) -> impl Fn(&Places) -> Result<Vec<u8>, BoxError> + 'p {
    move |places| {
        let mut a = CodeAssembler::new(places.bits())?;
        call(&mut a, places, service, arguments)?;
        end(&mut a, places)?;
        Ok(a.assemble(places.start())?)
    }
}

fn call(a: &mut CodeAssembler, places: &Places, service: &str, arguments: &[u64]) -> Result<(), BoxError> {
    if places.bits() == 32 {
        for argument in arguments.iter().rev() {
            a.push(*argument as u32)?;
        }
    } else {
        a.sub(rsp, 0x100)?;
        for (index, argument) in arguments.iter().enumerate() {
            let register = [rcx, iced_x86::code_asm::rdx, iced_x86::code_asm::r8, iced_x86::code_asm::r9].get(index);
            match register {
                Some(register) => a.mov(*register, *argument)?,
                None => {
                    a.mov(rax, *argument)?;
                    a.mov(qword_ptr(rsp + 8 * index), rax)?;
                }
            }
        }
    }
    Ok(a.call(places.stub(service)?)?)
}

/// NtTerminateProcess(-1, EAX).
fn end(a: &mut CodeAssembler, places: &Places) -> Result<(), BoxError> {
    if places.bits() == 32 {
        a.push(eax)?;
        a.push(-1)?;
    } else {
        a.mov(edx, eax)?;
    }
    Ok(a.call(places.stub("NtTerminateProcess")?)?)
}

/// What a closure for NtClose makes of a pointer that the program passes.
fn with_pointer(
    profile: &str,
    pointer: u64,
    serve: impl FnMut(&mut Call<'_>, u64) -> Result<(), NtStatus>,
) -> NtStatus {
    let (mut serve, arguments) = (serve, [pointer]);
    let mut machine = builder(profile)
        .service("NtClose", |call| {
            assert_eq!(call.previous_mode(), Mode::User);
            let pointer = call.argument(0)?;
            serve(call, pointer)
        })
        .program(calling("NtClose", &arguments))
        .build()
        .expect("it is right");
    match machine.run(BUDGET) {
        End::Exit(status) => status,
        other => panic!("{profile}: {other}"),
    }
}

/// Where things are under a profile.
fn places(profile: &str) -> Places {
    let machine = builder(profile).program(calling("NtClose", &[0])).build().expect("it is right");
    machine.places().clone()
}

#[test]
fn the_example_writes_the_same_on_every_system() {
    let lines = hello_ntdll::lines().expect("every system runs it");
    let ways = [
        "nt4            int2e     NtWriteFile C8h   hello",
        "win2000        int2e     NtWriteFile EDh   hello",
        "winxp          sysenter  NtWriteFile 112h  hello",
        "srv2003        sysenter  NtWriteFile 11Ch  hello",
        "winxp-sp2      sysenter  NtWriteFile 112h  hello",
        "win7           sysenter  NtWriteFile 18Ch  hello",
        "win8           sysenter  NtWriteFile 5h    hello",
        "reactos        sysenter  NtWriteFile 11Ch  hello",
        "win7-x64       syscall   NtWriteFile 5h    hello",
        "win10-x64      syscall   NtWriteFile 8h    hello",
        "reactos-amd64  syscall   NtWriteFile 11Ch  hello",
    ];
    assert_eq!(lines, ways);
}

#[test]
fn arguments_arrive_in_order_on_every_system() {
    let arguments: Vec<u64> = (0..11).map(|index| 0x1111_0000 + index).collect();
    for profile in profiles() {
        let seen = RefCell::new(Vec::new());
        let mut machine = builder(profile)
            .service("NtCreateFile", |call| {
                assert_eq!((call.service(), call.profile()), ("NtCreateFile", profile));
                assert_eq!(call.argument(11), Err(NtStatus::INVALID_PARAMETER));
                assert_eq!(call.argument_u32(10), Ok(0x1111_000A));
                seen.borrow_mut().extend_from_slice(call.arguments());
                Ok(())
            })
            .program(calling("NtCreateFile", &arguments))
            .build()
            .expect("it is right");
        assert_eq!(machine.run(BUDGET), End::Exit(NtStatus::SUCCESS), "{profile}");
        assert_eq!(*seen.borrow(), arguments, "{profile}");
    }
}

#[test]
fn the_entry_is_the_cpus() {
    for (profile, cpu, entry) in [
        ("srv2003", "pentium", Entry::Int2e),
        ("srv2003", "pentium-pro", Entry::Int2e),
        ("srv2003", "core2", Entry::Sysenter),
        ("nt4", "core2", Entry::Int2e),
        ("win10-x64", "nehalem", Entry::Syscall),
    ] {
        let mut machine = builder(profile)
            .cpu(cpu)
            .service("NtClose", move |call| {
                assert_eq!(call.entry(), entry);
                Err(NtStatus(0x1234))
            })
            .program(calling("NtClose", &[1]))
            .build()
            .expect("it is right");
        assert_eq!(machine.run(BUDGET), End::Exit(NtStatus(0x1234)), "{profile} {cpu}");
        assert_eq!(machine.machine().model().name, cpu);
    }
}

#[test]
fn bad_pointers_of_ring_3_become_statuses() {
    type Serve = fn(&mut Call<'_>, u64) -> Result<(), NtStatus>;
    let read4: Serve = |call, at| call.read::<u32>(at).map(|_| ());
    let read8: Serve = |call, at| call.read::<u64>(at).map(|_| ());
    let write4: Serve = |call, at| call.write(at, &7u32);
    let read_16: Serve = |call, at| call.read_bytes(at, 16).map(|_| ());
    let write_16: Serve = |call, at| call.write_bytes(at, &[1; 16]);
    let nothing: Serve = |call, at| call.read_bytes(at, 0).map(|_| ()).and(call.write_bytes(at, &[]));
    let everything: Serve = |call, at| call.read_bytes(at, u64::MAX).map(|_| ());
    let gigabytes: Serve = |call, at| call.probe_for_write(at, 0xFFFF_FFFF, 1);
    let odd_probe: Serve = |call, at| call.probe_for_read(at, 4, 0);
    let (good, violation, misaligned) =
        (NtStatus::SUCCESS, NtStatus::ACCESS_VIOLATION, NtStatus::DATATYPE_MISALIGNMENT);

    for profile in profiles() {
        let places = places(profile);
        let (data, kernel) = (places.data(), places.symbol("nt!KiSystemService").expect("every kernel has it"));
        let wide = places.bits() == 64;
        let top = if wide { u64::MAX } else { 0xFFFF_FFFF };
        for (what, at, serve, status) in [
            ("data", data, read4, good),
            ("data", data, write4, good),
            ("an aligned end of the page", data + 0xFF8, read8, good),
            ("misaligned", data + 2, read4, misaligned),
            ("misaligned", data + 1, write4, misaligned),
            ("misaligned in kernel space", kernel | 1, read4, misaligned),
            ("four bytes off", data + 4, read8, if wide { misaligned } else { good }),
            ("bytes anywhere", data + 1, read_16, good),
            ("into a page that is not there", data + 0xFF4, read_16, violation),
            ("into a page that is not there", data + 0xFF4, write_16, violation),
            ("null", 0, read4, violation),
            ("the end of user space", 0x7FFE_FFFC, read4, violation),
            ("MmUserProbeAddress", 0x7FFF_0000, read4, violation),
            ("kernel code", kernel & !7, read4, violation),
            ("kernel code", kernel & !7, write4, violation),
            ("the top", top - 3, read4, violation),
            ("wrap-around", top - 3, read_16, violation),
            ("wrap-around", top - 3, write_16, violation),
            ("a page that is read-only", SHARED_USER_DATA, read4, good),
            ("a page that is read-only", SHARED_USER_DATA, write4, violation),
            ("behind it", SHARED_USER_DATA + 0xFF8, read_16, violation),
            ("the program", places.start(), read4, good),
            ("the program", places.start(), write4, violation),
            ("nothing", kernel, nothing, good),
            ("everything", data, everything, violation),
            ("gigabytes", data, gigabytes, violation),
            ("no alignment", data + 1, odd_probe, good),
        ] {
            assert_eq!(with_pointer(profile, at, serve), status, "{profile}: {what}");
        }
    }
}

#[test]
fn nothing_is_written_if_not_all_of_it_can_be() {
    for profile in ["nt4", "win10-x64"] {
        let at = places(profile).data() + 0xFF8;
        let status = with_pointer(profile, at, |call, at| {
            assert_eq!(call.write_bytes(at, &[0xAA; 9]), Err(NtStatus::ACCESS_VIOLATION));
            assert_eq!(call.read::<u64>(at), Ok(0));
            assert_eq!(call.write_io_status(at, NtStatus::SUCCESS, 1), {
                // Eight bytes fit, sixteen do not.
                if call.pointer_size() == 4 { Ok(()) } else { Err(NtStatus::ACCESS_VIOLATION) }
            });
            assert_eq!(call.read::<u64>(at)? == 0, call.pointer_size() == 8);
            Ok(())
        });
        assert_eq!(status, NtStatus::SUCCESS);
    }
}

#[test]
fn strings_are_captured_by_their_own_rules() {
    for profile in ["srv2003", "win7-x64"] {
        let places = places(profile);
        let kernel = places.symbol("nt!KiSystemService").expect("every kernel has it");
        let status = with_pointer(profile, places.data(), |call, at| {
            let size = call.pointer_size();
            let text = at + 0x100;
            call.write(text, &[0x4E, 0x74, 0xD800, 0x41u16])?;
            call.write(at, &[8u16, 10])?;
            call.write_pointer(at + size, text)?;
            assert_eq!(call.read_unicode_string(at)?, "Nt\u{FFFD}A");
            assert_eq!(call.read_pointer(at + size), Ok(text));
            call.write(at, &3u16)?;
            assert_eq!(call.read_unicode_string(at), Err(NtStatus::INVALID_PARAMETER));
            call.write(at, &4u16)?;
            call.write_pointer(at + size, text + 1)?;
            assert_eq!(call.read_unicode_string(at), Err(NtStatus::DATATYPE_MISALIGNMENT));
            call.write_pointer(at + size, kernel & !1)?;
            assert_eq!(call.read_unicode_string(at), Err(NtStatus::ACCESS_VIOLATION));
            call.write(at, &0u16)?;
            assert_eq!(call.read_unicode_string(at)?, "");
            assert_eq!(call.read_unicode_string(at + 1), Err(NtStatus::DATATYPE_MISALIGNMENT));
            Ok(())
        });
        assert_eq!(status, NtStatus::SUCCESS, "{profile}");
    }
}

/// A routine of ring 0 without arguments that calls NtClose by the kernel's own stub, with its own address.
fn zw_close(places: &Places) -> Result<Vec<u8>, BoxError> {
    let stub = places.symbol("nt!ZwClose").ok_or("there is no nt!ZwClose")?;
    let mut a = CodeAssembler::new(places.bits())?;
    if places.bits() == 32 {
        a.push(places.start() as u32)?;
        a.call(stub)?;
    } else {
        a.sub(rsp, 0x28)?;
        a.mov(rcx, places.start())?;
        a.call(stub)?;
        a.add(rsp, 0x28)?;
    }
    a.ret()?;
    Ok(a.assemble(places.start())?)
}

#[test]
fn the_kernels_own_pointers_are_believed_but_not_followed_into_nothing() {
    for profile in profiles() {
        let mut calls = 0;
        let mut machine = builder(profile)
            .routine("NtTestAlert", zw_close)
            .service("NtClose", |call| {
                calls += 1;
                assert_eq!((call.previous_mode(), call.entry()), (Mode::Kernel, Entry::Zw), "{profile}");
                let at = call.argument(0)?;
                // Its own code: what the address is taken from, misaligned or not.
                assert!(call.read::<u32>(at).is_ok() && call.read::<u32>(at + 1).is_ok());
                assert_eq!(call.write(at, &0u32), Err(NtStatus::ACCESS_VIOLATION), "CR0.WP is set");
                assert_eq!(call.read::<u32>(0x1000), Err(NtStatus::ACCESS_VIOLATION));
                let top = if call.pointer_size() == 4 { 0xFFFF_FFFF } else { u64::MAX };
                assert_eq!(call.read_bytes(top, 2), Err(NtStatus::ACCESS_VIOLATION));
                Err(NtStatus(0x77))
            })
            .program(calling("NtTestAlert", &[]))
            .build()
            .expect("it is right");
        assert_eq!(machine.run(BUDGET), End::Exit(NtStatus(0x77)), "{profile}");
        drop(machine);
        assert_eq!(calls, 1);
    }
}

#[test]
fn services_that_nobody_serves_say_so() {
    for profile in ["winxp", "win7-x64"] {
        let run = |builder: Builder<'_>| {
            let mut machine = builder.program(calling("NtClose", &[1])).build().expect("it is right");
            machine.run(BUDGET)
        };
        assert_eq!(run(builder(profile)), End::Exit(NtStatus::NOT_IMPLEMENTED));
        let list = sysfuncs();
        let place = list.services().position(|service| service.name().nt() == "NtClose").expect("it is there");
        let end = run(builder(profile).list(&list).prover_values());
        assert_eq!(end, End::Exit(NtStatus(record::status(place as u32, 0))));
        let end = run(builder(profile).others(|call| {
            assert_eq!(call.service(), "NtClose");
            Err(NtStatus::NOT_SUPPORTED)
        }));
        assert_eq!(end, End::Exit(NtStatus::NOT_SUPPORTED));
        // The last closure counts.
        let end =
            run(builder(profile).service("NtClose", |_| Err(NtStatus(1))).service("NtClose", |_| Err(NtStatus(2))));
        assert_eq!(end, End::Exit(NtStatus(2)));
    }
}

#[test]
fn a_closure_can_end_the_program() {
    let mut machine = builder("win7")
        .service("NtTerminateProcess", |call| {
            let status = NtStatus(call.argument_u32(1)?);
            call.exit(status);
            Ok(())
        })
        .program(calling("NtClose", &[1]))
        .build()
        .expect("it is right");
    assert_eq!(machine.run(BUDGET), End::Exit(NtStatus::NOT_IMPLEMENTED));
    // And that was it.
    assert_eq!(machine.run(BUDGET), End::Exit(NtStatus::NOT_IMPLEMENTED));
}

#[test]
fn a_run_in_pieces_is_the_run_as_a_whole() {
    for profile in ["srv2003", "win10-x64"] {
        let run = |budget: u64| {
            let mut numbers = Vec::new();
            let mut machine = builder(profile)
                .service("NtClose", |call| {
                    numbers.push(call.argument_u32(0)?);
                    Ok(())
                })
                .program(|places| {
                    let mut a = CodeAssembler::new(places.bits())?;
                    for handle in 1..20 {
                        call(&mut a, places, "NtClose", &[handle])?;
                    }
                    end(&mut a, places)?;
                    Ok(a.assemble(places.start())?)
                })
                .build()
                .expect("it is right");
            let (mut pieces, mut end) = (1, machine.run(budget));
            while end == End::Budget && pieces < 100_000 {
                (pieces, end) = (pieces + 1, machine.run(budget));
            }
            assert_eq!(end, End::Exit(NtStatus::SUCCESS), "{profile}");
            let log = machine.console().to_vec();
            drop(machine);
            (numbers, log, pieces)
        };
        let (numbers, log, pieces) = run(BUDGET);
        assert_eq!((numbers.len(), pieces), (19, 1));
        let (in_pieces, log_in_pieces, pieces) = run(100);
        assert!(pieces > 10, "{pieces}");
        assert_eq!((in_pieces, log_in_pieces), (numbers, log));
    }
}

#[test]
fn a_program_without_end_comes_to_the_end_of_its_budget() {
    for serves in [false, true] {
        let mut calls = 0u64;
        let mut machine = builder("srv2003")
            .service("NtYieldExecution", |_| {
                calls += 1;
                Ok(())
            })
            .program(|places| {
                let mut a = CodeAssembler::new(32)?;
                let mut again = a.create_label();
                a.set_label(&mut again)?;
                if serves {
                    a.call(places.stub("NtYieldExecution")?)?;
                }
                a.jmp(again)?;
                Ok(a.assemble(places.start())?)
            })
            .build()
            .expect("it is right");
        assert_eq!(machine.run(0), End::Budget);
        assert_eq!(machine.run(100_000), End::Budget);
        let retired = machine.machine().retired();
        assert!((100_000..101_000).contains(&retired), "{retired}");
        drop(machine);
        assert_eq!(calls > 100, serves);
    }
}

#[test]
fn a_service_may_run_a_machine_of_its_own() {
    let mut depth = Vec::new();
    let mut machine = builder("srv2003")
        .service("NtClose", |call| {
            let inner = with_pointer("win7-x64", call.argument(0)?, |call, pointer| {
                depth.push((call.profile(), pointer));
                Err(NtStatus(pointer as u32 + 1))
            });
            Err(inner)
        })
        .program(calling("NtClose", &[0x41]))
        .build()
        .expect("it is right");
    assert_eq!(machine.run(BUDGET), End::Exit(NtStatus(0x42)));
    drop(machine);
    assert_eq!(depth, [("win7-x64", 0x41)]);
}

#[test]
fn code_that_a_closure_writes_over_is_executed_as_it_is() {
    // The data page holds code: mov eax, 1; ret. No system here keeps programs from executing data.
    let mut machine = builder("srv2003")
        .service("NtClose", |call| {
            let at = call.argument(0)?;
            let value = call.read::<u8>(at + 1)?;
            call.write_bytes(at, &[0xB8, value + 1, 0, 0, 0, 0xC3])
        })
        .program(|places| {
            let mut a = CodeAssembler::new(32)?;
            for _ in 0..3 {
                call(&mut a, places, "NtClose", &[places.data()])?;
                a.call(places.data())?;
            }
            end(&mut a, places)?;
            Ok(a.assemble(places.start())?)
        })
        .build()
        .expect("it is right");
    assert_eq!(machine.run(BUDGET), End::Exit(NtStatus(3)));
}

/// Addresses of system space that nothing is at.
const SYSTEM_I386: u32 = 0xC000_2000;
const SYSTEM_AMD64: u64 = 0xFFFF_F900_0000_0000;

#[test]
fn exceptions_and_bug_checks_are_ends_of_their_own() {
    for profile in profiles() {
        let mut machine = builder(profile)
            .program(|places| {
                let mut a = CodeAssembler::new(places.bits())?;
                a.ud2()?;
                Ok(a.assemble(places.start())?)
            })
            .build()
            .expect("it is right");
        let address = machine.places().start();
        assert_eq!(machine.run(BUDGET), End::Unhandled { code: NtStatus::ILLEGAL_INSTRUCTION, address }, "{profile}");

        let mut machine = builder(profile)
            .routine("NtClose", |places| {
                let mut a = CodeAssembler::new(places.bits())?;
                // Of an address of the user half, the kernel of i386 says 1Eh.
                if places.bits() == 32 {
                    a.mov(ecx, SYSTEM_I386)?;
                    a.mov(eax, dword_ptr(ecx))?;
                } else {
                    a.mov(rcx, SYSTEM_AMD64)?;
                    a.mov(eax, ptr(rcx))?;
                }
                Ok(a.assemble(places.start())?)
            })
            .program(calling("NtClose", &[1]))
            .build()
            .expect("it is right");
        let End::BugCheck(check) = machine.run(BUDGET) else { panic!("{profile} goes on") };
        let address = if machine.places().bits() == 32 { u64::from(SYSTEM_I386) } else { SYSTEM_AMD64 };
        assert_eq!((check.code, check.parameters[0], check.parameters[1]), (0x50, address, 0), "{profile}");
        assert!(check.report.contains("\ntrap ") && check.report.contains("\nstack "), "{}", check.report);
    }
}

#[test]
fn what_a_program_prints_is_no_end() {
    // DbgPrint("exit 00000001\n"), then three instructions that the machine takes for its own.
    let mut machine = builder("winxp")
        .program(|places| {
            let mut a = CodeAssembler::new(32)?;
            let (mut text, mut behind) = (a.create_label(), a.create_label());
            a.call(behind)?;
            a.set_label(&mut text)?;
            a.db(b"exit 00000001\n")?;
            a.set_label(&mut behind)?;
            a.pop(ecx)?;
            a.mov(edx, 14)?;
            a.mov(eax, 1)?;
            a.int(0x2D)?;
            a.int3()?;
            // Ring 3 has no ports.
            a.mov(eax, 0x4E54_4000)?;
            a.out(0xF4, eax)?;
            Ok(a.assemble(places.start())?)
        })
        .service("NtClose", |_| panic!("nobody called it"))
        .build()
        .expect("it is right");
    let end = machine.run(BUDGET);
    assert!(matches!(end, End::Unhandled { code: NtStatus::PRIVILEGED_INSTRUCTION, .. }), "{end}");
    assert!(String::from_utf8_lossy(machine.console()).contains("exit 00000001\nunhandled c0000096 at "));
}

#[test]
fn a_kernel_that_is_not_there_stops_the_machine() {
    // A routine that loses the kernel's stack and tables: no fault can be delivered any more.
    let mut machine = builder("srv2003")
        .routine("NtClose", |places| {
            let mut a = CodeAssembler::new(32)?;
            a.xor(eax, eax)?;
            a.mov(iced_x86::code_asm::cr3, eax)?;
            Ok(a.assemble(places.start())?)
        })
        .program(calling("NtClose", &[1]))
        .build()
        .expect("it is right");
    assert!(matches!(machine.run(BUDGET), End::Stopped(Exit::TripleFault { .. })));
}

#[test]
fn what_is_wrong_is_said_with_the_nearest_name() {
    let program = || calling("NtClose", &[1]);
    let close = |call: &mut Call<'_>| call.argument(0).map(|_| ());
    let error = |builder: Builder<'_>| builder.build().expect_err("it is wrong");
    for (builder, message) in [
        (builder("srv2033").program(program()), "; did you mean `srv2003`?"),
        (builder("srv2003").cpu("pentium3").program(program()), "; did you mean `pentium`?"),
        (builder("win8").cpu("486").program(program()), "win8 does not run on 486; it runs on pentium2, core2"),
        (
            builder("srv2003").service("NtWritFile", close).program(program()),
            "the list has no service `NtWritFile`; did you mean `NtWriteFile`?",
        ),
        (
            builder("srv2003").program(calling("NtClos", &[])),
            "the code of program: the list has no service `NtClos`; did you mean `NtClose`?",
        ),
        (builder("srv2003"), "there is no program to run"),
        (Machine::builder().profile("reactos").program(program()), "reactos has no list of its own; give one"),
        (
            builder("srv2003").program(|_| Ok(vec![0x90; 0x10_0000])),
            "there is no image: the program do not fit the address range of the profile",
        ),
    ] {
        let error = error(builder);
        assert!(error.to_string().ends_with(message), "{error}");
    }
    let close_only = ntgate::ntgate_gen::read_list("one", b"NtClose 1\n").expect("it is right").list;
    let error = error(builder("srv2003").list(&close_only).program(program()));
    assert!(matches!(error, BuildError::Image(_)) && error.to_string().contains("NtContinue"), "{error}");
}
