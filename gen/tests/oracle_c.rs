//! The C header against gcc, against mingw-w64's gcc, and against the host processor, which goes the inline functions'
//! way into a kernel that hands the call back to the program.
//!
//! `cargo test -p ntgate-gen --test oracle_c -- --ignored`, on Linux with binutils, `gcc -m32` and mingw-w64.

mod tools;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, ServiceList, read_list};
use tempfile::TempDir;

use tools::{lists, run, typed, write};

fn read(text: &str) -> ServiceList {
    read_list("test.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn header(directory: &TempDir, list: &ServiceList, arch: Arch) {
    write(directory, "nt.h", &emit(list, &Options::new(arch, Format::C)).expect("it is text"));
}

/// Compilers of an architecture with their options for it.
const COMPILERS: [(Arch, &str, &str); 4] = [
    (Arch::I386, "gcc", "-m32"),
    (Arch::Amd64, "gcc", "-m64"),
    (Arch::I386, "i686-w64-mingw32-gcc", "-m32"),
    (Arch::Amd64, "x86_64-w64-mingw32-gcc", "-m64"),
];

const FLAGS: [&str; 7] = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-c"];

#[test]
#[ignore = "needs gcc and mingw-w64"]
fn compilers_take_the_header_in_every_form() {
    let directory = tempfile::tempdir().expect("a directory");
    for list in lists().into_iter().chain([typed()]) {
        // The header of arm64 has nothing that only a compiler for arm64 could take.
        for (arch, compiler, machine) in COMPILERS.into_iter().chain([(Arch::Arm64, "gcc", "-m64")]) {
            header(&directory, &list, arch);
            for choice in ["", "#define NTGATE_NO_PROTOTYPES\n", "#define NTGATE_INLINE\n"] {
                write(
                    &directory,
                    "x.c",
                    format!("{choice}#include \"nt.h\"\n#include \"nt.h\"\nint x = 1;\n").as_bytes(),
                );
                run(&directory, compiler, &[&[machine], &FLAGS[..], &["x.c", "-o", "x.o"]].concat());
            }
        }
    }
}

/// Names of parameters may be words of C++ or macros; with the types defined they are in the prototypes.
#[test]
#[ignore = "needs gcc and g++"]
fn names_of_a_list_are_names_in_c_and_in_cpp() {
    let directory = tempfile::tempdir().expect("a directory");
    let types =
        "typedef int NTSTATUS, EVENT_TYPE, POWER_ACTION; typedef void *HANDLE, **PHANDLE, *PVOID, *PLARGE_INTEGER;
                 typedef unsigned char BOOLEAN; typedef unsigned ACCESS_MASK, ULONG; typedef long long LONGLONG;
                 typedef struct { int x, y; } POINT, OBJECT_ATTRIBUTES;
                 #define interface struct\n";
    for arch in Arch::ALL {
        header(&directory, &typed(), arch);
        for choice in ["#define NTGATE_HAVE_TYPES\n", "", "#define NTGATE_NO_PROTOTYPES\n"] {
            write(&directory, "x.h", format!("{types}{choice}#include \"nt.h\"\n").as_bytes());
            // gcc has no convention of Windows where it is not asked for this architecture.
            let machine = if arch == Arch::I386 { "-m32" } else { "-m64" };
            for (compiler, language) in [("gcc", "c"), ("g++", "c++")] {
                let flags = [machine, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", language];
                // A dialect of its own: only there is `linux` a macro.
                let standard = if language == "c" { "-std=gnu11" } else { "-std=gnu++20" };
                run(&directory, compiler, &[&flags[..], &[standard, "x.h"]].concat());
            }
        }
    }
}

/// A program that calls by the prototypes must refer to the symbols that the stubs have.
#[test]
#[ignore = "needs gcc and mingw-w64"]
fn prototypes_lead_to_the_symbols_of_the_stubs() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = read(
        "NtClose 1 (HANDLE Handle)\nNtWide 5/4 (HANDLE Handle, ULONGLONG Offset, _Out_writes_(Length) PVOID Buffer, ULONG)\n\
         NtPoint 3/2 (POINT Where, const WCHAR **Text)\nNtPlain 2 # no types\n",
    );
    for (arch, compiler, machine) in COMPILERS {
        header(&directory, &list, arch);
        let windows = compiler.contains("mingw");
        let types = if windows {
            // Those of mingw-w64 itself.
            "#include <windows.h>\n#ifndef __NTSTATUS_DEFINED\ntypedef LONG NTSTATUS;\n#endif\n"
        } else {
            "typedef int NTSTATUS; typedef void *HANDLE, *PVOID; typedef unsigned long long ULONGLONG; typedef unsigned ULONG;
             typedef struct { int x, y; } POINT; typedef unsigned short WCHAR;\n"
        };
        let typed = "NTSTATUS f(HANDLE h, POINT p, const WCHAR **t)\n\
                     { return NtClose(h) + ZwWide(h, 1, h, 2) + NtPoint(p, t) + NtPlain(1, 2) + NtClose_ID + NtWide_ARGBYTES; }\n";
        let plain = "int f(void);\nint f(void) { return (int)(NtClose(1) + NtPlain(1, 2)); }\n";
        for (text, names) in [
            (
                format!("{types}#define NTGATE_HAVE_TYPES\n#include \"nt.h\"\n{typed}"),
                &["NtClose", "ZwWide", "NtPoint", "NtPlain"][..],
            ),
            (format!("#include \"nt.h\"\n{plain}"), &["NtClose", "NtPlain"]),
        ] {
            write(&directory, "x.c", text.as_bytes());
            run(&directory, compiler, &[machine, "-Wall", "-Werror", "-O1", "-c", "x.c", "-o", "x.o"]);
            let undefined = run(&directory, "nm", &["-u", "x.o"]);
            for name in names {
                let service = list.services().find(|service| service.name().stem() == &name[2..]).expect("it is there");
                // ELF decorates nothing.
                let symbol = match arch {
                    Arch::I386 if windows => format!(" U _{name}@{}\n", service.arg_bytes(arch)),
                    _ => format!(" U {name}\n"),
                };
                assert!(undefined.contains(&symbol), "{compiler}: {symbol} in {undefined}");
            }
        }
    }
}

/// Services of every count, with numbers that Linux does not have.
fn counted(most: u8) -> ServiceList {
    let lines = (0..=most).map(|args| format!("NtS{args} {args}\n"));
    read(&format!("#! table t base=0x3000\n{}", lines.collect::<String>()))
}

/// Calls of every service with arguments that differ, at two levels of optimization; `catch` is the kernel.
fn check_calls(arch: Arch, machine: &str, most: u8, catch: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    header(&directory, &counted(most), arch);
    let mut text = format!("{catch}\n#define NTGATE_INLINE\n#include \"nt.h\"\nint main(void)\n{{\n    prepare();\n");
    for args in 0..=u32::from(most) {
        let values: Vec<_> = (1..=args).map(|index| format!("{}", args * 1000 + index)).collect();
        text.push_str(&format!(
            "    if (NtS{args}({}) != -1000 - {args} || number != 0x3000 + {args}) return {};\n",
            values.join(", "),
            args + 1
        ));
        for index in 1..=args {
            text.push_str(&format!("    if (seen[{index}] != {}) return {};\n", args * 1000 + index, args + 101));
        }
    }
    text.push_str("    return 0;\n}\n");
    write(&directory, "x.c", text.as_bytes());
    for level in ["-O0", "-O2"] {
        run(&directory, "gcc", &[machine, "-Wall", "-Werror", level, "x.c", "-o", "x"]);
        run(&directory, directory.path().join("x").to_str().expect("the path is text"), &[]);
    }
}

/// `int 2Eh` is a fault on Linux: its handler looks at the registers and goes on behind the instruction.
#[test]
#[ignore = "needs gcc -m32 on Linux"]
fn the_inline_functions_of_i386_bring_every_argument() {
    check_calls(
        Arch::I386,
        "-m32",
        63,
        r#"
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
static volatile unsigned number;
static volatile unsigned seen[64];
static void handle(int signal, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal; (void)info;
    if (memcmp((void *)r[REG_EIP], "\xcd\x2e", 2)) abort();
    number = (unsigned)r[REG_EAX];
    for (unsigned i = 1; i <= number - 0x3000; i++) seen[i] = ((unsigned *)r[REG_EDX])[i - 1];
    r[REG_EAX] = -1000 - (int)(number - 0x3000);
    r[REG_ECX] = r[REG_EDX] = 0x55555555;
    r[REG_EIP] += 2;
}
static void prepare(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    if (sigaction(SIGSEGV, &action, 0)) abort();
}
"#,
    );
}

/// A filter hands the numbers that Linux does not have back as a signal, with the registers as SYSCALL left them.
#[test]
#[ignore = "needs gcc and seccomp on Linux"]
fn the_inline_functions_of_amd64_bring_every_argument() {
    check_calls(
        Arch::Amd64,
        "-m64",
        19,
        r#"
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <ucontext.h>
static volatile unsigned number;
static volatile unsigned long long seen[20];
static void handle(int signal, siginfo_t *info, void *context)
{
    ucontext_t *user = context;
    greg_t *r = user->uc_mcontext.gregs;
    (void)signal; (void)info;
    number = (unsigned)r[REG_RAX];
    seen[1] = r[REG_R10]; seen[2] = r[REG_RDX]; seen[3] = r[REG_R8]; seen[4] = r[REG_R9];
    for (unsigned i = 5; i < 20; i++) seen[i] = ((unsigned long long *)(r[REG_RSP] + 0x28))[i - 5];
    r[REG_RAX] = (unsigned)(-1000 - (int)(number - 0x3000));
    /* What Windows does not preserve. */
    r[REG_R10] = r[REG_RDX] = r[REG_R8] = r[REG_R9] = r[REG_RCX] = r[REG_R11] = 0x5555555555555555;
    memset(user->uc_mcontext.fpregs->_xmm, 0x55, 6 * 16);
}
static void prepare(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x3000, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (sigaction(SIGSYS, &action, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}
"#,
    );
}
