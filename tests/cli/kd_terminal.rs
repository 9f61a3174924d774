//! `ntgate kd` on a terminal.

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

/// How long a session may take to answer, in milliseconds; it is done within a few.
const PATIENCE: u64 = 60_000;

/// ^C and ^D, and the arrow up.
const INTERRUPT: &str = "\x03";
const END: &str = "\x04";
const UP: &str = "\x1b[A";

fn session() -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntgate"));
    command.arg("kd").env("TERM", "xterm");
    let mut session = spawn_command(command, Some(PATIENCE)).expect("there is a terminal");
    session.exp_string("srv2003: version 5.2, build 3790, 32 bits").expect("it begins");
    session.exp_string("program!Start:").expect("it tells where it is");
    session.exp_string("kd> ").expect("it asks");
    session
}

fn send(session: &mut PtySession, keys: &str) {
    session.send(keys).expect("it is sent");
    session.flush().expect("it is sent");
}

#[test]
fn the_arrow_up_brings_back_what_was_typed() {
    let mut session = session();
    send(&mut session, "? 1+1\r");
    session.exp_string("Evaluate expression: 2 = 00000002").expect("it answers");
    session.exp_string("kd> ").expect("it asks");
    send(&mut session, UP);
    session.exp_string("? 1+1").expect("the line is back");
    send(&mut session, "0\r");
    session.exp_string("Evaluate expression: 17 = 00000011").expect("it answers");
    session.exp_string("kd> ").expect("it asks");
    // And Tab completes.
    send(&mut session, "ln KiFastSystemCallR\t\r");
    session.exp_string("ntdll!KiFastSystemCallRet").expect("it answers");
    session.exp_string("kd> ").expect("it asks");
    send(&mut session, "q\r");
    session.exp_eof().expect("it ends");
}

#[test]
fn ctrl_c_stops_what_runs_and_ctrl_d_leaves() {
    let mut session = session();
    // A loop without an end.
    send(&mut session, "eb . eb fe; ? 0n4711\r");
    session.exp_string("00001267").expect("it answers");
    session.exp_string("kd> ").expect("it asks");
    send(&mut session, "g\r");
    session.exp_string("g").expect("it is shown as typed");
    // The terminal is the program's own again once the line is complete.
    session.exp_string("\n").expect("the line ends");
    loop {
        send(&mut session, INTERRUPT);
        // A ^C that comes too early gives up the line only.
        if session.exp_regex("Interrupted\r?\n").is_ok() {
            break;
        }
    }
    session.exp_string("jmp     program!Start (00401000)").expect("it tells where it is");
    session.exp_string("kd> ").expect("it asks");
    // ^C on a line that is being typed gives it up.
    send(&mut session, "? 0n9999");
    session.exp_string("9999").expect("it is shown");
    send(&mut session, INTERRUPT);
    session.exp_string("kd> ").expect("it asks");
    send(&mut session, "? 0n42\r");
    session.exp_string("Evaluate expression: 42 = 0000002a").expect("it answers");
    session.exp_string("kd> ").expect("it asks");
    send(&mut session, END);
    session.exp_eof().expect("it ends");
}
