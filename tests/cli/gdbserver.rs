//! `ntgate gdbserver`, from its first line on, and with the real gdb.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::support::Sandbox;

/// A server that runs, and what it printed.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = sandbox.command(&["gdbserver", "--listen", "127.0.0.1:0"]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it is text");
        let address = line.trim_end().strip_prefix("listening on ").expect("it listens").to_owned();
        Self { child, stdout, address }
    }

    /// Ends it; what else it printed.
    fn kill(mut self) -> String {
        let mut client = TcpStream::connect(&self.address).expect("it listens");
        client.write_all(b"$k#6b").expect("it is connected");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(0));
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it is text");
        rest
    }

    /// What gdb prints when it does these commands; standard error last.
    fn gdb(&self, commands: &[&str]) -> String {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-batch", "-ex", &format!("target remote {}", self.address)]);
        for command in commands {
            gdb.args(["-ex", command]);
        }
        let output = gdb.stdin(Stdio::null()).output().expect("gdb runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        format!("{text}{}", String::from_utf8_lossy(&output.stderr))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where a test held.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text has these lines, one behind the other, with others between.
#[track_caller]
fn assert_in_order(text: &str, wanted: &[&str]) {
    let mut rest = text;
    for wanted in wanted {
        let at = rest.find(wanted).unwrap_or_else(|| panic!("`{wanted}` is not in its place in\n{text}"));
        rest = &rest[at + wanted.len()..];
    }
}

#[test]
fn it_says_where_it_listens_and_what_is_where() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &["--symbols", "names.elf"]);
    let names = std::fs::read(sandbox.path("names.elf")).expect("it is there");
    assert!(names.starts_with(b"\x7FELF"));
    assert_in_order(
        &server.kill(),
        &["srv2003 on pentium2\n", "0x7c95ed50 ntdll!KiFastSystemCall\n", "nt!KiFastCallEntry\n"],
    );
    let server = Server::start(&sandbox, &["--arch", "amd64"]);
    assert_in_order(&server.kill(), &["win7-x64 on core2duo\n", "nt!KiSystemCall64\n"]);
    sandbox
        .write("short.lst", "NtClose 1\nNtContinue 2\nNtRaiseException 3\nNtCallbackReturn 3\nNtTerminateProcess 2\n");
    let server = Server::start(&sandbox, &["--profile", "reactos", "short.lst"]);
    assert_in_order(&server.kill(), &["reactos on "]);
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let sandbox = Sandbox::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let taken = taken.local_addr().expect("it has one").to_string();
    for (arguments, told) in [
        (&["--listen", taken.as_str()][..], "already"),
        (&["--listen", "1234"], "`1234` is no address"),
        (&["--listen", "localhost:http"], "`localhost:http` is no address"),
        (&["--arch", "arm64"], "no machine here runs arm64"),
        (&["--arch", "amd64", "--profile", "nt4"], "nt4 is a system of i386"),
        (&["--profile", "windows"], "invalid value 'windows'"),
        (&["--listen", "127.0.0.1:0", "--symbols", "."], "cannot write ."),
        (&["missing.lst"], "cannot read missing.lst"),
    ] {
        let outcome = sandbox.run(&[&["gdbserver"], arguments].concat()).status(2).no_stdout();
        assert!(outcome.stderr().contains(told), "{arguments:?}: {}", outcome.stderr());
    }
    sandbox.write("one.lst", "NtClose 1\n");
    let outcome = sandbox.run(&["gdbserver", "one.lst"]).status(2).no_stdout();
    assert_eq!(outcome.stderr().lines().count(), 1, "{}", outcome.stderr());
}

#[test]
fn others_that_can_reach_it_are_worth_a_warning() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["gdbserver", "--listen", "0.0.0.0:0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().expect("it is a pipe"));
    stderr.read_line(&mut line).expect("it is text");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert!(line.starts_with("ntgate: warning: others can reach 0.0.0.0:"), "{line}");
}

#[test]
#[ignore = "needs gdb"]
fn gdb_breaks_at_the_entry_of_i386_and_steps_back() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let text = server.gdb(&[
        "show architecture",
        "break *'nt!KiFastCallEntry'",
        "continue",
        "info registers",
        "x/2i $pc",
        "reverse-stepi",
        "x/i $pc",
        "stepi",
        "x/2wx 0x7ffe0300",
        "disassemble 'nt!KiFastCallEntry',+5",
        "print/x $fs_base",
        "info registers cr0 sysenter_eip idtr_base",
        "monitor rdmsr 176",
        "info symbol KiFastCallEntry",
        "delete",
        "watch *(int *) 0x12fffc",
        "continue",
        "reverse-continue",
        "delete",
        "reverse-continue",
        "continue",
    ]);
    assert_in_order(
        &text,
        &[
            "\"i386\"",
            "Breakpoint 1, 0x",
            " in nt!KiFastCallEntry ()",
            "eax ",
            "eip ",
            "<nt!KiFastCallEntry>",
            "cs             0x8 ",
            "=> ",
            "<nt!KiFastCallEntry>:\tmov    $0x23,%ecx",
            "in ntdll!KiFastSystemCall ()",
            "<ntdll!KiFastSystemCall+2>:\tsysenter",
            "0x7ffe0300 <SystemCallStub>:\t0x7c95ed50\t0x7c95ed54",
            "Dump of assembler code",
            "<nt!KiFastCallEntry+0>:\tmov    $0x23,%ecx",
            "$1 = 0x7ffdf000",
            "cr0            0x80010011          [ PE ET WP PG ]",
            "sysenter_eip ",
            "<nt!KiFastCallEntry>",
            "idtr_base ",
            "<nt!KiIdt>",
            "nt!KiFastCallEntry in section .nt",
            "Hardware watchpoint 2: *(int *) 0x12fffc",
            "Hardware watchpoint 2: *(int *) 0x12fffc",
            "Old value = ",
            "No more reverse-execution history.",
            "in program!Start ()",
            "No more reverse-execution history.",
            // What the server says goes to gdb's standard error.
            "msr[176] = ",
            "ntgate: the program ended with STATUS_SUCCESS; from here it can only go back",
        ],
    );
    // The front page shows some of it.
    let page = include_str!("../../README.md");
    let lines = text.lines().filter(|line| line.starts_with("Breakpoint 1, ") || line.contains("KiFastSystemCall"));
    let shown = lines.take(3).map(|line| assert!(page.contains(&format!("\n{line}\n")), "{line}"));
    assert_eq!(shown.count(), 3);
    server.kill();
}

#[test]
#[ignore = "needs gdb"]
fn what_monitor_has_moved_gdb_sees_when_it_looks_again() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox, &[]);
    let text = server.gdb(&["monitor t", "maintenance flush register-cache", "info registers eip", "x/i $pc"]);
    assert_in_order(&text, &["eip            0x7c95", "<ntdll!"]);
    server.kill();
}

#[test]
#[ignore = "needs gdb"]
fn gdb_breaks_at_the_entry_of_amd64_and_steps_back() {
    let sandbox = Sandbox::new();
    for profile in ["win7-x64", "win10-x64"] {
        let server = Server::start(&sandbox, &["--profile", profile]);
        let text = server.gdb(&[
            "show architecture",
            "break *'nt!KiSystemCall64'",
            "continue",
            "info registers rip cs lstar gs_base kernel_gs_base efer",
            "x/i $pc",
            "reverse-stepi",
            "x/i $pc",
            "stepi",
            "delete",
            "print $rbx = 5",
            "print $xmm6.uint128",
            "reverse-continue",
        ]);
        assert_in_order(
            &text,
            &[
                "\"i386:x86-64\"",
                "Breakpoint 1, 0xfffff80",
                " in nt!KiSystemCall64 ()",
                "<nt!KiSystemCall64>",
                "cs             0x10 ",
                "<nt!KiSystemCall64>",
                "gs_base ",
                "<Teb>",
                "kernel_gs_base ",
                "<nt!KiInitialPCR>",
                "[ SCE LME LMA NXE ]",
                "swapgs",
                "in ntdll!",
                "syscall",
                "in nt!KiSystemCall64 ()",
                "$1 = 5",
                "$2 = 0",
                // What was changed is where the history begins.
                "No more reverse-execution history.",
                "in nt!KiSystemCall64 ()",
            ],
        );
        server.kill();
    }
}

#[test]
#[ignore = "needs gdb"]
fn gdb_kills_it_and_others_come_after_others() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, &["--profile", "win2000"]);
    for _ in 0..2 {
        let text = server.gdb(&["break *'nt!KiSystemService'", "continue", "detach"]);
        assert_in_order(&text, &["Breakpoint 1, 0x", "in nt!KiSystemService ()", "detached]"]);
    }
    let text = server.gdb(&["kill"]);
    assert_in_order(&text, &["[Inferior 1 (process 1) killed]"]);
    assert_eq!(server.child.wait().expect("it ends").code(), Some(0));
}
